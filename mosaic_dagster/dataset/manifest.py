"""``dataset.yaml``: what a dataset is called, how it was recorded and where its files lie.

The manifest is the part of a workspace that people may edit by hand. A lab that declares its
datasets in code writes a :class:`DatasetDeclaration`; :meth:`Manifest.updated_by` brings it into
the manifest without losing what ``mosaic ingest`` added.
"""

from __future__ import annotations

import os
import re
import tempfile
import uuid
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from mosaic_dagster.dataset.validation import describe_problems
from mosaic_dagster.errors import ManifestError
from mosaic_dagster.hashing import digest

MANIFEST_FILE = "dataset.yaml"
"""Name of the manifest inside a workspace."""

MANIFEST_VERSION = 1
"""Version of the file format that this package writes."""

RESERVED_NAMES = frozenset({"model", "report", "tracks", "labels", "dagster"})
"""Words that mean something in asset keys, so that nothing may be called so."""

_NAME = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")


def check_name(name: str) -> str:
    """Return the name of a dataset when it may be one.

    Raises
    ------
    ManifestError
        The name has other characters than an asset key may have, or is reserved.
    """
    if not _NAME.fullmatch(name):
        msg = f"{name!r} cannot be the name of a dataset."
        raise ManifestError(
            msg, "Use lower-case letters, digits and single underscores, a letter first."
        )
    if name in RESERVED_NAMES:
        msg = f"{name!r} cannot be the name of a dataset, the word is reserved."
        raise ManifestError(msg, f"Reserved are: {', '.join(sorted(RESERVED_NAMES))}.")
    return name


class SourceRule(BaseModel):
    """Where files lie and how they are read.

    Attributes
    ----------
    path
        A file, or a folder that is searched with all folders below it; kept as given.
    format
        Name of a reader, or ``auto`` to recognise each file by its content.
    params
        Parameters of the reader.
    group
        Group of all entries; None takes the parent folder below ``path``.
    sequence
        Regular expression that is searched in the name which the format gives a recording; its
        first group is the sequence. None takes the name as it is.
    labels
        Kind of the labels that the files hold, such as ``behavior``; None for tracks.
    declared
        True when the rule comes from a declaration in code, which may replace it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    path: str
    format: str = "auto"
    params: dict[str, Any] = Field(default_factory=dict)
    group: str | None = None
    sequence: str | None = None
    labels: str | None = None
    declared: bool = False

    @field_validator("sequence")
    @classmethod
    def _one_group(cls, pattern: str | None) -> str | None:
        try:
            groups = 1 if pattern is None else re.compile(pattern).groups
        except re.error as error:
            msg = f"is no regular expression: {error}"
            raise ValueError(msg) from error
        if groups != 1:
            msg = f"must have one group, the name of the sequence, and has {groups}"
            raise ValueError(msg)
        return pattern

    @field_validator("labels")
    @classmethod
    def _kind(cls, kind: str | None) -> str | None:
        if kind is not None and not _NAME.fullmatch(kind):
            msg = "must be lower-case letters, digits and single underscores, a letter first"
            raise ValueError(msg)
        return kind

    @field_validator("path", mode="before")
    @classmethod
    def _as_text(cls, value: object) -> object:
        text = value.as_posix() if isinstance(value, Path) else value
        if text == "":
            msg = "the path is empty"
            raise ValueError(msg)
        return text

    @property
    def digest(self) -> str:
        """sha256 of all that decides which entries the rule gives and how they are read."""
        given = self.model_dump(exclude={"declared"})
        later = {"sequence", "labels"}  # absent from rules that were recorded without them
        return digest({k: v for k, v in given.items() if k not in later or v is not None})

    @property
    def asset(self) -> str:
        """What the files are turned into: ``tracks``, or ``labels/<kind>``."""
        return "tracks" if self.labels is None else f"labels/{self.labels}"


def _rule(source: SourceRule | str | Path) -> SourceRule:
    return source if isinstance(source, SourceRule) else SourceRule(path=str(source))


@dataclass(frozen=True)
class DatasetDeclaration:
    """What a lab writes in code about a dataset; None and empty leave the manifest as it is.

    Attributes
    ----------
    name
        Name of the dataset, first part of its asset keys.
    fps
        Frames per second of recordings whose files do not tell.
    unit
        Unit of the coordinates, such as ``px`` or ``mm``.
    keypoints
        Names of the keypoints in the order of ``poseX0``, ``poseX1``, …
    sources
        Where its files are; plain text is the path of a rule with ``format="auto"``.
    """

    name: str
    fps: float | None = None
    unit: str | None = None
    keypoints: tuple[str, ...] = ()
    sources: tuple[SourceRule | str, ...] = ()

    def __post_init__(self) -> None:
        check_name(self.name)
        object.__setattr__(self, "keypoints", tuple(self.keypoints))
        object.__setattr__(self, "sources", tuple(self.sources))

    @property
    def paths(self) -> list[str]:
        """Paths of its sources."""
        return [_rule(source).path for source in self.sources]


class Manifest(BaseModel):
    """Content of ``dataset.yaml``; frozen, changes make a new one.

    Attributes
    ----------
    name, fps, unit, keypoints
        As in :class:`DatasetDeclaration`.
    sources
        The rules that ``mosaic ingest`` and declarations gave, in order.
    roots
        Folders by role (``media``, …) for those who need them; kept as given.
    cm_per_pixel
        Length of a pixel in centimetres, of recordings in ``px`` that were calibrated.
    continuous
        True when the sequences of a group follow each other without a gap.
    meta
        Anything else that is worth keeping.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    version: int = Field(default=MANIFEST_VERSION, ge=1)
    name: str
    uuid: str = Field(default_factory=lambda: str(uuid.uuid4()))
    created_at: datetime = Field(default_factory=lambda: datetime.now(UTC).replace(microsecond=0))
    fps: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    unit: str | None = None
    keypoints: tuple[str, ...] = ()
    cm_per_pixel: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    continuous: bool = False
    sources: tuple[SourceRule, ...] = ()
    roots: dict[str, str] = Field(default_factory=dict)
    meta: dict[str, Any] = Field(default_factory=dict)
    notes: str = ""

    @field_validator("name")
    @classmethod
    def _name(cls, value: str) -> str:
        return check_name(value)

    @field_validator("keypoints")
    @classmethod
    def _keypoints(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        repeated = sorted({name for name in value if value.count(name) > 1})
        if repeated:
            msg = f"named twice: {', '.join(repeated)}"
            raise ValueError(msg)
        return value

    @classmethod
    def new(cls, **values: Any) -> Self:
        """Make a manifest.

        Raises
        ------
        ManifestError
            A field is unknown or has a value that it cannot have.
        """
        return cls._checked(values, "The manifest")

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read a manifest file.

        Raises
        ------
        ManifestError
            The file is missing, is not YAML, was written by a newer version, or has an unknown
            or impossible field.
        """
        values = _read_yaml(path)
        version = values.get("version", MANIFEST_VERSION)
        if isinstance(version, int) and version > MANIFEST_VERSION:
            msg = f"{path} has version {version}; this package knows {MANIFEST_VERSION}."
            raise ManifestError(msg, "Update mosaic-dagster.")
        return cls._checked(values, str(path))

    @classmethod
    def _checked(cls, values: dict[str, Any], where: str) -> Self:
        try:
            return cls(**values)
        except ValidationError as error:
            known = {*cls.model_fields, *SourceRule.model_fields}
            msg = f"{where}: {describe_problems(error, known)}"
            raise ManifestError(msg, "Correct it and try again.") from error

    def save(self, path: Path) -> None:
        """Write the manifest file; a reader sees the old or the new content, never a part."""
        values = self.model_dump(mode="json")
        text = yaml.dump(values, Dumper=_Dumper, sort_keys=False, allow_unicode=True)
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            Path(temporary).chmod(0o644)
            Path(temporary).replace(path)
        except BaseException:
            with suppress(OSError):
                Path(temporary).unlink()
            raise

    def with_source(self, rule: SourceRule) -> Self:
        """Return the manifest with this rule, in the place of one for the same path and asset."""
        return self._changed(sources=_merge(self.sources, [rule]))

    def without_source(self, rule: SourceRule) -> Self:
        """Return the manifest without this rule."""
        place = (rule.path, rule.asset)
        return self._changed(sources=[r for r in self.sources if (r.path, r.asset) != place])

    def updated_by(self, declaration: DatasetDeclaration) -> Self:
        """Return the manifest after a declaration: what it says wins, what it leaves open stays.

        Declared sources take the place of those declared earlier; sources added by
        ``mosaic ingest`` stay, unless the declaration names the same path.

        Raises
        ------
        ManifestError
            The declaration is about another dataset, or a value is impossible.
        """
        if declaration.name != self.name:
            msg = f"The workspace holds {self.name!r}, the declaration is of {declaration.name!r}."
            raise ManifestError(msg, "Give each dataset a workspace of its own.")
        declared = [
            _rule(source).model_copy(update={"declared": True}) for source in declaration.sources
        ]
        places = {(rule.path, rule.asset) for rule in declared}
        ingested = [r for r in self.sources if not r.declared and (r.path, r.asset) not in places]
        return self._changed(
            fps=self.fps if declaration.fps is None else declaration.fps,
            unit=declaration.unit or self.unit,
            keypoints=declaration.keypoints or self.keypoints,
            sources=_merge(declared, ingested),
        )

    def _changed(self, **values: Any) -> Self:
        return self._checked(dict(self) | values, f"The manifest of {self.name}")


class _Dumper(yaml.SafeDumper):
    """Quotes texts with the rarer line breaks, which YAML would otherwise read back as spaces."""


def _represent_text(dumper: _Dumper, text: str) -> yaml.ScalarNode:
    style = '"' if set(text) & set("\x85\u2028\u2029") else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _represent_text)


def _merge(old: Sequence[SourceRule], new: Sequence[SourceRule]) -> tuple[SourceRule, ...]:
    rules = {(rule.path, rule.asset): rule for rule in [*old, *new]}
    return tuple(rules.values())


def _read_yaml(path: Path) -> dict[str, Any]:
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        msg = f"There is no dataset at {path.parent}: it has no {path.name}."
        raise ManifestError(msg, "Make one with Dataset.create or `mosaic ingest`.") from error
    except (yaml.YAMLError, UnicodeDecodeError, OSError) as error:
        msg = f"{path} cannot be read: {error}"
        raise ManifestError(msg, "Correct the file and try again.") from error
    if not isinstance(values, dict) or not all(isinstance(name, str) for name in values):
        msg = f"{path} is not a list of `name: value` lines."
        raise ManifestError(msg, "Correct the file and try again.")
    return values
