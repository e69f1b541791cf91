"""Every command explains itself, and the page of all commands says the same."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from mosaic_dagster.cli.app import app

DOCS = Path(__file__).resolve().parents[2] / "docs"
NO_TABLE = {"init"}
"""Commands that print no table."""


def _load() -> Any:
    spec = importlib.util.spec_from_file_location("command_page", DOCS / "command_page.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["command_page"] = module
    spec.loader.exec_module(module)
    return module


command_page = _load()
COMMANDS = [tuple(words) for words in command_page.commands()]


def test_the_walk_finds_the_commands() -> None:
    """Else the tests below would look at nothing."""
    assert {("status",), ("doctor",), ("store", "gc"), ("executions", "show")} <= set(COMMANDS)


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_every_command_has_an_example_and_json(words: tuple[str, ...]) -> None:
    """Without an example people have to guess; without --json programs have to parse text."""
    done = CliRunner().invoke(app, [*words, "--help"], prog_name="mosaic")
    assert done.exit_code == 0
    examples = [line.strip() for line in done.stdout.splitlines() if "Example:" in line]
    assert len(examples) == 1
    assert examples[0].startswith(f"Example: mosaic {' '.join(words)}")
    if words[0] not in NO_TABLE:
        assert "--json" in done.stdout


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_wrong_usage_of_any_command_is_status_2(words: tuple[str, ...]) -> None:
    """A script tells a typing error from a failed run by the status."""
    done = CliRunner().invoke(app, [*words, "--no-such-option"], prog_name="mosaic")
    assert done.exit_code == 2
    assert "--no-such-option" in done.stderr


def test_a_group_alone_is_wrong_usage() -> None:
    """`mosaic executions` alone did nothing, so it must not look as if it had."""
    done = CliRunner().invoke(app, ["executions"])
    assert done.exit_code == 2
    assert "list" in done.stdout + done.stderr


def test_the_page_of_commands_is_up_to_date() -> None:
    """A page that tells of options that are no more is worse than none."""
    written = (DOCS / "cli.md").read_text("utf-8")
    told = command_page.page()
    assert written == told, "Type `python docs/command_page.py`."
    assert "cli\n" in (DOCS / "index.md").read_text("utf-8")
