"""What Dagster loads of the project: its definitions, and a workspace for every dataset."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from mosaic_dagster.health.finding import Finding
from mosaic_dagster.pipeline import Study

DEFINITIONS = "definitions"


def check_definitions(
    root: Path, studies: Sequence[Study], load: Callable[[], Any]
) -> Iterator[Finding]:
    """Load what ``dagster dev`` would load, and compare its workspaces with ours.

    Parameters
    ----------
    root
        The project.
    studies
        What it declares.
    load
        Imports ``assets.definitions`` and gives its ``definitions``; it is called with the project
        as current folder. What it raises is for the caller.
    """
    resources = dict(load().resources or {})
    for study in studies:
        name = study.dataset.name
        resource = resources.get(f"{name}_workspace")
        if resource is None:
            what = f"The dataset {name!r} has no workspace among the resources."
            remedy = f"Give a WorkspaceResource under {name!r} in resources/."
            yield Finding(DEFINITIONS, what, "error", remedy)
            continue
        found, expected = Path(resource.path), root / "workspaces" / name
        if found.resolve() != expected.resolve():
            what = f"Dagster keeps the dataset {name!r} in {found}, `mosaic` in {expected}."
            remedy = f"Let resources/ name {expected / 'store.duckdb'}."
            yield Finding(DEFINITIONS, what, "error", remedy)
    yield Finding(DEFINITIONS, f"Dagster can load the project: {len(resources)} resources.")
