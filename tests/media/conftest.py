"""Videos that can be checked by eye: frame n is 12 n bright, and frame 20 begins anew."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from mosaic_dagster.media.arrays import Image
from mosaic_dagster.media.video import VideoFacts

WIDTH, HEIGHT, N_FRAMES, FPS = 64, 48, 20, 10.0


def grey_frame(number: int, width: int = WIDTH, height: int = HEIGHT) -> Image:
    return np.full((height, width, 3), 12 * (number % 20), dtype=np.uint8)


class Film:
    """Frames in memory, without any loss."""

    def __init__(self, images: list[Image], fps: float = FPS) -> None:
        self.images = images
        height, width = images[0].shape[:2]
        self.facts = VideoFacts(width, height, fps, len(images), "")
        self.asked: list[int] = []

    def frame(self, number: int) -> Image:
        self.asked.append(number)
        return self.images[number]


@pytest.fixture
def film() -> Callable[..., Film]:
    """Makes a source of frames from pictures in memory."""
    return Film


@pytest.fixture(scope="session")
def make_video(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Writes 20 frames of 64 x 48 at 10 per second, brightness 12 n, with OpenCV alone."""
    cv2 = pytest.importorskip("cv2")
    folder = tmp_path_factory.mktemp("videos")

    def make(
        name: str = "grey.mp4",
        *,
        codec: str = "mp4v",
        size: tuple[int, int] = (WIDTH, HEIGHT),
        fps: float = FPS,
        n_frames: int = N_FRAMES,
    ) -> Path:
        path = folder / name
        if not path.exists():
            writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*codec), fps, size)
            for number in range(n_frames):
                writer.write(grey_frame(number, *size))
            writer.release()
        return path

    return make


@pytest.fixture(scope="session")
def video(make_video: Callable[..., Path]) -> Path:
    return make_video()


@pytest.fixture(scope="session")
def cut_video(make_video: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A video whose header promises 20 frames, cut off after 60 % of its bytes."""
    data = make_video("whole.avi", codec="MJPG").read_bytes()
    path = tmp_path_factory.mktemp("cut") / "cut.avi"
    path.write_bytes(data[: len(data) * 6 // 10])
    return path
