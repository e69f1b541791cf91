"""Lookups of records: each must find what is there, and nothing that has gone."""

from __future__ import annotations

from typing import Any

import pytest

from mosaic_dagster.errors import UnknownIdError
from mosaic_dagster.store.artifact_registry import ArtifactRecord, OperatorChain, generate_id
from mosaic_dagster.store.artifact_registry.indexes import RecordIndex


def record(
    path: str, fold: int | None = None, pipeline: str = "p", **fields: Any
) -> ArtifactRecord:
    last = OperatorChain.from_path(path).get_last_node()
    placed: dict[str, Any] = {
        "step_index": last.step_index,
        "branch_path": last.branch_path,
        "source_index": last.source_index,
    }
    return ArtifactRecord(
        generate_id(path, fold, pipeline),
        f"sha256:{fields.pop('digest', 'aa')}",
        "aa/aa.npz",
        chain_path=path,
        pipeline_id=pipeline,
        fold_id=fold,
        **{**placed, **fields},
    )


def index_of(*records: ArtifactRecord) -> RecordIndex:
    index = RecordIndex()
    index.add_all(records)
    return index


def test_each_fold_is_found_under_the_chain_that_all_share() -> None:
    """Five folds have one path; an index that keeps the last alone loses the other four."""
    folds = [record("s1.A>s3.PLS", fold) for fold in range(5)]
    index = index_of(*folds)
    assert [index.of_chain("s1.A>s3.PLS", fold) for fold in range(5)] == folds
    assert index.of_chain("s1.A>s3.PLS", 5) is None
    assert index.of_chain("s1.A") is None


def test_without_a_fold_what_all_share_comes_before_the_first_fold() -> None:
    fold1, fold0, shared = record("s1.A", 1), record("s1.A", 0), record("s1.A")
    assert index_of(fold1, fold0).of_chain("s1.A") == fold0
    assert index_of(fold1, fold0, shared).of_chain(OperatorChain.from_path("s1.A")) == shared


def test_a_chain_chooses_between_pipelines_that_share_it() -> None:
    """Two runs of one configuration: the named pipeline's object, else the own, else the last."""
    p, q = record("s1.A", pipeline="p"), record("s1.A", pipeline="q")
    index = index_of(p, q)
    assert index.of_chain(OperatorChain.from_path("s1.A", "p"), pipeline_id="q") == p
    assert index.of_chain("s1.A", pipeline_id="p") == p
    assert index.of_chain("s1.A") == q
    assert index.of_chain(OperatorChain.from_path("s1.A", "r")) is None


def test_a_prefix_ends_at_the_border_of_a_node() -> None:
    """``s2.B`` must not find ``s2.BX``, nor one model of a join the meta-model above it."""
    exact, longer, other = record("s1.A>s2.B"), record("s1.A>s2.B>s3.C"), record("s1.A>s2.BX")
    index = index_of(exact, longer, other, record("s4.P+s4.R>s5.M"))
    assert index.below_prefix("s1.A>s2.B") == [exact, longer]
    assert index.below_prefix("s4.P") == []
    assert len(index.below_prefix("")) == 4


def test_a_prefix_in_a_branch_takes_what_lies_before_it() -> None:
    """Replay of branch [0] needs the scaler before the branches, and nothing of branch [1]."""
    scaler, snv, pca = record("s1.A"), record("s1.A>s2.SNV[br=0]"), record("s1.A>s2.PCA[br=1]")
    index = index_of(scaler, snv, pca)
    assert index.below_prefix("s1.A", branch_path=[0]) == [scaler, snv]
    assert index.below_prefix("s1.A", branch_path=[]) == [scaler]


def test_a_prefix_of_a_source_takes_what_serves_all_sources() -> None:
    both, own, other = record("s1.A"), record("s1.A>s2.B[src=0]"), record("s1.A>s2.B[src=1]")
    assert index_of(both, own, other).below_prefix("s1.A", source_index=0) == [both, own]


def test_a_step_is_searched_at_exactly_the_place_asked_for() -> None:
    zero, one = record("s3.PLS[br=0]", 0), record("s3.PLS[br=1]", 0)
    shared, foreign = record("s3.PLS"), record("s3.PLS", pipeline="q")
    index = index_of(zero, one, shared, foreign)
    assert index.at_step("p", 3) == [zero, one, shared]
    assert index.at_step("p", 3, branch_path=[1]) == [one]
    assert index.at_step("p", 3, fold_id=0) == [zero, one]
    assert index.at_step("p", 3, branch_path=[]) == [shared]
    assert index.at_step("p", 4) == []


def test_fold_models_are_models_of_folds_in_their_order() -> None:
    """Ordered as text, fold 10 would come before fold 2 and predictions would be mixed up."""
    folds = [record("s3.PLS", fold) for fold in (10, 2, 0)]
    scaler = record("s3.A", 0, artifact_type="transformer")
    meta = record("s3.M", 1, artifact_type="meta_model")
    index = index_of(*folds, record("s3.PLS"), scaler, meta)
    assert [found.fold_id for found in index.fold_models("p", 3)] == [0, 1, 2, 10]


def test_bytes_are_found_with_and_without_the_name_of_the_hash() -> None:
    one, two = record("s1.A", digest="12"), record("s2.B", digest="12")
    index = index_of(one, two)
    assert index.of_hash("12") == index.of_hash("sha256:12") == [one, two]
    assert index.of_hash("13") == []


def test_an_id_of_another_chain_is_refused() -> None:
    """Twelve digits can collide; overwriting would put one model in another's place."""
    taken = record("s1.A")
    index = index_of(taken)
    clash = ArtifactRecord(taken.artifact_id, "sha256:bb", "bb/bb.npz", chain_path="s1.B")
    with pytest.raises(ValueError, match=r"s1\.A.*s1\.B"):
        index.add(clash)
    assert list(index) == [taken]


def test_a_batch_with_one_refused_record_adds_none() -> None:
    index = RecordIndex()
    clash = ArtifactRecord(record("s1.A").artifact_id, "sha256:bb", "b", chain_path="s1.B")
    with pytest.raises(ValueError, match=r"belongs to the chain"):
        index.add_all([record("s2.C"), record("s1.A"), clash])
    assert len(index) == 0


def test_a_record_of_a_re_run_replaces_the_old_one_in_every_lookup() -> None:
    """Found by its old bytes or its old name, it would be taken for two."""
    index = index_of(record("s1.A", digest="11", custom_name="old"), record("s2.B"))
    new = record("s1.A", digest="22", custom_name="new")
    index.add(new)
    assert index.of_hash("11") == index.of_name("old") == []
    assert index.of_hash("22") == index.of_name("new") == [new]
    assert index.of_chain("s1.A") == new
    assert len(index) == 2


def test_a_removed_record_is_in_no_lookup() -> None:
    """A record that one lookup still has would be loaded from a file that has gone."""
    gone = record("s1.A", 0, custom_name="n")
    index = index_of(gone)
    assert index.remove(gone.artifact_id) == gone
    assert index.remove(gone.artifact_id) is None
    assert gone.artifact_id not in index
    assert index.of_chain("s1.A", 0) is None
    found = [index.of_hash("aa"), index.of_name("n"), index.of_pipeline("p")]
    found += [index.at_step("p", 1), index.fold_models("p", 1), index.below_prefix("s1.A")]
    assert found == [[]] * 6


def test_needs_are_records_and_a_missing_one_is_named() -> None:
    """A meta-model that is loaded without one of its models predicts nonsense."""
    base = record("s1.A")
    model = record("s2.B", depends_on=[base.artifact_id])
    index = index_of(model, base)
    assert index.needed_by(model.artifact_id) == [base]
    index.remove(base.artifact_id)
    with pytest.raises(UnknownIdError, match=r"not registered here"):
        index.needed_by(model.artifact_id)
    index.add(base)
    assert index.needed_by(model.artifact_id) == [base]


def test_an_unknown_id_is_named() -> None:
    with pytest.raises(KeyError, match=r"p\$00:all"):
        RecordIndex().require("p$00:all")
