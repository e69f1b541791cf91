"""The README and the docs say what is true: each command and each piece of code in them is run."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]

BLOCKING = {"dagster dev": "test_the_user_interface_comes_up"}
"""Commands that run until they are stopped, and the test that starts and stops them."""

WHOLE_SUITE = {
    ".ci/run",
    'pip install -c constraints.txt -e ".[dev]" && pytest -q -n 2 --dist loadgroup',
}
"""Commands that contain this test; the first runs the second as it stands in README.md."""

IN_THE_WHEEL = {'pip install -e ".[dev]"': "tests/wheel/check_wheel.py"}
"""Commands that install into the environment, and the script that types them in a fresh one."""

Shell = Callable[[str, Path], "subprocess.CompletedProcess[str]"]


def blocks_of(page: Path, language: str) -> list[str]:
    """Fenced blocks of a language, without the indentation that a list gives them."""
    fence = re.compile(rf"^( *)```{language}\n(.*?)^\1```", re.M | re.S)
    found = fence.findall(page.read_text(encoding="utf-8"))
    return [re.sub(rf"^{indent}", "", body, flags=re.M) for indent, body in found]


def commands_of(page: Path) -> list[str]:
    lines = [line for block in blocks_of(page, "console") for line in block.splitlines()]
    return [line.removeprefix("$ ") for line in lines if line.startswith("$ ")]


def name_of(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def to_run(page: Path) -> list[str]:
    """Commands of a page as the test runs them: without the install, which is done already."""
    left_out = {*BLOCKING, *WHOLE_SUITE, *IN_THE_WHEEL}
    commands = [c for c in commands_of(page) if c not in left_out]
    return [re.sub(r"^pip install -c constraints\.txt -e \S+ && ", "", c) for c in commands]


@pytest.mark.parametrize("heading", ["Run it", "Test it"])
def test_the_readme_gives_one_command_under(heading: str) -> None:
    """People and programs take the one line of this section and type it."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    section = re.search(rf"^## {heading}$(.*?)(?=^## |\Z)", text, re.M | re.S)
    assert section is not None
    (block,) = re.findall(r"^```console\n(.*?)^```", section.group(1), re.M | re.S)
    (line,) = block.splitlines()
    assert line.startswith("$ pip install -c constraints.txt -e ")


def bring_new_recordings(project: Path) -> None:
    """Put a file into the folder ``recordings/new`` of which the pages speak."""
    folder = project / "recordings" / "new" / "dish03"
    folder.mkdir(parents=True)
    shutil.copy(project / "recordings" / "larvae" / "dish01" / "larva_007.csv", folder)


@pytest.mark.slow
@pytest.mark.dagster
@pytest.mark.xdist_group("refreshed")
@pytest.mark.parametrize("page", [p for p in PAGES if to_run(p)], ids=name_of)
def test_commands_work(page: Path, project: Path, shell: Shell) -> None:
    """A command that fails on the page fails for everyone who reads it."""
    bring_new_recordings(project)
    folder = project
    for command in to_run(page):
        if command.startswith("cd "):
            folder /= command.removeprefix("cd ")
            continue
        done = shell(command, folder)
        told = f"$ {command}\n{done.stdout[-3000:]}{done.stderr[-5000:]}"
        assert done.returncode == 0, told
        assert "Traceback" not in done.stderr, told


@pytest.mark.slow
@pytest.mark.dagster
@pytest.mark.xdist_group("refreshed")
def test_a_second_refresh_computes_nothing(project: Path, shell: Shell) -> None:
    """The README promises it, and every nightly run depends on it."""
    again = shell(to_run(ROOT / "README.md")[0], project)
    assert again.returncode == 0, again.stderr[-5000:]
    assert "nothing was computed" in again.stdout + again.stderr


@pytest.mark.slow
@pytest.mark.parametrize("page", [p for p in PAGES if blocks_of(p, "python")], ids=name_of)
def test_code_works(page: Path, tmp_path: Path) -> None:
    """The blocks of a page run one after the other, as someone would paste them."""
    (tmp_path / "recordings").symlink_to(ROOT / "recordings")
    script = tmp_path / "page.py"
    script.write_text("\n\n".join(blocks_of(page, "python")), encoding="utf-8")
    command = [sys.executable, "-W", "error", str(script)]
    done = subprocess.run(command, cwd=tmp_path, text=True, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr[-5000:]


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_lead_somewhere(page: Path) -> None:
    """A link to a file that is not there leads a reader astray."""
    links = re.findall(r"\]\(([^)#\s]+)", page.read_text(encoding="utf-8"))
    local = [link for link in links if not re.match(r"[a-z]+:", link)]
    assert [link for link in local if not (page.parent / link).exists()] == []


def test_blocking_commands_have_a_test() -> None:
    """A command taken out of the run must be tried by the test that is named for it."""
    shown = {command for page in PAGES for command in commands_of(page)}
    assert set(BLOCKING) | WHOLE_SUITE | set(IN_THE_WHEEL) <= shown
    assert all(name in globals() for name in BLOCKING.values())
    assert all((ROOT / script).is_file() for script in IN_THE_WHEEL.values())


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


def answers(url: str, process: subprocess.Popen[str], seconds: float) -> bool:
    """Whether an address answers before the process ends or the time is over."""
    until = time.monotonic() + seconds
    while time.monotonic() < until and process.poll() is None:
        try:
            with urllib.request.urlopen(url, timeout=5) as response:
                return bool(response.status == 200)
        except (urllib.error.URLError, OSError):
            time.sleep(0.5)
    return False


def stop(process: subprocess.Popen[str]) -> None:
    """End a process and all that it started, which are a process group of their own."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGINT)
    try:
        process.wait(timeout=30)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@pytest.mark.slow
@pytest.mark.dagster
@pytest.mark.xdist_group("refreshed")
def test_the_user_interface_comes_up(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without it there is nothing to look at."""
    monkeypatch.delenv("DAGSTER_HOME", raising=False)
    dagster = str(Path(sys.executable).parent / "dagster")
    port = free_port()
    with (tmp_path / "dev.log").open("w") as log:
        process = subprocess.Popen(
            [dagster, "dev", "--host", "127.0.0.1", "--port", str(port)],
            cwd=project, stdout=log, stderr=subprocess.STDOUT, text=True, start_new_session=True,
        )  # fmt: skip
        try:
            up = answers(f"http://127.0.0.1:{port}/server_info", process, seconds=90)
        finally:
            stop(process)
    assert up, (tmp_path / "dev.log").read_text()[-3000:]
