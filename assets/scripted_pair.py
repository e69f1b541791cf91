"""Two scripted mice: how the recordings of the example ``social`` were made.

    python -m assets.scripted_pair recordings/social

Nobody was recorded. A script moves two mice of seven keypoints through three behaviours: they rest
``apart``, ``orbit`` each other, or one ``chase`` the other, each with rhythms of its own. What each
frame shows is known exactly, so whoever changes a feature sees at once what it does to clusters and
classifiers. The files have the layout of CalMS21.
"""

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

FPS = 30.0
N_FRAMES = 600
SESSIONS = {"session1": (1, 2, 3, 4), "session2": (5, 6, 7, 8)}
"""Seeds of the recordings in each file."""

VOCABULARY = {"apart": 0, "orbit": 1, "chase": 2}

# Nose, ears, neck, hips and base of the tail in the frame of the body (px, nose towards +x).
BODY = np.array([[28, 0], [17, 9], [17, -9], [10, 0], [-14, 10], [-14, -10], [-26, 0]], dtype=float)

_BLEND = 20
"""Frames in which a mouse glides from the end of one bout into the next."""

Array = np.ndarray[Any, Any]


def scripted_recording(seed: int, n_frames: int = N_FRAMES) -> dict[str, Any]:
    """One recording: keypoints (n_frames, 2 mice, xy, 7), scores and a class per frame."""
    rng = np.random.default_rng(seed)
    annotations, centres, headings = _bouts(rng, n_frames)
    turned = np.stack([np.cos(headings), np.sin(headings)], axis=-1)
    along, across = BODY[:, 0], BODY[:, 1]
    x = centres[..., 0, None] + turned[..., 0, None] * along - turned[..., 1, None] * across
    y = centres[..., 1, None] + turned[..., 1, None] * along + turned[..., 0, None] * across
    keypoints = np.stack([x, y], axis=2) + rng.normal(0.0, 0.4, (n_frames, 2, 2, len(BODY)))
    return {
        "keypoints": np.round(keypoints, 2).tolist(),
        "scores": np.round(rng.uniform(0.9, 1.0, (n_frames, 2, len(BODY))), 3).tolist(),
        "annotations": annotations.tolist(),
        "metadata": {"fps": FPS, "vocab": VOCABULARY, "annotator-id": 0},
    }


def _bouts(rng: np.random.Generator, n_frames: int) -> tuple[Array, Array, Array]:
    """Class (n_frames), centres (n_frames, 2, xy) and headings (n_frames, 2) of both mice."""
    annotations = np.empty(n_frames, dtype=int)
    centres, headings = np.empty((n_frames, 2, 2)), np.empty((n_frames, 2))
    start, order = 0, rng.permutation(3)
    while start < n_frames:
        length = int(rng.integers(190, 211))
        for label in order:
            stop = min(start + length, n_frames)
            if stop <= start:
                break
            script = (_apart, _orbit, _chase)[label]
            position, heading = script(rng, np.arange(stop - start) / FPS)
            _glide(position, heading, centres, headings, start)
            centres[start:stop], headings[start:stop] = position, heading
            annotations[start:stop] = label
            start = stop
        order = rng.permutation(3)
    return annotations, centres, headings


def _glide(position: Array, heading: Array, centres: Array, headings: Array, start: int) -> None:
    """Lead the beginning of a bout out of the end of the one before."""
    if start == 0:
        return
    steps = min(_BLEND, len(position))
    share = 0.5 - 0.5 * np.cos(np.pi * (np.arange(steps) + 1) / (steps + 1))
    position[:steps] = centres[start - 1] + share[:, None, None] * (
        position[:steps] - centres[start - 1]
    )
    turn = np.angle(np.exp(1j * (heading[:steps] - headings[start - 1])))
    heading[:steps] = headings[start - 1] + share[:, None] * turn


def _apart(rng: np.random.Generator, time: Array) -> tuple[Array, Array]:
    """Far from each other, each looking slowly left and right."""
    side = rng.choice([-1.0, 1.0])
    places = np.array([[512 - side * 45, 285], [512 + side * 45, 285]], dtype=float)
    heading = 0.15 * np.sin(2 * np.pi * 0.4 * time[:, None] + rng.uniform(0, 6, 2))
    return np.broadcast_to(places, (len(time), 2, 2)).copy(), heading + rng.uniform(-3, 3, 2)


def _orbit(rng: np.random.Generator, time: Array) -> tuple[Array, Array]:
    """Head to tail on a circle, once round in two seconds, with a step and a sway each second."""
    stride = 2 * np.pi * 1.1 * time[:, None] + rng.uniform(0, 6) + np.array([0.0, np.pi / 2])
    angle = 2 * np.pi * 0.5 * time[:, None] + 0.25 * np.sin(stride) + np.array([0.0, np.pi])
    circle = np.stack([np.cos(angle), np.sin(angle)], axis=-1)
    return np.array([512.0, 285.0]) + 38.0 * circle, angle + np.pi / 2 + 0.4 * np.cos(stride)


def _chase(rng: np.random.Generator, time: Array) -> tuple[Array, Array]:
    """The resident behind the intruder on a wide circle, both galloping three times a second."""
    lag = np.array([0.87, 0.0])
    angle = 2 * np.pi * 0.35 * time[:, None] + rng.uniform(0, 6) - lag
    gallop = 2 * np.pi * 3.0 * time[:, None] + np.array([0.0, 2.0])
    radius = 90.0 + 9.0 * np.sin(gallop)
    circle = np.stack([np.cos(angle), np.sin(angle)], axis=-1)
    heading = angle + np.pi / 2 + 0.35 * np.sin(gallop)
    return np.array([512.0, 285.0]) + radius[..., None] * circle, heading


def session(name: str) -> dict[str, Any]:
    """Content of one file."""
    return {name: {f"pair{seed}": scripted_recording(seed) for seed in SESSIONS[name]}}


def main(folder: Path) -> None:
    """Write one file per session."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in SESSIONS:
        (folder / f"{name}.json").write_text(json.dumps(session(name), separators=(",", ":")))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
