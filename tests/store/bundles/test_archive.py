import io
import json
import stat
import struct
import zipfile
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mosaic_dagster.errors import BundleError, ObjectMissingError
from mosaic_dagster.hashing import digest_bytes
from mosaic_dagster.store.bundles import bundle_bytes, read_archive, zip_bytes


def add_member(path, name, data=b"x", **facts):
    """Append a member to a bundle, with what its entry says changed."""
    info = zipfile.ZipInfo("placeholder")
    info.filename = name
    for key, value in facts.items():
        setattr(info, key, value)
    with zipfile.ZipFile(path, "a") as file:
        file.writestr(info, data)
    return path


def named_file(path, format=None):
    """Entry of the manifest of one artifact of a bundle."""
    entries = read_archive(path).manifest["artifacts"].values()
    return next(e for e in entries if format in (None, e["format"]))


@given(members=st.dictionaries(st.text("abc/.", min_size=1, max_size=8), st.binary(max_size=40)))
def test_members_come_back_and_equal_members_give_equal_bytes(members):
    """Else exports differ without a reason, or lose bytes."""
    data = zip_bytes(members)
    assert zip_bytes(dict(reversed(members.items()))) == data
    with zipfile.ZipFile(io.BytesIO(data)) as file:
        assert file.namelist() == sorted(members)
        assert {name: file.read(name) for name in file.namelist()} == members


def test_artifacts_come_back(doubled, bundle_file):
    """Else a bundle loses models."""
    chain, artifacts = doubled
    archive = read_archive(bundle_file(doubled, artifact_format="keep"))
    archive.check()
    assert dict(archive.read_all()) == {a.artifact_id: a.data for a in artifacts}
    assert archive.read(artifacts[1].artifact_id) == artifacts[1].data
    assert archive.chain["steps"] == chain["steps"]


def test_a_missing_file_is_said(tmp_path):
    """Else a typing error ends in a traceback of the system."""
    with pytest.raises(ObjectMissingError, match=r"no file .*gone\.n4a"):
        read_archive(tmp_path / "gone.n4a")


@pytest.mark.parametrize("content", [b"", b"hello", b"PK\x03\x04", b"#!/bin/sh\n"])
def test_no_zip_is_refused(tmp_path, content):
    """Else people are not told that they gave the wrong file."""
    path = tmp_path / "x.n4a"
    path.write_bytes(content)
    with pytest.raises(BundleError, match=r"x\.n4a"):
        read_archive(path)


def test_a_script_before_the_zip_is_refused(doubled, bundle_file):
    """Else one file is a program to the shell and a bundle to us."""
    path = bundle_file(doubled)
    path.write_bytes(b"#!/bin/sh\n" + path.read_bytes())
    with pytest.raises(BundleError, match="does not begin"):
        read_archive(path)


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9, 0.999])
def test_a_cut_file_is_refused(doubled, bundle_file, share):
    """Else a broken download predicts something."""
    path = bundle_file(doubled)
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    with pytest.raises(BundleError):
        read_archive(path)


@pytest.mark.parametrize(
    ("name", "fault"),
    [
        ("../evil.py", "leads out"),
        ("artifacts/../../evil.py", "leads out"),
        ("/etc/passwd", "leads out"),
        ("C:/evil.py", "leads out"),
        ("artifacts\\evil.py", "leads out"),
        ("artifacts/" + "a" * 64 + ".joblib/..", "leads out"),
        ("evil.py", "no place"),
        ("artifacts/", "no place"),
        ("artifacts/evil.joblib", "no place"),
        ("artifacts/" + "A" * 64 + ".joblib", "no place"),
        ("artifacts/" + "a" * 64 + ".joblib\n", "no place"),
        ("manifest.json\0x", "no place"),
    ],
)
def test_members_elsewhere_are_refused(doubled, bundle_file, name, fault):
    """Else a tool that unpacks the bundle later writes outside its folder."""
    path = add_member(bundle_file(doubled), name)
    with pytest.raises(BundleError, match=fault):
        read_archive(path)


def test_links_are_refused(doubled, bundle_file):
    """Else a member leads to another file of the machine."""
    link = (stat.S_IFLNK | 0o777) << 16
    path = add_member(
        bundle_file(doubled), f"artifacts/{'a' * 64}.json", b"/etc/passwd", external_attr=link
    )
    with pytest.raises(BundleError, match="is a link"):
        read_archive(path)


def test_members_twice_are_refused(doubled, bundle_file):
    """Else the one that was checked is not the one that is read."""
    path = bundle_file(doubled)
    with pytest.warns(UserWarning, match="Duplicate"):
        add_member(path, "chain.json", b"{}")
    with pytest.raises(BundleError, match=r"'chain\.json' is there twice"):
        read_archive(path)


def test_encrypted_members_are_refused(doubled, bundle_file):
    """Else reading fails later, and not as an error of the bundle."""
    path = bundle_file(doubled)
    data = bytearray(path.read_bytes())
    entry = data.rindex(b"PK\x01\x02")
    data[entry + 8] |= 1
    path.write_bytes(data)
    with pytest.raises(BundleError, match="is encrypted"):
        read_archive(path)


def test_other_compressions_are_refused(doubled, bundle_file):
    """Else a bomb of a method without bounds is opened."""
    path = add_member(
        bundle_file(doubled), f"artifacts/{'a' * 64}.json", compress_type=zipfile.ZIP_LZMA
    )
    with pytest.raises(BundleError, match="unknown method 14"):
        read_archive(path)


def test_unnamed_and_absent_members_are_refused(doubled, bundle_file, rewrite):
    """Else bytes travel that nobody declared, or a model is missing when it is needed."""
    path = bundle_file(doubled)
    stray = f"artifacts/{digest_bytes(b'x')}.json"
    with pytest.raises(BundleError, match=f"does not name the member {stray}"):
        read_archive(rewrite(path, {stray: b"x"}))
    file = named_file(path)["file"]
    with pytest.raises(BundleError, match=f"{file} of the manifest is absent"):
        read_archive(rewrite(path, {file: None}))
    for name in ("manifest.json", "chain.json"):
        with pytest.raises(BundleError, match=f"has no {name}"):
            read_archive(rewrite(path, {name: None}))


def test_another_size_is_refused_at_once_and_another_content_when_read(
    doubled, bundle_file, rewrite
):
    """Else somebody exchanges a model and the hash beside it says nothing."""
    path = bundle_file(doubled)
    entry = named_file(path)
    with pytest.raises(BundleError, match="the manifest says"):
        read_archive(rewrite(path, {entry["file"]: b"short"}))
    archive = read_archive(rewrite(path, {entry["file"]: b"\0" * entry["size"]}))
    with pytest.raises(BundleError, match="is not what the manifest says"):
        archive.check()


def test_an_exchanged_file_is_noticed_after_opening(doubled, bundle_file, rewrite):
    """Else what was checked at opening is not what is loaded later."""
    path = bundle_file(doubled)
    archive = read_archive(path)
    file = named_file(path)["file"]
    path.write_bytes(rewrite(path, {file: None}).read_bytes())
    with pytest.raises(BundleError, match="has gone since"):
        archive.check()


def test_declared_sizes_are_bounded(doubled, bundle_file):
    """Else a small file fills the memory; the sum of all members counts, not the file."""
    path = bundle_file(doubled)
    data = b"\0" * 200_000
    add_member(
        path, f"artifacts/{digest_bytes(data)}.json", data, compress_type=zipfile.ZIP_DEFLATED
    )
    assert path.stat().st_size < 100_000
    with pytest.raises(BundleError, match="more than the 100000"):
        read_archive(path, max_bytes=100_000)


def test_a_member_larger_than_it_declares_is_never_inflated_further(tmp_path):
    """Else a lying size is a way around the bound: 50 MB would come out of 50 KB.

    The entry says 100 bytes; what is read is at most these, and their hash is not the declared.
    """
    bomb = zlib.compress(b"\0" * 50_000_000, 9)[2:-4]
    name = b"manifest.json"
    crc = zlib.crc32(b"\0" * 50_000_000)
    local = struct.pack("<IHHHHHIIIHH", 0x04034B50, 20, 0, 8, 0, 33, crc, len(bomb), 100, 13, 0)
    entry = struct.pack(
        "<IHHHHHHIIIHHHHHII",
        *(0x02014B50, 20, 20, 0, 8, 0, 33, crc, len(bomb), 100, 13, 0, 0, 0, 0, 0, 0),
    )
    body = local + name + bomb
    end = struct.pack("<IHHHHIIH", 0x06054B50, 0, 0, 1, 1, len(entry) + 13, len(body), 0)
    path = tmp_path / "bomb.n4a"
    path.write_bytes(body + entry + name + end)
    with pytest.raises(BundleError, match="cut or damaged"):
        read_archive(path, max_bytes=1_000_000)


def test_large_json_is_refused_before_it_is_inflated(doubled, bundle_file, rewrite):
    """Else the manifest is the bomb."""
    path = rewrite(bundle_file(doubled), {"chain.json": b" " * (16 << 20) + b"{}"})
    with pytest.raises(BundleError, match=r"chain\.json declares more than"):
        read_archive(path)


@settings(max_examples=60)
@given(place=st.integers(0, 10**6), bits=st.integers(1, 255))
def test_a_changed_byte_never_gives_another_chain(tmp_path_factory, place, bits):
    """Else damage changes predictions; a bundle is refused, or is what it was."""
    built = (
        {
            "steps": [{"step_idx": 0}],
            "model_step_idx": 0,
            "model_class": "M",
            "preprocessings": "",
            "fold_strategy": "per_fold",
            "fold_artifacts": {},
            "shared_artifacts": {},
        },
        [],
    )
    data = bytearray(bundle_bytes(*built))
    path = tmp_path_factory.mktemp("flip") / "x.n4a"
    path.write_bytes(data)
    before = read_archive(path)
    data[place % len(data)] ^= bits
    path.write_bytes(data)
    try:
        after = read_archive(path)
    except BundleError:
        return
    assert (after.manifest, after.chain) == (before.manifest, before.chain)


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"bundle_format_version": "3.0"}, "version '3.0'"),
        ({"artifacts": []}, "artifacts"),
        ({"model_step_index": 7}, "different model steps"),
        ({"artifacts": {}}, "only one of the manifest and the chain names"),
        ({"fold_weights": {"fold_0": -1.0, "fold_1": 2.0}}, "none is negative"),
        ({"model_class": None}, "model_class"),
    ],
)
def test_a_manifest_that_contradicts_itself_is_refused(
    doubled, bundle_file, rewrite, change, fault
):
    """Else it is replayed in a way that nobody trained."""
    path = bundle_file(doubled)
    manifest = {**read_archive(path).manifest, **change}
    with pytest.raises(BundleError, match=fault):
        read_archive(rewrite(path, {"manifest.json": json.dumps(manifest).encode()}))


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"sha256": "z" * 64}, "sha256"),
        ({"sha256": "a" * 64}, "not named by its hash"),
        ({"size": -1}, "size"),
        ({"format": "marshal"}, "unknown format 'marshal'"),
        ({"file": "../x.npz"}, "not named by its hash"),
    ],
)
def test_a_wrong_entry_of_an_artifact_is_refused(doubled, bundle_file, rewrite, change, fault):
    """Else the manifest leads somewhere else than to the member it names."""
    path = bundle_file(doubled)
    manifest = read_archive(path).manifest
    next(iter(manifest["artifacts"].values())).update(change)
    with pytest.raises(BundleError, match=fault):
        read_archive(rewrite(path, {"manifest.json": json.dumps(manifest).encode()}))


@pytest.mark.parametrize(
    "chain",
    [
        [],
        {},
        {"steps": 1, "model_step_idx": 0},
        {"steps": [1], "model_step_idx": 1},
        {"steps": [{"step_idx": "x"}], "model_step_idx": 1},
        {"steps": [{}], "model_step_idx": 1},
        {"steps": [{"step_idx": 1, "role": "shell"}], "model_step_idx": 1},
        {"steps": [{"step_idx": 1}, {"step_idx": 1}], "model_step_idx": 1},
        {"steps": [{"step_idx": 1}], "model_step_idx": 1, "shared_artifacts": {"x": ["a"]}},
        {"steps": [{"step_idx": 1}], "model_step_idx": 1, "shared_artifacts": {"1": {"a": 1}}},
        {"steps": [{"step_idx": 1}], "model_step_idx": 1, "fold_artifacts": {"f": 3}},
        {"steps": [{"step_idx": 1}], "model_step_idx": 1, "shared_artifacts": {"_source_map": 1}},
    ],
)
def test_what_is_no_chain_is_refused(doubled, bundle_file, rewrite, chain):
    """Else reading a stranger's file ends in an error of Python's."""
    with pytest.raises(BundleError, match=r"chain\.json|chain names|model steps"):
        read_archive(rewrite(bundle_file(doubled), {"chain.json": json.dumps(chain).encode()}))


@pytest.mark.parametrize("part", [{"params": [1]}, {"combined": "x"}, {"combined": [{}]}])
def test_malformed_steps_are_refused_when_opened(doubled, bundle_file, rewrite, part):
    """Else a bundle that was tampered with ends in a TypeError or KeyError of Python."""
    path = bundle_file(doubled)
    content = json.loads(zipfile.ZipFile(path).read("chain.json"))
    content["steps"][0] |= part
    manifest = json.loads(zipfile.ZipFile(path).read("manifest.json"))
    del manifest["chain_sha256"]
    changed = rewrite(
        path,
        {
            "chain.json": json.dumps(content).encode(),
            "manifest.json": json.dumps(manifest).encode(),
        },
    )
    with pytest.raises(BundleError, match=f"Step 0 has .*{next(iter(part))}"):
        read_archive(changed)


def test_a_chain_that_was_altered_is_refused(doubled, bundle_file, rewrite):
    """A changed parameter of a step that is built from its name would change every prediction."""
    path = bundle_file(doubled)
    content = json.loads(zipfile.ZipFile(path).read("chain.json"))
    content["steps"][0]["params"] = {"factor": 3}
    with pytest.raises(BundleError, match=r"chain\.json is not what the manifest says"):
        read_archive(rewrite(path, {"chain.json": json.dumps(content).encode()}))
