"""The archive that skops writes, brought to one form for equal objects.

skops names its members by memory addresses and random numbers, and dates them. Here members and
``__id__`` are numbered in the order in which they first appear, dates are fixed, and what says
only how many threads were at hand is set to a fixed value. The archive still loads with skops.
"""

from __future__ import annotations

import json
import sys
from pathlib import PurePosixPath
from typing import Any

from mosaic_dagster.errors import StoreValueError
from mosaic_dagster.store.formats.archives import read_archive, write_archive
from mosaic_dagster.store.formats.plain import dump_array, load_array

_SCHEMA = "schema.json"
_HEADER_START = 64
_ONE_VALUE = "JsonNode"
_NAMES = frozenset({"FunctionNode", "TypeNode"})
# The number of threads of estimators and of what they keep, as JSON; KMeans needs a number.
_THREADS = {"n_jobs": "null", "n_threads": "null", "_n_threads": "1"}


def canonical_archive(data: bytes) -> bytes:
    """Archive with the same content as skops bytes, and one form for equal content."""
    members = read_archive(data)
    schema = json.loads(members.pop(_SCHEMA))
    numbering = _Numbering()
    numbering.visit(schema)
    text = json.dumps(schema, separators=(",", ":"))
    renamed = {new: _clean(new, members[old]) for old, new in numbering.files.items()}
    return write_archive({_SCHEMA: text.encode(), **renamed})


def _clean(name: str, data: bytes) -> bytes:
    """Bytes of a member, without what memory held between the fields of a tree's nodes."""
    structured = name.endswith(".npy") and b"'descr': [" in data[:_HEADER_START]
    return dump_array(load_array(data)) if structured else data


class _Numbering:
    """Numbers for the nodes and files of a schema, changed in place, parents first."""

    def __init__(self) -> None:
        self.files: dict[str, str] = {}
        self._ids: dict[int, int] = {}
        self._count = 0

    def visit(self, value: Any) -> None:
        if isinstance(value, list):
            for item in value:
                self.visit(item)
        elif isinstance(value, dict):
            # A mapping that was stored has nodes as values, also under the key "__loader__".
            if isinstance(value.get("__loader__"), str):
                self._rewrite(value)
            for item in value.values():
                self.visit(item)

    def _rewrite(self, node: dict[str, Any]) -> None:
        _check_importable(node)
        _fix_threads(node)
        _sort_set(node)
        if "__id__" in node:
            node["__id__"] = self._number(node)
        if isinstance(node.get("file"), str):
            node["file"] = self._file(node["file"])

    def _number(self, node: dict[str, Any]) -> int:
        old, new = node["__id__"], self._count
        # Which equal texts and numbers are one object in memory is chance, and they are immutable.
        if node["__loader__"] != _ONE_VALUE:
            new = self._ids.setdefault(old, new)
        self._count += new == self._count
        return new

    def _file(self, old: str) -> str:
        return self.files.setdefault(old, f"{len(self.files)}{PurePosixPath(old).suffix}")


def _check_importable(node: dict[str, Any]) -> None:
    """Refuse functions and classes that are stored as a name which leads nowhere."""
    if node["__loader__"] not in _NAMES:
        return
    module, name = node["__module__"], node["__class__"]
    if not hasattr(sys.modules.get(module), name):
        msg = f"{module}.{name} is stored as its name, and no module has it under that name."
        raise StoreValueError(msg, "Define it at the top of a module, or use 'cloudpickle'.")


def _fix_threads(node: dict[str, Any]) -> None:
    if node["__loader__"] != "ObjectNode" or not node["__module__"].startswith("sklearn."):
        return
    attributes = (node.get("content") or {}).get("content")
    if not isinstance(attributes, dict):
        return
    for name, text in _THREADS.items():
        attribute = attributes.get(name)
        if isinstance(attribute, dict) and attribute.get("__loader__") == _ONE_VALUE:
            attribute["content"] = text


def _sort_set(node: dict[str, Any]) -> None:
    if node["__loader__"] != "SetNode":
        return
    if all(item["__loader__"] == _ONE_VALUE for item in node["content"]):
        node["content"].sort(key=lambda item: item["content"])
