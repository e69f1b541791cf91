"""Operators without fitted state, built from a class name and parameters.

A chain may come from a file that somebody sent, so a name in it is never simply imported: only
transformers of scikit-learn and of this package are, and what was registered by hand.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from typing import Any

from mosaic_dagster.errors import ReplayError, StoreValueError

_PACKAGES = ("sklearn", "mosaic_dagster")
_NEVER = frozenset({"tests", "conftest", "testing", "_testing"})

_factories: dict[str, Callable[..., Any]] = {}


def register_operator(name: str, factory: Callable[..., Any]) -> None:
    """Allow a class name in chains of this process; registering it again replaces the factory.

    Parameters
    ----------
    name
        What descriptors have as ``operator_class``, with or without a module.
    factory
        Called with the parameters of the descriptor as keywords; returns an object with
        ``transform``. A class will do.

    Raises
    ------
    StoreValueError
        The name is empty, or the factory cannot be called.
    """
    if not name.strip():
        msg = "An operator was registered under an empty name."
        raise StoreValueError(msg, "Use the operator_class of the descriptors.")
    if not callable(factory):
        msg = f"The factory of the operator {name!r} is a {type(factory).__name__}."
        raise StoreValueError(msg, "Give a class or a function.")
    _factories[name] = factory


def build_operator(operator_class: str, params: Mapping[str, Any] | None = None) -> object:
    """Build an operator that needs no fitting.

    Parameters
    ----------
    operator_class
        A registered name, or module and class of a transformer of scikit-learn or this package,
        such as ``sklearn.preprocessing.Normalizer``.
    params
        Keyword arguments.

    Raises
    ------
    ReplayError
        The class is not allowed, does not exist, is no transformer or refuses the parameters.
    """
    factory = _factories.get(operator_class) or _transformer_class(operator_class)
    try:
        built = factory(**(params or {}))
    except (TypeError, ValueError) as error:
        msg = f"{operator_class} cannot be built from {dict(params or {})!r}: {error}"
        raise ReplayError(msg, "Save the fitted object with the chain.") from error
    if not hasattr(built, "transform"):
        msg = f"What {operator_class!r} builds has no transform."
        raise ReplayError(msg, "Register a factory that returns a transformer.")
    return built


def _transformer_class(name: str) -> Callable[..., Any]:
    module_name, _, class_name = str(name).rpartition(".")
    if not _allowed(module_name):
        msg = f"The operator {name!r} is not one that may be built from its name."
        raise ReplayError(msg, "Save the fitted object, or call register_operator for it.")
    try:
        found = getattr(importlib.import_module(module_name), class_name, None)
    except ImportError as error:
        msg = f"The operator {name!r} cannot be found: {error}"
        raise ReplayError(
            msg, "Save the fitted object, or use the versions it was made with."
        ) from error
    if not isinstance(found, type) or not _allowed(found.__module__):
        msg = f"The operator {name!r} is no class of {' or '.join(_PACKAGES)}."
        raise ReplayError(msg, "Save the fitted object, or call register_operator for it.")
    if not hasattr(found, "transform"):
        msg = f"The operator {name!r} is no transformer."
        raise ReplayError(msg, "Give its step the role that it has, such as 'split' or 'augment'.")
    return found


def _allowed(module_name: str) -> bool:
    """Whether a module may be imported for an operator: no tests, nothing like ``__main__``."""
    parts = module_name.split(".")
    return (
        parts[0] in _PACKAGES
        and all(part.isidentifier() and not part.startswith("__") for part in parts)
        and _NEVER.isdisjoint(parts)
    )
