"""Replay: predict with a stored chain on new data."""

from __future__ import annotations

from typing import Any

import numpy as np

from mosaic_dagster.store.chains import predict_chain
from mosaic_dagster.store.workspace import artifacts, chains
from mosaic_dagster.store.workspace.opened import OpenWorkspace


def replay_chain(
    workspace: OpenWorkspace, chain_id: str, X: Any, wavelengths: Any
) -> np.ndarray[Any, Any]:
    """Do the work of :meth:`WorkspaceStore.replay_chain`."""
    with workspace.session():
        chain = chains.require(workspace, chain_id)
        return predict_chain(
            chain, lambda artifact_id: artifacts.load(workspace, artifact_id), X, wavelengths
        )
