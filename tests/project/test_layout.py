"""The shape of the code: small modules, short functions, packages that only re-export."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
MAX_LINES = 400
MAX_FUNCTION_LINES = 40
PACKAGES = ("mosaic_dagster", "assets", "resources", "benchmarks")
MODULES = sorted(path for name in PACKAGES for path in (ROOT / name).rglob("*.py"))

Function = ast.FunctionDef | ast.AsyncFunctionDef


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def functions_of(path: Path) -> Iterator[Function]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, Function):
            yield node


def length_without_docstring(function: Function) -> int:
    """Lines from ``def`` to the end, without decorators and without the docstring."""
    assert function.end_lineno is not None
    lines = function.end_lineno - function.lineno + 1
    first = function.body[0]
    if ast.get_docstring(function, clean=False) is not None:
        assert first.end_lineno is not None
        lines -= first.end_lineno - first.lineno + 1
    return lines


def test_the_length_of_a_function_leaves_out_decorator_and_docstring() -> None:
    """Six lines in the text: one decorator, two of docstring, so three count."""
    source = '@cache\ndef f():\n    """One.\n    """\n    x = 1\n    return x\n'
    (function,) = (n for n in ast.walk(ast.parse(source)) if isinstance(n, Function))
    assert length_without_docstring(function) == 3


def test_no_module_outgrows_its_reader() -> None:
    """A module above the limit hides more than one noun, and nobody reads it whole."""
    lengths = {name_of(path): len(path.read_text("utf-8").splitlines()) for path in MODULES}
    assert {name: n for name, n in lengths.items() if n > MAX_LINES} == {}


def test_no_function_outgrows_a_screen() -> None:
    """A function above the limit cannot be checked by looking at it."""
    long = {
        f"{name_of(path)}:{function.name}": n
        for path in MODULES
        for function in functions_of(path)
        if (n := length_without_docstring(function)) > MAX_FUNCTION_LINES
    }
    assert long == {}


def test_every_module_says_what_it_is_for() -> None:
    """A module without a docstring is an empty page of the reference."""
    silent = [
        name_of(path)
        for path in MODULES
        if path.name != "__init__.py" and not ast.get_docstring(ast.parse(path.read_text("utf-8")))
    ]
    assert silent == []


def only_gathers(body: list[ast.stmt]) -> list[str]:
    """The statements that are neither imports, nor assignments, nor plain expressions."""
    allowed = (ast.Import, ast.ImportFrom, ast.Assign, ast.AnnAssign, ast.Expr)
    return [ast.unparse(node).splitlines()[0] for node in body if not isinstance(node, allowed)]


def test_a_function_among_definitions_would_be_found() -> None:
    assert only_gathers(ast.parse("import x\ny = x.z()\ndef f(): ...\n").body) == ["def f():"]


def test_definitions_only_gather() -> None:
    """Logic in the code location's entry module could not be used without Dagster."""
    body = ast.parse((ROOT / "assets" / "definitions.py").read_text(encoding="utf-8")).body
    assert only_gathers(body) == []


@pytest.mark.parametrize(
    "path",
    sorted((ROOT / "mosaic_dagster").rglob("__init__.py")),
    ids=lambda path: name_of(path),
)
def test_a_package_only_re_exports(path: Path) -> None:
    """Code in a package's ``__init__`` runs for everyone who needs one module of it."""
    body = ast.parse(path.read_text(encoding="utf-8")).body
    extra = []
    for node in body:
        docstring = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        imported = isinstance(node, ast.ImportFrom)
        assigned = ast.unparse(node.targets[0]) if isinstance(node, ast.Assign) else ""
        exported = assigned in ("__all__", "__version__")
        if not (docstring or imported or exported):
            extra.append(ast.unparse(node).splitlines()[0])
    assert extra == []
