"""How fast the features are beside plain versions of the same formulas, on one core.

    python -m benchmarks.features [--feature NAME] [--frames N] [--json]

A case (``cases_*.py``) runs a feature and a reference by turns in this process, with one thread
for BLAS and polars, compares their numbers (to 1e-9, or one step of float32 where the feature
gives that), and takes the least processor time of either. Ends with 1 where numbers differ, where
a feature is not as much faster as it has to be, or where a feature has no case.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import pkgutil
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from benchmarks.features.case import Case
    from benchmarks.features.measure import Measured

ONE_THREAD = dict.fromkeys(
    ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "POLARS_MAX_THREADS"), "1"
)
ONE_THREAD |= dict.fromkeys(("NUMEXPR_NUM_THREADS", "NUMBA_NUM_THREADS"), "1")

EXCEPTED = {
    "extract-labeled-templates": "looks up labels; what it draws is measured by its memory",
    "extract-templates": "passes its input through; what it draws is measured by its memory",
    "global-tsne": "the time is openTSNE's; a plain version would call the same",
    "global-umap": "the time is umap-learn's; a plain version would call the same",
}
"""Features without a case, and why."""


def gather_cases() -> list[Case]:
    """The cases of all topics, by feature."""
    package = importlib.import_module("benchmarks.features")
    names = sorted(found.name for found in pkgutil.iter_modules(package.__path__))
    topics = [
        importlib.import_module(f"benchmarks.features.{name}")
        for name in names
        if name.startswith("cases_")
    ]
    return sorted((case for topic in topics for case in topic.CASES), key=lambda c: c.feature)


def missing_cases(cases: list[Case]) -> list[str]:
    """Features that have neither a case nor a reason for none."""
    from mosaic_dagster.features import list_features

    return sorted({*list_features()} - {case.feature for case in cases} - {*EXCEPTED})


def run(cases: list[Case], n_frames: int) -> Iterator[Measured]:
    """Measure case by case."""
    from benchmarks.features.measure import measure
    from benchmarks.features.tracks import standard_tracks

    tracks = standard_tracks(n_frames)
    for case in cases:
        yield measure(case, tracks)


def show(measured: Measured) -> None:
    """One row of the table, and what differs."""
    print(
        f"{measured.feature:<28} {measured.reference_ms:>10.2f} {measured.ours_ms:>9.2f} "
        f"{measured.ratio:>8.1f} {measured.required:>8g}  {'yes' if measured.ok else 'NO':<3}  "
        f"{measured.setting}",
        flush=True,
    )
    if measured.difference:
        print(f"{'':<28} {measured.difference}", flush=True)


def main() -> int:
    """Run the benchmark and print a table, or JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--feature", action="append", help="only this feature; may be repeated")
    parser.add_argument("--frames", type=int, default=20_000)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    cases = gather_cases()
    missing = [] if given.feature else missing_cases(cases)
    if given.feature:
        cases = [case for case in cases if case.feature in given.feature]
        if unknown := {*given.feature} - {case.feature for case in cases}:
            parser.error(f"no case of {', '.join(sorted(unknown))}")
    if not given.json:
        print(f"{'feature':<28} {'plain ms':>10} {'ours ms':>9} {'ratio':>8} {'required':>8}  ok")
    found = []
    for measured in run(cases, given.frames):
        found.append(measured)
        if not given.json:
            show(measured)
    if given.json:
        rows = [measured.as_row() for measured in found]
        print(json.dumps({"cases": rows, "excepted": EXCEPTED, "without_case": missing}))
    else:
        for name in missing:
            print(f"{name:<28} has no case")
        if not given.feature:
            for name, reason in EXCEPTED.items():
                print(f"{name:<28} no case: {reason}")
    return int(bool(missing) or not all(measured.ok for measured in found))


if __name__ == "__main__":
    if ONE_THREAD.items() - os.environ.items():
        # Libraries read these once, when they are imported.
        os.environ.update(ONE_THREAD)
        os.execv(sys.executable, [sys.executable, "-m", "benchmarks.features", *sys.argv[1:]])
    sys.exit(main())
