"""Records: what is written into a manifest must come back."""

from __future__ import annotations

import pytest

from mosaic_dagster.store.artifact_registry import ArtifactRecord, ArtifactType, MetaModelConfig

DIGEST = "ab" * 32


def stacked() -> ArtifactRecord:
    return ArtifactRecord(
        "p$d6ec12b94970:2",
        f"sha256:{DIGEST}",
        f"ab/{DIGEST}.npz",
        chain_path="s4.PLS+s4.RF>s5.Ridge",
        pipeline_id="p",
        branch_path=[0, 1],
        step_index=5,
        fold_id=2,
        source_index=0,
        artifact_type="meta_model",
        class_name="Ridge",
        depends_on=["p$aa:2", "p$bb:2"],
        params={"alpha": 0.5},
        meta_config=MetaModelConfig(
            [{"artifact_id": "p$bb:2", "feature_index": 1},
             {"artifact_id": "p$aa:2", "feature_index": 0}],
            ["a", "b"],
        ),
    )  # fmt: skip


def test_a_record_comes_back_as_it_was() -> None:
    """Every field lost here is a place in the pipeline that replay no longer knows."""
    record = stacked()
    assert ArtifactRecord.from_dict(record.to_dict()) == record


def test_a_dictionary_of_a_later_version_is_read_without_what_is_unknown() -> None:
    data = {**stacked().to_dict(), "colour": "red"}
    assert ArtifactRecord.from_dict(data) == stacked()


def test_the_meta_configuration_is_written_only_where_there_is_one() -> None:
    """Readers take its presence for a meta-model."""
    assert "meta_config" in stacked().to_dict()
    assert "meta_config" not in ArtifactRecord("p$aa:all", "sha256:00", "00/00.npz").to_dict()


def test_the_dictionary_holds_plain_values_only() -> None:
    """Enums in a manifest would not be readable as plain YAML."""
    assert type(stacked().to_dict()["artifact_type"]) is str
    assert type(stacked().to_dict()["meta_config"]) is dict


def test_what_properties_say_follows_from_the_fields() -> None:
    record, plain = stacked(), ArtifactRecord("p$0a1b:all", "sha256:00", "00/00.npz")
    assert record.short_hash == "abababababab"
    assert record.chain_hash == "d6ec12b94970"
    assert (record.get_branch_path_str(), record.get_fold_str()) == ("0:1", "2")
    assert (plain.get_branch_path_str(), plain.get_fold_str()) == ("", "all")
    flags = ("is_branch_specific", "is_fold_specific", "is_source_specific", "is_meta_model")
    assert [getattr(record, flag) for flag in flags] == [True] * 4
    assert [getattr(plain, flag) for flag in flags] == [False] * 4


def test_fold_and_source_zero_are_specific() -> None:
    """0 is a fold and a source; taken for none, it would serve all of them."""
    record = ArtifactRecord("p$aa:0", "sha256:00", "00/00.npz", fold_id=0, source_index=0)
    assert record.is_fold_specific
    assert record.is_source_specific
    assert record.get_fold_str() == "0"
    assert record.matches_context(fold_id=0)
    assert not record.matches_context(fold_id=1)


def test_the_models_below_come_in_the_order_of_their_columns() -> None:
    """Predictions in another order are other features: the meta-model would be wrong unnoticed."""
    config = stacked().meta_config
    assert config is not None
    assert config.source_ids() == ["p$aa:2", "p$bb:2"]


@pytest.mark.parametrize("missing", ["artifact_id", "content_hash", "path"])
def test_a_dictionary_without_identity_or_content_is_refused(missing: str) -> None:
    data = stacked().to_dict()
    del data[missing]
    with pytest.raises(ValueError, match=missing):
        ArtifactRecord.from_dict(data)


def test_an_unknown_type_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ValueError, match=r"'classifier'.*transformer"):
        ArtifactRecord("p$aa:all", "sha256:00", "x", artifact_type="classifier")
    assert ArtifactType.of("splitter") is ArtifactType.SPLITTER
