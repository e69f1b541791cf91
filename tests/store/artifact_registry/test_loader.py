"""The loader: the right object, read once, and never one whose bytes were changed."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mosaic_dagster.errors import ArtifactCorruptError, UntrustedArtifactError
from mosaic_dagster.store.artifact_registry import (
    ArtifactLoader,
    ArtifactRecord,
    ArtifactRegistry,
    OperatorChain,
)

PATH = "s1.MinMaxScaler>s3.PLS"


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[ArtifactRegistry]:
    with ArtifactRegistry(tmp_path, "mice", pipeline_id="p") as opened:
        yield opened


def add(registry: ArtifactRegistry, obj: Any, path: str = PATH, **fields: Any) -> ArtifactRecord:
    step = OperatorChain.from_path(path).get_last_node().step_index
    fields = {"artifact_type": "model", "step_index": step, "format_hint": "json", **fields}
    return registry.register_with_chain(obj, path, **fields)


def loader_of(registry: ArtifactRegistry, cache_size: int = 100) -> ArtifactLoader:
    manifest = registry.export_to_manifest()
    return ArtifactLoader.from_manifest(manifest, registry.workspace, "mice", cache_size)


def objects(found: list[tuple[Any, Any]]) -> list[Any]:
    return [obj for _, obj in found]


def test_each_fold_gives_its_own_object(registry: ArtifactRegistry) -> None:
    """A model of another fold was trained on the rows that it is now tested on."""
    for fold in (1, 0, 2):
        add(registry, {"fold": fold}, fold_id=fold)
    loader = loader_of(registry)
    assert [loader.load_by_chain(PATH, fold)["fold"] for fold in range(3)] == [0, 1, 2]
    assert loader.load_by_id("p$d6ec12b94970:2") == {"fold": 2}
    assert loader.load_fold_models(3) == [(fold, {"fold": fold}) for fold in range(3)]
    assert loader.load_fold_models(3, branch_path=[0]) == []
    assert loader.load_fold_models(3, pipeline_id="q") == []


def test_what_is_not_there_is_named(registry: ArtifactRegistry) -> None:
    add(registry, 1, fold_id=0)
    loader = loader_of(registry)
    with pytest.raises(KeyError, match=r"p\$00:0"):
        loader.load_by_id("p$00:0")
    with pytest.raises(KeyError, match=r"s3\.PLS.*for fold 7"):
        loader.load_by_chain(PATH, 7)
    with pytest.raises(KeyError, match=r"p\$00:0"):
        loader.preload_artifacts(["p$00:0"])


def test_a_step_on_a_branch_gets_what_lies_before_and_around_it(
    registry: ArtifactRegistry,
) -> None:
    """Replay of branch [0, 1] needs its own objects, those of [0] and those before all branches."""
    for path in ("s2.A", "s2.B[br=0]", "s2.C[br=0.1]", "s2.D[br=1]", "s2.E[br=0.1.0]"):
        add(registry, path, path)
    loader = loader_of(registry)
    assert objects(loader.load_for_step(2, branch_path=[0, 1])) == [
        "s2.A", "s2.B[br=0]", "s2.C[br=0.1]",
    ]  # fmt: skip
    assert len(loader.load_for_step(2)) == 5
    assert objects(loader.load_by_chain_prefix("s2.B[br=0]")) == ["s2.B[br=0]"]


def test_a_step_of_a_fold_or_source_gets_what_all_share(registry: ArtifactRegistry) -> None:
    add(registry, "shared", "s2.A")
    add(registry, "fold 0", "s2.B", fold_id=0)
    add(registry, "fold 1", "s2.B", fold_id=1)
    add(registry, "source 1", "s2.C[src=1]")
    add(registry, "other", "s2.A", pipeline_id="q")
    loader = loader_of(registry)
    assert objects(loader.load_for_step(2, fold_id=0, pipeline_id="p")) == [
        "shared", "fold 0", "source 1",
    ]  # fmt: skip
    assert objects(loader.load_for_step(2, source_index=0, fold_id=1)) == [
        "shared", "fold 1", "other",
    ]  # fmt: skip
    assert loader.load_for_step(9) == []


def test_needs_are_loaded_first(registry: ArtifactRegistry) -> None:
    """A model that is asked before its scaler is there fails in the middle of a replay."""
    base = add(registry, "base", "s1.A")
    middle = add(registry, "middle", "s2.B", depends_on=[base.artifact_id])
    top = add(registry, "top", "s3.C", depends_on=[middle.artifact_id])
    loaded = loader_of(registry).load_with_dependencies(top.artifact_id)
    assert list(loaded.items()) == [
        (base.artifact_id, "base"), (middle.artifact_id, "middle"), (top.artifact_id, "top"),
    ]  # fmt: skip


def test_a_meta_model_comes_with_its_models_in_column_order(registry: ArtifactRegistry) -> None:
    """Columns in another order are other features: predictions would be wrong unnoticed."""
    one, two = add(registry, "one", "s3.A[br=0]"), add(registry, "two", "s3.B[br=1]")
    meta = registry.register_meta_model(
        "meta", "p$0a1b:all", [two.artifact_id, one.artifact_id], ["t", "o"], format_hint="json"
    )
    model, sources, columns = loader_of(registry).load_meta_model_with_sources(meta.artifact_id)
    assert (model, objects(sources), columns) == ("meta", ["two", "one"], ["t", "o"])
    with pytest.raises(ValueError, match=r"no meta-model"):
        loader_of(registry).load_meta_model_with_sources(one.artifact_id)


def test_a_manifest_with_a_foreign_branch_below_a_meta_model_is_noticed(
    registry: ArtifactRegistry,
) -> None:
    one = add(registry, "one", "s3.A[br=1]")
    meta = registry.register_meta_model("meta", "p$0a1b:all", [one.artifact_id])
    manifest = registry.export_to_manifest()
    manifest["items"][1]["branch_path"] = [0]
    loader = ArtifactLoader.from_manifest(manifest, registry.workspace, "mice")
    with pytest.raises(ValueError, match=r"branch 0"):
        loader.load_meta_model_with_sources(meta.artifact_id)
    found = loader.load_meta_model_with_sources(meta.artifact_id, validate_branch=False)
    assert objects(found[1]) == ["one"]


def test_a_repeated_load_is_the_same_object_and_reads_no_file(registry: ArtifactRegistry) -> None:
    """Replay over many recordings would else read the same model from the disk each time."""
    record = add(registry, [1])
    loader = loader_of(registry)
    first = loader.load_by_id(record.artifact_id)
    registry.store.objects.path(record.digest).unlink()
    assert loader.load_by_chain(PATH) is first
    info = loader.get_cache_info()
    assert info == {
        "size": 1, "max_size": 100, "hits": 1, "misses": 1, "hit_rate": 0.5,
        "by_type": {"model": 1},
    }  # fmt: skip
    loader.clear_cache()
    assert loader.get_cache_info()["hit_rate"] == 0.0
    with pytest.raises(FileNotFoundError):
        loader.load_by_id(record.artifact_id)


def test_what_was_not_used_for_longest_goes_first(registry: ArtifactRegistry) -> None:
    """Three objects in a cache of two: b goes, since a was used after it."""
    a, b, c = (add(registry, [name], f"s1.{name}") for name in "abc")
    loader = loader_of(registry, cache_size=2)
    first = loader.load_by_id(a.artifact_id)
    second = loader.load_by_id(b.artifact_id)
    loader.load_by_id(a.artifact_id)
    loader.load_by_id(c.artifact_id)
    assert loader.load_by_id(a.artifact_id) is first
    assert loader.load_by_id(b.artifact_id) is not second
    loader.set_cache_size(1)
    assert loader.get_cache_info()["size"] == 1


def test_a_cache_of_size_zero_keeps_nothing(registry: ArtifactRegistry) -> None:
    """Users turn it off for objects that are larger than memory."""
    record = add(registry, [1])
    loader = loader_of(registry, cache_size=0)
    assert loader.load_by_id(record.artifact_id) is not loader.load_by_id(record.artifact_id)
    assert loader.get_cache_info()["size"] == 0
    with pytest.raises(ValueError, match=r"-1"):
        loader.set_cache_size(-1)


def test_an_imported_re_run_is_not_answered_from_memory(registry: ArtifactRegistry) -> None:
    """The id is the same, the model is another."""
    add(registry, "old")
    loader = loader_of(registry)
    assert loader.load_by_chain(PATH) == "old"
    add(registry, "new")
    loader.import_from_manifest(registry.export_to_manifest())
    assert loader.load_by_chain(PATH) == "new"


def test_threads_get_one_and_the_same_object(registry: ArtifactRegistry) -> None:
    """Two copies of a model of many gigabytes do not fit where one does."""
    records = [add(registry, [i], f"s1.C{i}") for i in range(5)]
    loader = loader_of(registry)
    wanted = [record.artifact_id for record in records] * 40
    with ThreadPoolExecutor(8) as pool:
        loaded = list(pool.map(loader.load_by_id, wanted))
    assert {id(obj) for obj in loaded} == {id(obj) for obj in loaded[:5]}
    info = loader.get_cache_info()
    assert info["hits"] + info["misses"] == 200


def test_objects_are_loaded_ahead_by_id_or_type(registry: ArtifactRegistry) -> None:
    model = add(registry, [1])
    add(registry, [2], "s1.A", artifact_type="transformer")
    loader = loader_of(registry)
    assert loader.preload_artifacts(types=["transformer"]) == 1
    assert loader.get_cache_info()["by_type"] == {"transformer": 1}
    assert loader.preload_artifacts([model.artifact_id]) == 1
    assert loader.preload_artifacts() == 2
    with pytest.raises(ValueError, match=r"'models'"):
        loader.preload_artifacts(types=["models"])


def test_a_name_of_the_users_own_finds_its_record(registry: ArtifactRegistry) -> None:
    add(registry, 1, "s1.A")
    named = add(registry, 2, custom_name="best")
    loader = loader_of(registry)
    assert loader.find_artifact_by_custom_name("best") == named
    assert loader.find_artifact_by_custom_name("worst") is None
    assert loader.find_artifact_by_custom_name("") is None


def test_changed_bytes_and_untrusted_formats_are_refused(registry: ArtifactRegistry) -> None:
    """A manifest may come from anyone; loading must not run what it points to unasked."""
    plain = add(registry, 1)
    pickled = add(registry, np.ones(2), "s1.A", format_hint="joblib")
    manifest = registry.export_to_manifest()
    wary = ArtifactLoader.from_manifest(manifest, registry.workspace, "mice", allow_pickle=False)
    assert wary.load_by_id(plain.artifact_id) == 1
    with pytest.raises(UntrustedArtifactError):
        wary.load_by_id(pickled.artifact_id)
    path = registry.store.objects.path(plain.digest)
    path.chmod(0o644)
    path.write_bytes(b"2")
    with pytest.raises(ArtifactCorruptError):
        loader_of(registry).load_by_id(plain.artifact_id)


def test_a_path_in_a_manifest_leads_to_no_file_outside(registry: ArtifactRegistry) -> None:
    """A foreign manifest must not make the loader read any file of the machine."""
    outside = registry.workspace / "secret.json"
    outside.write_text("1", encoding="utf-8")
    item = {**add(registry, 1).to_dict(), "content_hash": "sha256:../../secret"}
    item["path"] = "../secret.json"
    loader = ArtifactLoader.from_manifest([item], registry.workspace, "mice")
    with pytest.raises(FileNotFoundError):
        loader.load_by_id(item["artifact_id"])


def test_the_manifests_of_the_dataset_are_enough_to_load(registry: ArtifactRegistry) -> None:
    add(registry, "obj")
    registry.save_manifest()
    loader = ArtifactLoader(registry.workspace, "mice")
    assert loader.load_manifests() == 1
    assert loader.load_by_chain(PATH) == "obj"
