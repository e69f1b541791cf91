"""Replay: predict with a stored chain on new data."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from mosaic_dagster.errors import StoreValueError
from mosaic_dagster.store.chains import artifact_ids, predict_chain
from mosaic_dagster.store.workspace import artifacts, chains
from mosaic_dagster.store.workspace.json_columns import told
from mosaic_dagster.store.workspace.opened import OpenWorkspace


def replay_chain(
    workspace: OpenWorkspace, chain_id: str, X: Any, wavelengths: Any
) -> np.ndarray[Any, Any]:
    """Do the work of :meth:`WorkspaceStore.replay_chain`.

    Raises
    ------
    StoreValueError
        A key of X or of the wavelengths is no index of a source, or two are the same one.
    """
    workspace.check()
    X, wavelengths = _by_source(X, "X"), _by_source(wavelengths, "wavelengths")
    # The database is free again while objects are loaded and models predict.
    with workspace.reading():
        chain = chains.require(workspace, chain_id)
        named = artifact_ids(chain["fold_artifacts"], chain["shared_artifacts"], chain["steps"])
        load = artifacts.loader(workspace, named)
    return predict_chain(chain, load, X, wavelengths)


def _by_source(value: Any, name: str) -> Any:
    """Give a mapping the indices of its sources as keys; anything else stays as it is."""
    if not isinstance(value, Mapping):
        return value
    remedy = "Use the indices of the sources as keys, such as 0 and 1, each once."
    try:
        found = {int(source): given for source, given in value.items()}
    except (TypeError, ValueError, OverflowError) as error:
        msg = f"{name} has a key that is no index of a source: {', '.join(map(told, value))}."
        raise StoreValueError(msg, remedy) from error
    if len(found) < len(value):
        msg = f"{name} has two keys for one source: {', '.join(map(told, value))}."
        raise StoreValueError(msg, remedy)
    return found
