"""Packages that only some people need: imported when asked for, or the extra is named."""

from __future__ import annotations

import importlib
from typing import Any

from mosaic_dagster.errors import MissingExtraError


def need(module: str, extra: str, what: str) -> Any:
    """Import a module that an extra of this package installs.

    Parameters
    ----------
    module
        Name of the module, such as ``h5py``.
    extra
        The extra that installs it.
    what
        What needs it, as the subject of a sentence.

    Raises
    ------
    MissingExtraError
        The module cannot be imported.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        msg = f"{what} needs the package {module!r}, which cannot be imported ({error})."
        remedy = f"Install the extra: pip install 'mosaic-dagster[{extra}]'."
        raise MissingExtraError(msg, remedy) from error
