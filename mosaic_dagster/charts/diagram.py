"""A pipeline as a picture: steps from left to right, edges to what needs them."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from matplotlib.font_manager import FontProperties
from matplotlib.patches import FancyBboxPatch, Patch, PathPatch
from matplotlib.path import Path
from matplotlib.textpath import TextPath

from mosaic_dagster.charts.canvas import new_figure, to_png
from mosaic_dagster.charts.colours import lighter, palette
from mosaic_dagster.charts.layout import Layout, Place, lay_out
from mosaic_dagster.errors import UnknownStepError

INPUT = "input"
"""Kind of what is needed and is no step, such as the tracks."""

_FONT = 8.5
_LINE = 0.145
_PAD = 0.16
_GAP = 0.42
_SPACE = 0.14
_WIDEST_LINE = 11
_LONGEST_WORD = 16
_EDGE, _EDGE_SHOWN, _FRAME = "#8A8A8A", "#000000", "#444444"


def diagram(
    steps: Mapping[str, Sequence[str]],
    kinds: Mapping[str, str] | None = None,
    title: str = "",
    highlight: Collection[str] = (),
) -> bytes:
    """Draw a graph of steps.

    Parameters
    ----------
    steps
        What each step needs. A name that is needed and is no step is drawn as an input.
    kinds
        Category of steps, shown by colour; steps that have none are white.
    title
        Title of the picture.
    highlight
        Names with a thick frame; edges between them are black.

    Returns
    -------
    bytes
        A PNG picture, as wide as the steps need. Edges of one step share their way.

    Raises
    ------
    CycleError
        If steps need each other in a circle.
    UnknownStepError
        If a kind or a highlight is of a name that does not occur.
    """
    needs = {name: list(sources) for name, sources in steps.items()}
    inputs = [n for sources in steps.values() for n in sources if n not in needs]
    needs = {**{name: [] for name in inputs}, **needs}
    _check([*(kinds or {}), *highlight], needs)
    layout = lay_out(needs)
    lines = {name: _wrap(name) for name in needs}
    boxes = _boxes(layout, lines)
    shown_kinds = {**dict.fromkeys(inputs, INPUT), **(kinds or {})}
    fills = _fills(shown_kinds)
    wide = max((x + w / 2 for x, _, w, _ in boxes.values()), default=1.0) + 0.15
    high = max((y + h / 2 for _, y, _, h in boxes.values()), default=0.5) + 0.15
    axis = _axis(max(wide, 3.0), high, title, fills)
    _draw_edges(axis, layout, boxes, set(highlight))
    for name in needs:
        fill = fills.get(shown_kinds.get(name, ""), "#FFFFFF")
        _draw_step(axis, boxes[name, layout.layers[name]], lines[name], fill, name in highlight)
    return to_png(axis.figure)


Box = tuple[float, float, float, float]
"""Middle x, middle y, width and height in inches."""


def _check(named: Sequence[str], needs: Mapping[str, Sequence[str]]) -> None:
    unknown = sorted(set(named) - set(needs))
    if unknown:
        raise UnknownStepError(
            f"The diagram has no step {', '.join(map(repr, unknown))}.",
            f"Its steps are: {', '.join(needs) or 'none'}.",
        )


def _wrap(name: str) -> list[str]:
    """Break a name behind its separators, and inside a word only if that is very long."""
    words = [
        word[i : i + _LONGEST_WORD]
        for word in re.findall(r"[^_\-/ ]*[_\-/ ]?", name)
        for i in range(0, len(word), _LONGEST_WORD)
    ]
    lines = [""]
    for word in words:
        if lines[-1] and len(lines[-1] + word) > _WIDEST_LINE:
            lines.append("")
        lines[-1] += word
    return lines


def _text_width(line: str) -> float:
    if not line.strip():
        return 0.0
    text = TextPath((0, 0), line, size=_FONT, prop=FontProperties(family="DejaVu Sans"))
    return float(text.get_extents().width) / 72


def _boxes(layout: Layout, lines: Mapping[str, list[str]]) -> dict[Place, Box]:
    """Box of each place; where an edge passes by, one of no height."""
    widths = {name: max(map(_text_width, told)) + _PAD for name, told in lines.items()}
    tallest = max((len(told) for told in lines.values()), default=1) * _LINE + _PAD
    count = max(layout.layers.values(), default=-1) + 1
    columns = [0.0] * count
    for name, layer in layout.layers.items():
        columns[layer] = max(columns[layer], widths[name])
    middles, right = [], 0.15
    for width in columns:
        middles.append(right + width / 2)
        right += width + _GAP
    top = max(layout.heights.values(), default=0.0)
    boxes = {}
    for (name, layer), height in layout.heights.items():
        y = (top - height) * (tallest + _SPACE) + tallest / 2 + 0.12
        is_step = layout.layers[name] == layer
        high = len(lines[name]) * _LINE + _PAD if is_step else 0.0
        boxes[name, layer] = (middles[layer], y, columns[layer], high)
    return boxes


def _fills(kinds: Mapping[str, str]) -> dict[str, str]:
    colours = palette(set(kinds.values()) - {INPUT})
    fills = {kind: lighter(colour, 0.55) for kind, colour in colours.items()}
    return {**fills, INPUT: "#E4E4E4"} if INPUT in kinds.values() else fills


def _axis(wide: float, high: float, title: str, fills: Mapping[str, str]) -> Any:
    """Axes whose unit is an inch, with the title above and the key below."""
    above, below = 0.35 if title else 0.05, 0.4 if fills else 0.05
    columns = max(1, int(wide / 1.3))
    below += 0.2 * (-(-len(fills) // columns) - 1) if fills else 0.0
    figure = new_figure(wide, high + above + below)
    figure.set_layout_engine("none")
    full = figure.get_figheight()
    axis = figure.add_axes((0.0, below / full, 1.0, high / full))
    axis.set(xlim=(0, wide), ylim=(0, high))
    axis.set_axis_off()
    if title:
        figure.text(0.5, 1 - 0.18 / full, title, ha="center", va="center", fontsize=11)
    if fills:
        handles = [Patch(facecolor=f, edgecolor=_FRAME, label=kind) for kind, f in fills.items()]
        figure.legend(
            handles=handles, loc="lower center", frameon=False, fontsize=8.5,
            ncols=min(columns, len(fills)), handlelength=1.2,
        )  # fmt: skip
    return axis


def _draw_step(axis: Any, box: Box, lines: list[str], fill: str, marked: bool) -> None:
    x, y, width, height = box
    axis.add_patch(
        FancyBboxPatch(
            (x - width / 2, y - height / 2), width, height, facecolor=fill,
            boxstyle="round,pad=0,rounding_size=0.06", edgecolor="#000000" if marked else _FRAME,
            linewidth=2.4 if marked else 0.8, zorder=3,
        )
    )  # fmt: skip
    axis.text(
        x, y, "\n".join(lines), ha="center", va="center", fontsize=_FONT, linespacing=1.05,
        weight="bold" if marked else "normal", zorder=4,
    )  # fmt: skip


def _draw_edges(
    axis: Any, layout: Layout, boxes: Mapping[Place, Box], marked: Collection[str]
) -> None:
    shown = _shown_edges(layout, marked)
    for left, right in layout.edges:
        style: Any = {"color": _EDGE, "linewidth": 1.0, "zorder": 1}
        if (left, right) in shown:
            style = {"color": _EDGE_SHOWN, "linewidth": 1.6, "zorder": 2}
        x, y, width, _ = boxes[left]
        start = (x + width / 2, y)
        x, y, width, _ = boxes[right]
        end = (x - width / 2, y)
        arrives = layout.layers[right[0]] == right[1]
        tip = (end[0] - 0.06, end[1]) if arrives else end
        half = (start[0] + tip[0]) / 2
        points = [
            start,
            (half, start[1]),
            (half, tip[1]),
            tip,
            (x + (0 if arrives else width / 2), y),
        ]
        if arrives:
            axis.plot(*tip, marker=">", markersize=4, color=style["color"], zorder=style["zorder"])
            points = points[:4]
        codes = [Path.MOVETO, *[Path.CURVE4] * 3, *[Path.LINETO] * (len(points) - 4)]
        axis.add_patch(
            PathPatch(Path(points, codes), facecolor="none", edgecolor=style.pop("color"), **style)
        )


def _shown_edges(layout: Layout, marked: Collection[str]) -> set[tuple[Place, Place]]:
    """Edges on the way from one marked step to another."""
    shown: set[tuple[Place, Place]] = set()
    wanted = [right for left, right in layout.edges if left[0] in marked and right[0] in marked]
    ends = {place for place in wanted if layout.layers[place[0]] == place[1]}
    for left, right in sorted(layout.edges, key=lambda edge: -edge[1][1]):
        passes = right[0] == left[0] and any(a == right for a, _ in shown)
        if left[0] in marked and ((right in ends and right[0] != left[0]) or passes):
            shown.add((left, right))
    return shown
