"""What is drawn lies where the tracks say, in the colours that stand for it."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from mosaic_dagster.errors import MissingColumnError, ParamsError
from mosaic_dagster.media.overlay import IdStyle, Overlay, OverlayStyle
from mosaic_dagster.media.palette import NOTHING, colour_of
from mosaic_dagster.media.scenes import LabelLookup

pytest.importorskip("cv2")

BLACK = np.zeros((48, 64, 3), np.uint8)
BARE = OverlayStyle(ids=False)


def tracks() -> pl.DataFrame:
    """0 walks from (10, 10) one px right per frame; 1 stands at (40, 30), missing in frame 1."""
    zero = pl.DataFrame({"frame": range(3), "id": 0, "X": [10.0, 11.0, 12.0], "Y": 10.0})
    one = pl.DataFrame({"frame": [0, 2], "id": 1, "X": 40.0, "Y": 30.0})
    both = pl.concat([one, zero])
    return both.with_columns(
        poseX0=pl.col("X") - 6, poseY0=pl.col("Y"), poseX2=pl.col("X") + 6, poseY2=pl.col("Y"),
        bbox_x1=pl.col("X") - 8, bbox_y1=pl.col("Y") - 8,
        bbox_x2=pl.col("X") + 8, bbox_y2=pl.col("Y") + 8,
    )  # fmt: skip


def at(image: np.ndarray, x: int, y: int) -> tuple[int, ...]:
    return tuple(int(v) for v in image[y, x])


def test_keypoints_have_the_colour_of_their_animal():
    image = Overlay(tracks(), style=BARE).draw(BLACK, 0)
    assert at(image, 4, 10) == at(image, 16, 10) == colour_of(0)
    assert at(image, 34, 30) == at(image, 46, 30) == colour_of(1)
    assert at(image, 10, 10) == (0, 0, 0)
    assert not BLACK.any()


def test_absent_animals_are_not_drawn():
    """Frame 1 has no row for 1; its place of frame 0 must not stay."""
    image = Overlay(tracks(), style=BARE).draw(BLACK, 1)
    assert not image[22:, :].any()
    assert at(image, 5, 10) == colour_of(0)
    assert not Overlay(tracks(), style=BARE).draw(BLACK, 99).any()


def test_missing_keypoints_leave_the_others():
    holes = tracks().with_columns(poseX0=pl.lit(float("nan")))
    image = Overlay(holes, style=BARE).draw(BLACK, 0)
    assert at(image, 16, 10) == colour_of(0)
    assert not image[:, :4].any()


def test_without_keypoints_the_centre_is_drawn():
    plain = tracks().select("frame", "id", "X", "Y")
    assert at(Overlay(plain, style=BARE).draw(BLACK, 0), 10, 10) == colour_of(0)
    off = OverlayStyle(ids=False, keypoints=False)
    assert at(Overlay(tracks(), style=off).draw(BLACK, 0), 10, 10) == colour_of(0)


def test_boxes_and_edges():
    style = OverlayStyle(ids=False, boxes=True, edges=[(0, 2)])
    image = Overlay(tracks(), style=style).draw(BLACK, 0)
    assert at(image, 2, 10) == at(image, 18, 10) == at(image, 10, 2) == colour_of(0)
    assert at(image, 10, 10) == colour_of(0)
    with pytest.raises(MissingColumnError, match=r"edge \(0, 1\) .* 0, 2"):
        Overlay(tracks(), style=OverlayStyle(edges=[(0, 1)]))


def test_trails_show_where_an_animal_was():
    """2 frames back from (12, 10) is (10, 10); 1 has a gap, so no line joins its places."""
    jumping = tracks().with_columns(
        X=pl.when(id=1, frame=2).then(50.0).otherwise("X"), poseX0=None, poseX2=None
    )
    style = OverlayStyle(ids=False, trail=2)
    image = Overlay(jumping, style=style).draw(BLACK, 2)
    assert at(image, 10, 10) == at(image, 11, 10) == colour_of(0)
    assert at(image, 45, 30) == (0, 0, 0)
    short = Overlay(jumping, style=OverlayStyle(ids=False, trail=1)).draw(BLACK, 2)
    assert at(short, 11, 10) == colour_of(0)
    assert at(short, 9, 10) == (0, 0, 0)


def test_labels_colour_animals():
    """0 is labelled 5; 1 has no label and is grey, not the colour of some class."""
    labels = pl.DataFrame({"frame": [0, 0], "id": [0, 1], "label": [5, None]})
    style = OverlayStyle(ids=False, colour_by="label")
    image = Overlay(tracks(), labels=labels, style=style).draw(BLACK, 0)
    assert at(image, 4, 10) == colour_of(5)
    assert at(image, 34, 30) == NOTHING
    with pytest.raises(ParamsError, match="there are no labels"):
        Overlay(tracks(), style=style)


def words(overlay: Overlay, monkeypatch) -> list[str]:
    from mosaic_dagster.media.canvas import Canvas

    told: list[str] = []
    monkeypatch.setattr(Canvas, "text", lambda self, text, *rest: told.append(text))
    overlay.draw(BLACK, 0)
    return told


def test_words_are_id_label_and_truth(monkeypatch):
    """People compare prediction and truth by reading them side by side."""
    labels = pl.DataFrame({"frame": [0, 0], "id": [0, 1], "label": [1, 0]})
    truth = pl.DataFrame({"frame": [0], "id": ["0"], "label": ["other"]})
    style = OverlayStyle(label_names=("rest", "attack"))
    overlay = Overlay(tracks(), labels=labels, truth=truth, style=style)
    assert words(overlay, monkeypatch) == ["0 attack (truth: other)", "1 rest"]


def test_labels_of_the_scene_stand_in_the_corner(monkeypatch):
    labels = pl.DataFrame({"frame": [0], "label": ["mount"]})
    truth = pl.DataFrame({"frame": [0], "label": ["other"]})
    overlay = Overlay(tracks(), labels=labels, truth=truth, style=BARE)
    assert words(overlay, monkeypatch) == ["mount (truth: other)"]
    coloured = Overlay(tracks(), labels=labels, style=OverlayStyle(ids=False, colour_by="label"))
    assert at(coloured.draw(BLACK, 0), 34, 30) == colour_of("mount")


def test_words_are_visible():
    """Also those that the font of OpenCV does not have."""
    style = OverlayStyle(id_styles={1: IdStyle(name="Zoë", hidden=False), 0: IdStyle(hidden=True)})
    image = Overlay(tracks(), style=style).draw(BLACK, 0)
    bare = Overlay(tracks(), style=OverlayStyle(ids=False, id_styles=style.id_styles))
    assert (image != bare.draw(BLACK, 0)).any()


def test_single_animals_can_look_different():
    styles = {"1": IdStyle(colour=(1, 2, 3), scale=3.0), 0: IdStyle(hidden=True)}
    image = Overlay(tracks(), style=OverlayStyle(ids=False, id_styles=styles)).draw(BLACK, 0)
    assert not image[:15].any()
    assert at(image, 34, 30) == at(image, 34, 26) == (1, 2, 3)


def test_a_number_without_a_name_is_an_error():
    lookup = LabelLookup(pl.DataFrame({"frame": [0], "label": [2]}), "label", ("rest", "attack"))
    with pytest.raises(ParamsError, match="no name for the label 2"):
        lookup.name(2)
    assert LabelLookup(pl.DataFrame({"frame": [0], "label": [2]}), "label").name(2) == "2"


def test_an_overlay_is_a_clip(film):
    clip = Overlay(tracks(), style=BARE).clip(film([BLACK] * 3), output="both")
    assert (clip.name, clip.fps, clip.frames) == ("overlay", 10.0, (0, 1, 2))
    assert len(clip.pictures) == 3
    assert clip.video is not None
    chosen = Overlay(tracks(), style=BARE).images(film([BLACK] * 3), [2])
    assert [(n, at(image, 6, 10)) for n, image in chosen] == [(2, colour_of(0))]


@pytest.mark.parametrize("values", [{"colour_by": "mood"}, {"trail": -1}, {"radius": 0}])
def test_styles_that_cannot_be_are_refused(values):
    with pytest.raises(ParamsError):
        OverlayStyle(**values)
