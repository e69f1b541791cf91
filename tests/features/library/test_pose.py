"""PoseConfig: reading the tail for the neck turns every heading round."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from mosaic_dagster.errors import ParamsError
from mosaic_dagster.features.library.pose import PoseConfig
from mosaic_dagster.features.params import DatasetFacts

FACTS = DatasetFacts(keypoints=("nose", "neck", "tail"))


def test_a_number_is_the_one_behind_the_prefix():
    assert PoseConfig(pose_n=2).columns() == ("poseX0", "poseY0", "poseX1", "poseY1")
    chosen = PoseConfig(pose_indices=(10, 2), x_prefix="x_", y_prefix="y_")
    assert chosen.columns() == ("x_10", "y_10", "x_2", "y_2")
    assert chosen.columns_by_axis() == ("x_10", "x_2", "y_10", "y_2")
    assert (PoseConfig().count(), chosen.count()) == (7, 2)


def test_names_are_the_configurations_own_or_the_datasets():
    pose = PoseConfig(pose_indices=("tail", 0))
    assert not pose.is_resolved()
    assert pose.resolve(FACTS)["pose_indices"] == (2, 0)
    own = PoseConfig(pose_indices=("b",), pose_n=2, keypoint_names=("a", "b"))
    assert PoseConfig(**own.resolve(FACTS)).selected() == (1,)
    assert PoseConfig(pose_n=3).resolve(FACTS)["pose_indices"] is None
    with pytest.raises(ParamsError, match="not looked up"):
        pose.selected()
    with pytest.raises(ParamsError, match="no keypoint 'tail'"):
        pose.resolve(DatasetFacts())


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"pose_n": 0}, "greater than or equal to 1"),
        ({"pose_indices": ()}, "names no keypoint"),
        ({"pose_indices": (1, 1)}, "one twice"),
        ({"pose_indices": (-1,)}, "negative"),
        ({"keypoint_names": ("a",)}, "1 names and pose_n is 7"),
        ({"y_prefix": "poseX"}, "both 'poseX'"),
    ],
)
def test_what_cannot_be_is_refused(values, said):
    with pytest.raises(ValidationError, match=said):
        PoseConfig(**values)
