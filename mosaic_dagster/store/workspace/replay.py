"""Replay: predict with a stored chain on new data."""

from __future__ import annotations

from typing import Any

import numpy as np

from mosaic_dagster.store.chains import artifact_ids, predict_chain
from mosaic_dagster.store.workspace import artifacts, chains
from mosaic_dagster.store.workspace.opened import OpenWorkspace


def replay_chain(
    workspace: OpenWorkspace, chain_id: str, X: Any, wavelengths: Any
) -> np.ndarray[Any, Any]:
    """Do the work of :meth:`WorkspaceStore.replay_chain`."""
    # The database is free again while objects are loaded and models predict.
    with workspace.reading():
        chain = chains.require(workspace, chain_id)
        named = artifact_ids(chain["fold_artifacts"], chain["shared_artifacts"], chain["steps"])
        load = artifacts.loader(workspace, named)
    return predict_chain(chain, load, X, wavelengths)
