"""Write ``cli.md``, the page of all commands, from what the commands say of themselves.

Type ``python docs/command_page.py`` after a command, an option or its help has changed.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer
from typer.testing import CliRunner

from mosaic_dagster.cli.app import app

PAGE = Path(__file__).parent / "cli.md"

INTRODUCTION = """\
<!-- Written by docs/command_page.py; change the help of the commands instead. -->

# Commands

Every command works on the project in whose folder it is typed, or in a folder below;
`--project DIR` or the environment variable `MOSAIC_PROJECT` names another. `--help` behind a
command tells what is told here.

The exit status is 0 when all went well, 1 when something failed, 2 for wrong usage. Every command
that prints a table prints JSON with `--json`: numbers that are not finite as `null`, times in UTC
as ISO text. A name that is not known is refused with the nearest that is.

`mosaic --install-completion` teaches the shell (bash, zsh, fish, PowerShell) to complete commands,
options and the names of the project: datasets, pipelines, steps, groups and entries. It takes
effect in the next terminal; `mosaic --show-completion` only prints the script.
"""


def page() -> str:
    """The whole page as Markdown."""
    parts = [INTRODUCTION.rstrip()]
    group = ""
    for words in commands():
        if len(words) > 1 and words[0] != group:
            group = words[0]
            parts.append(f"## mosaic {group}\n\n{_help_of([group]).splitlines()[2].strip()}")
        level = "##" if len(words) == 1 else "###"
        name = " ".join(["mosaic", *words])
        parts.append(f"{level} {name}\n\n```text\n$ {name} --help\n{_help_of(words)}\n```")
    return "\n\n".join(parts) + "\n"


def commands() -> Iterator[list[str]]:
    """The words of every command that does something, in the order of the help."""
    yield from _below(typer.main.get_command(app), [])


def _below(group: Any, words: list[str]) -> Iterator[list[str]]:
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from _below(command, [*words, name])
        else:
            yield [*words, name]


def _help_of(words: list[str]) -> str:
    done = CliRunner().invoke(app, [*words, "--help"], prog_name="mosaic", env={"COLUMNS": "80"})
    lines = done.stdout.strip().splitlines()
    return "\n".join(line.rstrip() for line in lines)


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
