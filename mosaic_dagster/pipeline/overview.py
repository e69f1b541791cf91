"""The steps of a pipeline as a picture and as text."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

from mosaic_dagster.pipeline.steps import FeatureStep, TrainingStep, is_ingested

if TYPE_CHECKING:
    from mosaic_dagster.pipeline.pipeline import Pipeline


def step_kinds(pipeline: Pipeline) -> dict[str, str]:
    """Category of each step: that of its feature, ``training`` or ``callback``."""
    return {
        step.name: step.feature_cls.category
        if isinstance(step, FeatureStep)
        else "training"
        if isinstance(step, TrainingStep)
        else "callback"
        for step in pipeline.steps
    }


def draw(
    pipeline: Pipeline, highlight: Collection[str] = (), stop_at: Sequence[str] | None = None
) -> bytes:
    """Draw the steps, those up to ``stop_at`` alone if it is given."""
    # Drawing takes half a second to import, which only those should wait for who draw.
    from mosaic_dagster.charts.diagram import diagram

    steps = _shown(pipeline, stop_at)
    kinds = {name: kind for name, kind in step_kinds(pipeline).items() if name in steps}
    return diagram(steps, kinds, f"Steps of {pipeline.name!r}", highlight)


def tell(pipeline: Pipeline, stop_at: Sequence[str] | None = None) -> str:
    """Write the steps as a tree, each below the last of what it needs.

    A step that needs others besides names them.
    """
    steps = _shown(pipeline, stop_at)
    below: dict[str, list[str]] = {}
    for name, ups in steps.items():
        parent = next((up for up in reversed(ups) if not is_ingested(up)), next(iter(ups), ""))
        below.setdefault(parent, []).append(name)
    roots = [name for name in below if name not in steps]
    lines: list[str] = []
    for root in roots:
        lines.append(root or "(nothing)")
        lines += _branches(root, steps, below, "")
    return "\n".join(lines)


def _branches(
    parent: str, steps: dict[str, list[str]], below: dict[str, list[str]], indent: str
) -> list[str]:
    lines = []
    children = below.get(parent, [])
    for place, name in enumerate(children):
        last = place + 1 == len(children)
        others = [up for up in steps[name] if up != parent]
        more = f"  (and {', '.join(others)})" if others else ""
        lines.append(f"{indent}{'└─ ' if last else '├─ '}{name}{more}")
        lines += _branches(name, steps, below, indent + ("   " if last else "│  "))
    return lines


def _shown(pipeline: Pipeline, stop_at: Sequence[str] | None) -> dict[str, list[str]]:
    graph = pipeline.graph()
    if stop_at is None:
        return pipeline.dag()
    for name in stop_at:
        graph.require(name)
    wanted = graph.above(stop_at)
    return {name: ups for name, ups in pipeline.dag().items() if name in wanted}
