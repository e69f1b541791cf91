"""The tutorial about models: what it trains predicts the same elsewhere and in company."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from mosaic_dagster.store.workspace import WorkspaceStore

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "tutorials" / "train_and_replay.md"
MEATS = ROOT.parent / "shared" / "data" / "from_fetch" / "nir_meats" / "meats.csv"

KEEP_FACTS = """
np.savez(
    sys.argv[3], averaged=averaged, stacked=stacked, scaled=scaled_new, spread=y_new.std(),
    truth=y_new, files=[str(path) for path in (bundle_file, script_file, new_file)],
)
"""
KEEP_PREDICTED = """
np.save(sys.argv[3], bundle.predict(pl.read_csv(new_file).to_numpy()))
"""

pytestmark = pytest.mark.slow


@dataclass(frozen=True)
class Trained:
    """What one run of the page left: its files, in a folder without its workspace."""

    bundle: Path
    script: Path
    spectra: Path
    facts: dict[str, np.ndarray]


def blocks() -> list[str]:
    return re.findall(r"^```python\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.M | re.S)


def start(script: Path, code: str, *arguments: object) -> subprocess.Popen[str]:
    """Start code as a process that knows nothing of this one but the installed packages."""
    script.write_text(code, encoding="utf-8")
    command = [sys.executable, "-I", "-W", "error", script, *arguments]
    return subprocess.Popen(
        list(map(str, command)), cwd=script.parent, text=True, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )  # fmt: skip


def finish(process: subprocess.Popen[str]) -> str:
    out, err = process.communicate(timeout=300)
    assert process.returncode == 0, err[-5000:]
    return out


def train(folder: Path, table: Path) -> subprocess.Popen[str]:
    code = "\n\n".join([*blocks(), KEEP_FACTS])
    return start(folder / "page.py", code, table, folder / "nir", folder / "facts.npz")


def made_up(path: Path) -> Path:
    """The page's own spectra as a file."""
    names: dict[str, object] = {}
    source = re.search(r"^def made_up_spectra.*?(?=^\S)", "\n".join(blocks()), re.M | re.S)
    assert source is not None
    exec("import numpy as np, polars as pl\n" + source[0], names)
    table = names["made_up_spectra"]()  # type: ignore[operator]
    table.write_csv(path)
    return path


def facts_of(folder: Path) -> dict[str, np.ndarray]:
    with np.load(folder / "facts.npz") as saved:
        return dict(saved)


@pytest.fixture(scope="module", params=["made up", "meats"])
def trained(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """The page after one run; its workspace is gone, its exports lie somewhere else."""
    folder = tmp_path_factory.mktemp("tutorial")
    if request.param == "meats" and not MEATS.is_file():
        pytest.skip(f"{MEATS} is not here")
    table = MEATS if request.param == "meats" else made_up(folder / "spectra.csv")
    finish(train(folder, table))
    facts = facts_of(folder)
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    paths = [Path(shutil.copy(file, elsewhere)) for file in facts["files"]]
    shutil.rmtree(folder / "nir")
    return Trained(*paths, facts)


def test_the_models_are_better_than_the_mean(trained: Trained) -> None:
    """Predicting the mean has an error of one spread; a page whose models do not halve it, for
    samples of which no copy was trained on, would teach nothing."""
    for name in ("averaged", "stacked"):
        error = np.sqrt(np.mean((trained.facts["truth"] - trained.facts[name]) ** 2))
        assert error < trained.facts["spread"] / 2, name


def test_a_bundle_predicts_in_a_fresh_process_without_the_workspace(
    trained: Trained, tmp_path: Path
) -> None:
    """Whoever is handed a bundle has nothing else: no workspace, no objects of ours in memory."""
    code = "\n\n".join([blocks()[0], blocks()[-1], KEEP_PREDICTED])
    target = tmp_path / "predicted.npy"
    finish(start(tmp_path / "elsewhere.py", code, trained.bundle, trained.spectra, target))
    np.testing.assert_allclose(np.load(target), trained.facts["averaged"], rtol=0, atol=1e-9)


def test_a_script_predicts_where_only_numpy_is_installed(trained: Trained, tmp_path: Path) -> None:
    """A fresh environment with numpy and nothing else: what the script promises at its top."""
    home = tmp_path / "fresh"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", home], check=True)
    (site,) = home.glob("lib/python*/site-packages")
    for part in ("numpy", "numpy.libs"):
        source = Path(np.__file__).parents[1] / part
        if source.exists():
            (site / part).symlink_to(source)
    python, target = home / "bin" / "python", tmp_path / "predicted.csv"
    environment = {"PATH": os.environ.get("PATH", "")}
    for module in ("sklearn", "joblib", "mosaic_dagster"):
        absent = subprocess.run(
            [python, "-c", f"import {module}"], env=environment, capture_output=True, check=False
        )
        assert b"ModuleNotFoundError" in absent.stderr
    subprocess.run(
        [python, "-W", "error", trained.script, trained.spectra, target],
        env=environment, cwd=tmp_path, check=True,
    )  # fmt: skip
    predicted = np.loadtxt(target, skiprows=1)
    np.testing.assert_allclose(predicted, trained.facts["scaled"], rtol=0, atol=1e-9)


def test_four_processes_do_all_of_it_in_one_workspace(tmp_path: Path) -> None:
    """They share files of equal content; each deletes its run and collects while others save.

    Nobody may fail, each must get the prediction it would have got alone, and when all four have
    deleted their runs no row and no file may be left.
    """
    table = made_up(tmp_path / "spectra.csv")
    folders = [tmp_path / f"p{number}" for number in range(4)]
    for folder in folders:
        folder.mkdir()
        (folder / "nir").symlink_to(tmp_path / "shared")
    (tmp_path / "shared").mkdir()
    processes = [train(folder, table) for folder in folders]
    told = [finish(process) for process in processes]
    assert [text.count("found: {}") for text in told] == [1, 1, 1, 1], told
    first, *others = [facts_of(folder) for folder in folders]
    for other in others:
        np.testing.assert_allclose(other["stacked"], first["stacked"], rtol=0, atol=1e-9)
    with WorkspaceStore(tmp_path / "shared") as store:
        assert store.list_runs().is_empty()
        assert store.list_artifacts().is_empty()
        assert list(store.objects.all()) == []
        assert not any(store.verify(hashes=True).values())
