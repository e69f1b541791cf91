"""A bundle opened for predicting, with or without trust in where it comes from."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mosaic_dagster.errors import UnknownIdError, UntrustedArtifactError
from mosaic_dagster.store.bundles.archive import Archive, read_archive
from mosaic_dagster.store.bundles.manifest import library_versions
from mosaic_dagster.store.chains import predict_chain
from mosaic_dagster.store.formats import (
    LibraryVersionWarning,
    decode,
    runs_code,
    untrusted_types,
)


class Bundle:
    """A trained chain in one file; made by :func:`load_bundle`.

    Objects are loaded when they are first needed, and kept.

    Parameters
    ----------
    archive
        The checked file.
    trusted
        Whether members whose format runs code may be loaded.
    trusted_types
        Full names of the types that skops members may hold beside those it trusts itself.
    """

    def __init__(
        self, archive: Archive, *, trusted: bool = False, trusted_types: Sequence[str] = ()
    ) -> None:
        self._archive = archive
        self._trusted = trusted
        self._trusted_types = tuple(trusted_types)
        self._objects: dict[str, Any] = {}
        self._versions_compared = False

    @property
    def manifest(self) -> dict[str, Any]:
        """Content of ``manifest.json``."""
        return self._archive.manifest

    @property
    def chain(self) -> dict[str, Any]:
        """The chain: its steps, its artifacts by id, its weights and where it came from."""
        return self._archive.chain

    def predict(self, X: Any, wavelengths: Any = None) -> np.ndarray[Any, Any]:
        """Predict as the chain would in its own workspace.

        Parameters
        ----------
        X
            Matrix of shape (n_samples, n_features), or for a chain of several sources a mapping
            from source index to matrix. NaN is taken where every step takes it.
        wavelengths
            Given to each operator that asks for them.

        Returns
        -------
        numpy.ndarray
            Shape (n_samples,), or (n_samples, k) for k outputs.

        Raises
        ------
        UntrustedArtifactError
            A needed member would run code, and the bundle is not trusted.
        BundleError
            A needed member is damaged.
        StoreValueError
            X has the wrong shape.
        ReplayError
            The chain lacks what predicting needs.
        """
        return predict_chain(self.chain, self._load, X, wavelengths)

    def artifacts(self) -> dict[str, Any]:
        """Every object of the bundle by its id.

        Raises
        ------
        UntrustedArtifactError
            A member would run code, and the bundle is not trusted.
        BundleError
            A member is damaged.
        """
        return {artifact_id: self._load(artifact_id) for artifact_id in self._archive.members}

    def _load(self, artifact_id: str) -> Any:
        if artifact_id not in self._objects:
            self._objects[artifact_id] = self._decoded(artifact_id)
        return self._objects[artifact_id]

    def _decoded(self, artifact_id: str) -> Any:
        member = self._archive.members.get(artifact_id)
        if member is None:
            msg = f"The bundle {self._archive.path} has no artifact {artifact_id!r}."
            raise UnknownIdError(msg, "`manifest['artifacts']` lists what it has.")
        if runs_code(member.format) and not self._trusted:
            raise self._untrusted()
        data = self._archive.read(artifact_id)
        self._compare_versions()
        if member.format != "skops":
            return decode(data, member.format, trusted=self._trusted)
        types = untrusted_types(data) if self._trusted else self._trusted_types
        return decode(data, member.format, trusted=self._trusted, trusted_types=list(types))

    def _untrusted(self) -> UntrustedArtifactError:
        files = sorted({m.file for m in self._archive.members.values() if runs_code(m.format)})
        return UntrustedArtifactError(
            f"{self._archive.path} holds objects that can run code when loaded: "
            f"{', '.join(files)}.",
            "Load it with trusted=True only if you know who made it, or have it exported with "
            "artifact_format='auto'.",
        )

    def _compare_versions(self) -> None:
        if self._versions_compared:
            return
        self._versions_compared = True
        installed = library_versions()
        recorded = self.manifest.get("library_versions") or {}
        different = [
            f"{name} {recorded[name]} (here {here})"
            for name, here in installed.items()
            if name in recorded and _counting(name, recorded[name]) != _counting(name, here)
        ]
        if different:
            warnings.warn(
                f"{self._archive.path} was made with {', '.join(different)}: its objects may "
                "load or predict differently.",
                LibraryVersionWarning,
                stacklevel=2,
            )


def _counting(name: str, version: str) -> str:
    """The part of a version that matters: Python keeps its formats within a minor version."""
    return ".".join(version.split(".")[:2]) if name == "python" else version


def load_bundle(
    path: Path | str,
    *,
    trusted: bool = False,
    trusted_types: Sequence[str] = (),
    max_bytes: int = 2**31,
) -> Bundle:
    """Open a bundle: its JSON is read and everything about the file is checked, no object is made.

    Parameters
    ----------
    path
        The ``.n4a`` file.
    trusted
        Whether its objects may run code when they are loaded. Formats 'arrays', 'npy' and
        'json' never do, and need no trust.
    trusted_types
        Full names of types that skops members may hold in a bundle that is not trusted.
    max_bytes
        Largest sum of the sizes that the file may declare.

    Raises
    ------
    ObjectMissingError
        The file is not there.
    BundleError
        The file is malformed, unsafe or contradicts itself.
    """
    archive = read_archive(Path(path), max_bytes)
    return Bundle(archive, trusted=trusted, trusted_types=trusted_types)
