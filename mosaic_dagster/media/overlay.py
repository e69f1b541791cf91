"""Draw tracks, labels and ground truth over the frames of a video."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

import numpy as np
import polars as pl

from mosaic_dagster.errors import MissingColumnError, ParamsError
from mosaic_dagster.media.arrays import FloatArray, Image
from mosaic_dagster.media.canvas import Canvas
from mosaic_dagster.media.clips import Clip, Output, encode_clip
from mosaic_dagster.media.layers import Layer
from mosaic_dagster.media.palette import NOTHING, Colour, colour_of
from mosaic_dagster.media.scenes import WHOLE_SCENE, LabelLookup, Scene, Scenes
from mosaic_dagster.media.video import FrameSource

ColourBy = Literal["id", "label"]


@dataclass(frozen=True)
class IdStyle:
    """How one individual is drawn.

    Attributes
    ----------
    colour
        None takes the colour of its id or label.
    name
        Written in place of its id.
    scale
        Factor for the size of its dots.
    hidden
        Not drawn at all.
    """

    colour: Colour | None = None
    name: str | None = None
    scale: float = 1.0
    hidden: bool = False


@dataclass(frozen=True)
class OverlayStyle:
    """What is drawn, and how.

    Attributes
    ----------
    keypoints, boxes, ids
        Whether these are drawn; boxes need the columns ``bbox_x1`` to ``bbox_y2``.
    edges
        Pairs of keypoint numbers that are joined by lines.
    colour_by
        ``id``, or ``label`` (null labels are grey).
    trail
        The way of each individual over this many frames back; a frame in which it is missing is a
        gap.
    radius
        Of the dots, in pixels.
    id_styles
        Id to what is special about it.
    label_names
        Text for each value of a label column of numbers.
    layers
        What is drawn over the animals, one after the other.

    Raises
    ------
    ParamsError
        A value cannot be.
    """

    keypoints: bool = True
    boxes: bool = False
    ids: bool = True
    edges: Sequence[tuple[int, int]] = ()
    colour_by: ColourBy = "id"
    trail: int = 0
    radius: int = 2
    id_styles: Mapping[Any, IdStyle] = field(default_factory=dict)
    label_names: tuple[str, ...] = ()
    layers: Sequence[Layer] = ()

    def __post_init__(self) -> None:
        if self.colour_by not in get_args(ColourBy):
            msg = f"Colouring by {self.colour_by!r} is unknown."
            raise ParamsError(msg, f"Choose one of: {', '.join(get_args(ColourBy))}.")
        if self.trail < 0 or self.radius < 1:
            msg = f"trail is {self.trail} and radius is {self.radius}."
            raise ParamsError(msg, "Give trail >= 0 and radius >= 1.")


class Overlay:
    """Draws the animals of a recording on its frames.

    Parameters
    ----------
    tracks
        ``frame``, ``id``, ``X``, ``Y`` in pixels of the video; keypoints and boxes where there are
        any.
    labels
        What was predicted: ``frame``, ``label``, and ``id`` unless it is about the whole scene.
    truth
        What people say it is, in the same form.
    style
        What is drawn, and how.

    Raises
    ------
    MissingColumnError
        A table lacks a column, or an edge names a keypoint that the tracks do not have.
    ParamsError
        Colours by label are asked for without labels.
    """

    def __init__(
        self,
        tracks: pl.DataFrame,
        *,
        labels: pl.DataFrame | None = None,
        truth: pl.DataFrame | None = None,
        style: OverlayStyle | None = None,
    ) -> None:
        self.style = OverlayStyle() if style is None else style
        self._scenes = Scenes(tracks)
        names = self.style.label_names
        self._labels = None if labels is None else LabelLookup(labels, "label", names)
        self._truth = None if truth is None else LabelLookup(truth, "label", names)
        self._id_styles = {str(key): value for key, value in self.style.id_styles.items()}
        if self.style.colour_by == "label" and self._labels is None:
            msg = "Colours by label are asked for, and there are no labels."
            raise ParamsError(msg, "Give labels, or colour_by='id'.")
        self._edges = [self._edge(edge) for edge in self.style.edges]

    def draw(self, image: Image, frame: int) -> Image:
        """A frame with everything drawn on it; the frame itself is not changed.

        Raises
        ------
        MissingExtraError
            OpenCV is not installed.
        MissingColumnError
            The table of a layer lacks a column.
        ParamsError
            It is no picture, or a label has no name.
        """
        canvas = Canvas(image)
        scene = self._scenes.at(frame)
        labels = {} if self._labels is None else self._labels.at(frame)
        truth = {} if self._truth is None else self._truth.at(frame)
        self._draw_trails(canvas, scene, labels)
        for i, individual in enumerate(scene.ids):
            if not self._style_of(individual).hidden:
                self._draw_animal(canvas, scene, i, labels)
        for layer in self.style.layers:
            layer.draw(canvas, scene)
        for i, individual in enumerate(scene.ids):
            words = self._words(individual, labels, truth)
            if words and not self._style_of(individual).hidden:
                colour = self._colour(individual, labels)
                canvas.text(words, scene.centre[i] + np.array([5.0, -5.0]), colour)
        scene_words = self._label_words(WHOLE_SCENE, labels, truth)
        if scene_words:
            canvas.text(scene_words, (5, 15), colour_of(labels.get(WHOLE_SCENE)))
        return canvas.image

    def images(
        self, source: FrameSource, frames: Iterable[int] | None = None
    ) -> Iterator[tuple[int, Image]]:
        """Frames with everything drawn on them, one at a time; None takes all of the video.

        Raises
        ------
        MissingExtraError
            OpenCV is not installed.
        ScopeError
            The video has no such frame.
        ReaderError
            The video is cut off.
        """
        for frame in range(source.facts.n_frames) if frames is None else frames:
            yield int(frame), self.draw(source.frame(int(frame)), int(frame))

    def clip(
        self,
        source: FrameSource,
        frames: Iterable[int] | None = None,
        *,
        output: Output = "video",
        name: str = "overlay",
    ) -> Clip:
        """Frames with everything drawn on them, as mp4, PNG pictures or both.

        Raises
        ------
        MissingExtraError
            OpenCV is not installed.
        ScopeError
            The video has no such frame, or none was asked for.
        ReaderError
            The video is cut off.
        """
        facts = source.facts
        images = self.images(source, frames)
        return encode_clip(name, images, facts.fps, output, (facts.width, facts.height))

    def _draw_animal(
        self, canvas: Canvas, scene: Scene, i: int, labels: Mapping[str | None, Any]
    ) -> None:
        individual = scene.ids[i]
        colour = self._colour(individual, labels)
        radius = max(1, round(self.style.radius * self._style_of(individual).scale))
        points = scene.keypoints[i]
        if self.style.boxes:
            canvas.box(scene.boxes[i], colour)
        for edge in self._edges:
            canvas.path(points[edge], colour)
        drawn = points if self.style.keypoints and len(points) else scene.centre[i : i + 1]
        for point in drawn:
            canvas.dot(point, radius, colour)

    def _draw_trails(self, canvas: Canvas, scene: Scene, labels: Mapping[str | None, Any]) -> None:
        if not self.style.trail:
            return
        frames = range(scene.frame - self.style.trail, scene.frame + 1)
        past = [self._scenes.at(frame) for frame in frames]
        for individual in scene.ids:
            if not self._style_of(individual).hidden:
                way: FloatArray = np.array([then.place(individual) for then in past])
                canvas.path(way, self._colour(individual, labels))

    def _words(
        self, individual: Any, labels: Mapping[str | None, Any], truth: Mapping[str | None, Any]
    ) -> str:
        name = self._style_of(individual).name
        shown = str(individual) if name is None else name
        told = self._label_words(str(individual), labels, truth)
        return " ".join(part for part in (shown if self.style.ids else "", told) if part)

    def _label_words(
        self, key: str | None, labels: Mapping[str | None, Any], truth: Mapping[str | None, Any]
    ) -> str:
        parts = []
        if self._labels is not None and key in labels:
            parts.append(self._labels.name(labels[key]))
        if self._truth is not None and key in truth:
            parts.append(f"(truth: {self._truth.name(truth[key])})")
        return " ".join(parts)

    def _colour(self, individual: Any, labels: Mapping[str | None, Any]) -> Colour:
        own = self._style_of(individual).colour
        if own is not None:
            return own
        if self.style.colour_by == "id":
            return colour_of(individual)
        label = labels.get(str(individual), labels.get(WHOLE_SCENE))
        return NOTHING if label is None else colour_of(label)

    def _style_of(self, individual: Any) -> IdStyle:
        return self._id_styles.get(str(individual), _PLAIN)

    def _edge(self, edge: tuple[int, int]) -> list[int]:
        numbers = self._scenes.keypoint_numbers
        if not set(edge) <= set(numbers):
            msg = f"The edge {edge} names a keypoint that the tracks do not have."
            known = ", ".join(map(str, numbers)) or "none"
            raise MissingColumnError(msg, f"They have: {known}.")
        return [numbers.index(k) for k in edge]


_PLAIN = IdStyle()
