"""Whether an installed wheel works by itself: run in a folder that holds nothing of this project.

``python -P check_wheel.py``; ``-P`` keeps the folder of this file off the import path. Ends with
status 1 and one line about what is wrong.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

FEATURES = {
    "body-scale",
    "cluster-summary",
    "extract-templates",
    "global-kmeans",
    "global-pca",
    "global-scaler",
    "heading",
    "pair-wavelet",
    "posture",
    "speed-angvel",
    "temporal-stack",
    "trajectory-smooth",
}


def check_origin() -> None:
    """The package is the installed one, and brings no other top-level name."""
    import mosaic_dagster

    place = Path(mosaic_dagster.__file__)
    assert place.is_relative_to(sys.prefix), f"mosaic_dagster was imported from {place}"
    assert (place.parent / "py.typed").is_file(), "py.typed is not in the wheel"


def check_command() -> None:
    """The command is installed and explains itself, outside of any project."""
    command = str(Path(sys.executable).parent / "mosaic")
    done = subprocess.run([command, "--help"], text=True, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    missing = [name for name in ("ingest", "run", "status", "why") if name not in done.stdout]
    assert not missing, f"mosaic --help does not name {', '.join(missing)}"


def check_features() -> None:
    """Every feature of the library is found by its name."""
    from mosaic_dagster.features import get_feature, list_features

    missing = FEATURES - set(list_features())
    assert not missing, f"not in the wheel: {', '.join(sorted(missing))}"
    for name in list_features():
        assert get_feature(name).name == name, f"{name} is not what its module defines"


def check_pipeline() -> None:
    """Steps of (3, 4) at 10 frames per second are 50 units per second; a fit on them works."""
    import polars as pl

    from mosaic_dagster import Dataset, FeatureStep, Pipeline
    from mosaic_dagster.dataset import EntryKey
    from mosaic_dagster.features import StepRef

    frames = range(30)
    columns = {"X": [3.0 * f for f in frames], "Y": [4.0 * f for f in frames]}
    walk = pl.DataFrame({"frame": frames, "id": 0, **columns})
    pipeline = Pipeline(name="check").add(FeatureStep("speed", "speed-angvel"))
    pipeline.add(FeatureStep("templates", "extract-templates", {"n_templates": 9}, ["speed"]))
    fitted_on = {"templates": StepRef("templates", "templates.parquet")}
    pipeline.add(FeatureStep("scaler", "global-scaler", fitted_on, ["speed"]))
    with tempfile.TemporaryDirectory() as folder:
        dataset = Dataset.create(folder, name="toy", meta={"fps_default": 10.0})
        for name in ("one", "two"):
            dataset.add_tracks(EntryKey("", name), walk)
        results = pipeline.run(dataset, engine="sequential")
        speed = results["speed"].table(EntryKey("", "two"))["speed"]
        assert abs(speed[10] - 50.0) < 1e-9, f"the speed is {speed[10]}, not 50"
        assert len(results["scaler"].keys()) == 2, "the fitted step was not applied"


def check_orchestration() -> None:
    """What a lab's own definitions import is there."""
    from mosaic_dagster.orchestration import build_definitions

    assert callable(build_definitions)


def check_init() -> None:
    """A new project is made, installed, run and tested, with its own feature and reader."""
    own = "'our-lab-path-length' in list_features(), 'our_lab_decimal_comma' in READERS"
    code = "from mosaic_dagster.dataset import READERS; "
    code += f"from mosaic_dagster.features import list_features; print({own})"
    pins = Path(__file__).resolve().parents[2] / "constraints.txt"
    with tempfile.TemporaryDirectory() as folder:
        project = Path(folder) / "our_lab"
        _type("mosaic init our_lab --example larvae", Path(folder))
        _type(f'pip install --quiet -c "{pins}" -e ".[dev]"', project)
        found = _type(f'python -P -c "{code}"', project)
        assert found.split() == ["True", "True"], f"not found by its entry point: {found}"
        told = _type("mosaic run", project)
        assert "larvae_movement/movement.csv" in told, f"mosaic run told of no summary: {told}"
        for command in ("mosaic models top", "dagster definitions validate", "pytest -q", "mypy"):
            _type(command, project)


def _type(command: str, folder: Path) -> str:
    """Type a command with this environment's programs; what it printed."""
    dropped = ("DAGSTER_HOME", "MOSAIC_PROJECT", "PYTHONPATH")
    environment = {name: value for name, value in os.environ.items() if name not in dropped}
    programs = str(Path(sys.executable).parent)
    environment["PATH"] = os.pathsep.join([programs, environment.get("PATH", "")])
    done = subprocess.run(
        ["bash", "-c", command], cwd=folder, env=environment, text=True, capture_output=True,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, f"$ {command}\n{done.stdout[-3000:]}{done.stderr[-3000:]}"
    return done.stdout


def main() -> int:
    """Run every check; 0 when all hold."""
    checks = (
        check_origin,
        check_command,
        check_features,
        check_pipeline,
        check_orchestration,
        check_init,
    )
    for check in checks:
        try:
            check()
        except AssertionError as error:
            print(f"{check.__name__}: {error}", file=sys.stderr)
            return 1
        print(f"{check.__name__}: {(check.__doc__ or '').splitlines()[0]}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
