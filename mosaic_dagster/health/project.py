"""The project's own files: the settings of Dagster, the declared studies, and what they need."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from mosaic_dagster.dataset import SourceRule
from mosaic_dagster.errors import MosaicError
from mosaic_dagster.health.finding import Finding
from mosaic_dagster.pipeline import FeatureStep, Study

PROJECT = "project"
SETTINGS_FILE = "dagster.yaml"

_EXTRA_OF_FEATURE = {"global-tsne": "embedding", "global-umap": "embedding"}
_EXTRA_OF_FORMAT = dict.fromkeys(
    ("deeplabcut_h5", "sleap_analysis_h5", "sleap_slp", "jabs", "movement"), "hdf5"
)


def read_settings(root: Path) -> Mapping[str, Any] | None:
    """What ``dagster.yaml`` says; nothing without the file, None when it cannot be read."""
    try:
        found = yaml.safe_load((root / SETTINGS_FILE).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError, yaml.YAMLError):
        return None
    return {} if found is None else found if isinstance(found, dict) else None


def check_settings(root: Path) -> Iterator[Finding]:
    """``dagster.yaml``: readable, telemetry off, one place for every command."""
    path = root / SETTINGS_FILE
    try:
        found = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        told = " ".join(str(error).split())
        remedy = "Correct it, or take the one that `mosaic init` writes."
        yield Finding(PROJECT, f"{path} cannot be read: {told}", "error", remedy)
        return
    if found is not None and not isinstance(found, dict):
        remedy = "Write `name: value` lines, or take the one that `mosaic init` writes."
        yield Finding(PROJECT, f"{path} is not a list of settings.", "error", remedy)
        return
    settings = found or {}
    yield Finding(PROJECT, f"{path} can be read.")
    yield from _check_telemetry(settings)
    yield from _check_stock_storage(settings)


def _check_telemetry(settings: Mapping[str, Any]) -> Iterator[Finding]:
    telemetry = settings.get("telemetry")
    if isinstance(telemetry, dict) and telemetry.get("enabled") is False:
        yield Finding(PROJECT, "Dagster's telemetry is off.")
        return
    remedy = f"Put `telemetry: {{enabled: false}}` into {SETTINGS_FILE}."
    yield Finding(PROJECT, "Dagster's telemetry is on.", "warning", remedy)


def _check_stock_storage(settings: Mapping[str, Any]) -> Iterator[Finding]:
    folder = _nested(settings, "storage", "sqlite", "base_dir")
    if isinstance(folder, str) and not Path(folder).is_absolute():
        what = f"storage.sqlite.base_dir is {folder!r}, relative to wherever a command is typed."
        remedy = "Type commands in the project's folder alone, or write the whole path."
        yield Finding(PROJECT, what, "warning", remedy)


def instance_folder(root: Path, settings: Mapping[str, Any]) -> Path | None:
    """Where the runs of the project's instance are kept; None when not in a folder."""
    storage = settings.get("storage")
    if not storage:
        return root
    for path in (("custom", "config", "base_dir"), ("sqlite", "base_dir")):
        folder = _nested(settings, "storage", *path)
        if isinstance(folder, str):
            return root / folder
    return None


def _nested(settings: Mapping[str, Any], *names: str) -> Any:
    found: Any = settings
    for name in names:
        found = found.get(name) if isinstance(found, dict) else None
    return found


def check_home(root: Path, home: str | None) -> Iterator[Finding]:
    """Whether DAGSTER_HOME, where it is set, means this project."""
    if home and Path(home).expanduser().resolve() != root.resolve():
        what = f"DAGSTER_HOME is {home}: runs are recorded there, not in this project."
        remedy = f"unset DAGSTER_HOME, or set it to {root}, unless this is what you want."
        yield Finding(PROJECT, what, "warning", remedy)
    if not home and not (root / ".env").is_file():
        what = "There is no .env, so `dagster` typed here makes an instance of its own each time."
        remedy = f"Put `DAGSTER_HOME=${{PWD}}` into {root / '.env'}; `mosaic` needs no .env."
        yield Finding(PROJECT, what, "warning", remedy)


def check_studies(studies: Sequence[Study]) -> Iterator[Finding]:
    """What the project declares."""
    if not studies:
        what = "assets/ declares no study."
        yield Finding(PROJECT, what, "warning", "Gather studies in STUDIES of assets/__init__.py.")
    for study in studies:
        pipelines = ", ".join(pipeline.name for pipeline in study.pipelines) or "no pipeline"
        yield Finding(PROJECT, f"{study.dataset.name}: {pipelines}.")
        for pipeline in study.pipelines:
            try:
                pipeline.graph()
            except MosaicError as error:
                yield Finding(PROJECT, error.what, "error", error.remedy)


def extras_needed(studies: Sequence[Study]) -> dict[str, list[str]]:
    """Extra -> the declared steps and sources that need it."""
    needed: dict[str, list[str]] = {}
    for study in studies:
        for pipeline in study.pipelines:
            for step in pipeline.steps:
                name = step.feature_cls.name if isinstance(step, FeatureStep) else ""
                if name in _EXTRA_OF_FEATURE:
                    who = f"{pipeline.name}/{step.name}"
                    needed.setdefault(_EXTRA_OF_FEATURE[name], []).append(who)
        for source in study.dataset.sources:
            form = source.format if isinstance(source, SourceRule) else ""
            if form in _EXTRA_OF_FORMAT:
                who = f"the files {source.path!r}" if isinstance(source, SourceRule) else ""
                needed.setdefault(_EXTRA_OF_FORMAT[form], []).append(who)
    return needed
