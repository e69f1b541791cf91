"""Conditions on the rows of a table, written as text and never run as Python.

A condition is built from columns, numbers, quoted text, ``True`` and ``False``; the comparisons
``== != < <= > >=`` (also chained, ``0 < X <= 10``); ``in`` and ``not in`` with a list of
values; ``and``, ``or``, ``not``; and a minus before a value. A column whose name is no Python
name is written ``col("X#wcentroid")``::

    speed > 2.5 and label in ["rest", "walk"] and not bad_frame

A comparison with a null or NaN is false, whatever the comparison; so ``X == X`` keeps the rows
where X is known.
"""

from __future__ import annotations

import ast
import difflib
import functools
import io
import operator
import tokenize
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

import polars as pl
from pydantic import AfterValidator

from mosaic_dagster.errors import MissingColumnError, ParamsError

Kind = Literal["number", "text", "truth"]
"""What a column or a literal holds."""

_LONGEST = 2000
_ALLOWED = (
    "Conditions are made of columns, literals, comparisons, in [...], and, or, not, "
    'and col("…") for a column whose name is no plain word.'
)
_COMPARISONS: dict[type[ast.cmpop], Callable[[Any, Any], Any]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
}
_TEXT_TYPES = (pl.String, pl.Categorical, pl.Enum)
_LARGEST_INT = 2**63 - 1


def check_filter(text: str) -> str:
    """The condition itself, if it is one.

    Raises
    ------
    ParamsError
        It cannot be read, or holds what conditions may not; shows the offending part.
    """
    _compile(text, None)
    return text


FilterExpression = Annotated[str, AfterValidator(check_filter)]
"""A condition as a parameter; pydantic checks it on construction."""


def filter_columns(text: str) -> tuple[str, ...]:
    """Columns that a condition reads, sorted.

    Raises
    ------
    ParamsError
        As :func:`check_filter`.
    """
    return tuple(sorted(_compile(text, None)[1]))


def compile_filter(text: str, columns: Collection[str]) -> pl.Expr:
    """Polars expression of a condition: true or false for every row, never null.

    Parameters
    ----------
    text
        The condition.
    columns
        Columns of the table. A schema (names and types) also has types checked: without it
        two columns that are compared with each other are taken for numbers.

    Raises
    ------
    ParamsError
        As :func:`check_filter`, or numbers are compared with text.
    MissingColumnError
        A column is not there.
    """
    return _compile(text, columns)[0]


def _compile(text: str, columns: Collection[str] | None) -> tuple[pl.Expr, set[str]]:
    compiler = _Compiler(text.strip(), columns)
    try:
        condition = compiler.condition(_parse(compiler.text))
    except RecursionError:
        msg = f"The condition {text[:60]!r}… is nested too deeply."
        raise ParamsError(msg, "Write it with fewer levels.") from None
    if not compiler.seen:
        msg = f"The condition {text!r} names no column."
        raise ParamsError(msg, "It would be the same for every row; leave it out.")
    return condition, compiler.seen


def _parse(text: str) -> ast.expr:
    if len(text) > _LONGEST:
        msg = f"The condition {text[:60]!r}… has {len(text)} characters."
        raise ParamsError(msg, f"Use at most {_LONGEST}.")
    try:
        parsed = ast.parse(text, mode="eval").body
        tokens = list(tokenize.generate_tokens(io.StringIO(text).readline))
    except SyntaxError as error:
        near = (error.text or text).rstrip("\n")[max((error.offset or 1) - 1, 0) :][:40]
        where = f" at {near!r}" if near else " at its end"
        msg = f"The condition {text!r} cannot be read{where}: {error.msg}."
        raise ParamsError(msg, _ALLOWED) from None
    except (ValueError, MemoryError, tokenize.TokenError) as error:
        msg = f"The condition {text!r} cannot be read: {error}."
        raise ParamsError(msg, _ALLOWED) from None
    for token in tokens:
        # Python would take the rest of a name such as X#wcentroid for a comment.
        if token.type == tokenize.COMMENT:
            msg = f"The condition {text!r} has {token.string!r} outside of quotes."
            raise ParamsError(msg, 'Write a column of such a name as col("…").')
    return parsed


@dataclass
class _Compiler:
    """Turns the nodes of one condition into expressions; ``seen`` gathers its columns."""

    text: str
    columns: Collection[str] | None
    seen: set[str] = field(default_factory=set)

    def condition(self, node: ast.expr) -> pl.Expr:
        """An expression that is true or false for every row."""
        match node:
            case ast.BoolOp(op=ast.And(), values=parts):
                return functools.reduce(operator.and_, map(self.condition, parts))
            case ast.BoolOp(op=ast.Or(), values=parts):
                return functools.reduce(operator.or_, map(self.condition, parts))
            case ast.UnaryOp(op=ast.Not(), operand=part):
                return ~self.condition(part)
            case ast.Compare():
                return self._comparison(node)
        value, kind = self._value(node)
        if kind in ("number", "text"):
            raise self._refusal(node, f"is a {kind}, not a condition", "Compare it with a value.")
        return value.cast(pl.Boolean).fill_null(False)

    def _comparison(self, node: ast.Compare) -> pl.Expr:
        operands = [node.left, *node.comparators]
        links = zip(operands, node.ops, operands[1:], strict=False)
        return functools.reduce(operator.and_, (self._link(node, *link) for link in links))

    def _link(self, whole: ast.Compare, left: ast.expr, op: ast.cmpop, right: ast.expr) -> pl.Expr:
        if isinstance(op, ast.In | ast.NotIn):
            return self._membership(whole, left, right, wanted=isinstance(op, ast.In))
        if type(op) not in _COMPARISONS:
            raise self._refusal(whole, "uses 'is'", "Compare with == or !=.")
        return self._compare(whole, self._value(left), _COMPARISONS[type(op)], self._value(right))

    def _membership(
        self, whole: ast.Compare, left: ast.expr, right: ast.expr, *, wanted: bool
    ) -> pl.Expr:
        if not isinstance(right, ast.List | ast.Tuple | ast.Set) or not right.elts:
            raise self._refusal(right, "is no list of values", 'Write it as ["a", "b"].')
        value = self._value(left)
        literals = [_literal(item) for item in right.elts]
        for item, found in zip(right.elts, literals, strict=True):
            if found is None:
                raise self._refusal(item, "is no literal", "List numbers or quoted text.")
        compare = operator.eq if wanted else operator.ne
        tests = [self._compare(whole, value, compare, found) for found in literals if found]
        return functools.reduce(operator.or_ if wanted else operator.and_, tests)

    def _compare(
        self,
        whole: ast.Compare,
        left: tuple[pl.Expr, Kind | None],
        compare: Callable[[Any, Any], Any],
        right: tuple[pl.Expr, Kind | None],
    ) -> pl.Expr:
        kinds = {kind for _, kind in (left, right) if kind is not None}
        if len(kinds) > 1:
            raise self._refusal(whole, f"compares {' with '.join(sorted(kinds))}", "")
        result: pl.Expr = compare(left[0], right[0])
        if kinds <= {"number"}:
            # Polars takes NaN for the largest number and equal to itself.
            result = result & ~left[0].is_nan() & ~right[0].is_nan()
        return result.fill_null(False)

    def _value(self, node: ast.expr) -> tuple[pl.Expr, Kind | None]:
        """A column or a literal, and what it holds where that is known."""
        if (literal := _literal(node)) is not None:
            return literal
        match node:
            case ast.Name(id=name):
                return self._column(name, node)
            case ast.Call(
                func=ast.Name(id="col"), args=[ast.Constant(value=str(name))], keywords=[]
            ):
                return self._column(name, node)
            case ast.UnaryOp(op=ast.USub(), operand=part):
                value, kind = self._value(part)
                if kind in ("text", "truth"):
                    raise self._refusal(node, f"negates a {kind}", "Only numbers have a sign.")
                return -value.cast(pl.Float64), "number"
        raise self._refusal(node, "is not allowed", _ALLOWED)

    def _column(self, name: str, node: ast.expr) -> tuple[pl.Expr, Kind | None]:
        self.seen.add(name)
        if self.columns is None:
            return pl.col(name), None
        if name not in self.columns:
            near = difflib.get_close_matches(name, self.columns, n=1)
            hint = f"Did you mean {near[0]!r}? " if near else ""
            msg = f"The condition {self.text!r} names the column {name!r}, which is not there."
            raise MissingColumnError(msg, f"{hint}The columns are: {', '.join(self.columns)}.")
        if not isinstance(self.columns, Mapping):
            return pl.col(name), None
        dtype = self.columns[name]
        if dtype.is_numeric():
            return pl.col(name), "number"
        if dtype == pl.Boolean:
            return pl.col(name), "truth"
        if dtype in _TEXT_TYPES:
            return pl.col(name).cast(pl.String), "text"
        raise self._refusal(node, f"is a column of {dtype}", "Use numbers, text or truth values.")

    def _refusal(self, node: ast.expr, what: str, remedy: str) -> ParamsError:
        part = ast.get_source_segment(self.text, node) or ast.unparse(node)
        return ParamsError(f"{part!r} in the condition {self.text!r} {what}.", remedy)


def _literal(node: ast.expr) -> tuple[pl.Expr, Kind] | None:
    """The literal, or None if the node is something else."""
    match node:
        case ast.Constant(value=bool(value)):
            return pl.lit(value), "truth"
        case ast.Constant(value=str(value)):
            return pl.lit(value), "text"
        case ast.Constant(value=float(value)):
            return pl.lit(value), "number"
        case ast.Constant(value=int(value)) if value <= _LARGEST_INT:
            return pl.lit(value), "number"
        case ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=int() | float() as value)):
            if not isinstance(value, bool) and abs(value) <= _LARGEST_INT:
                return pl.lit(-value), "number"
    return None
