"""Names of what is asked and of what was made.

A *declaration* is everything about a step that its code and parameters decide. An *action key*
adds the data: equal keys mean equal results, so a result is looked up by its key before it is
computed. A *run id* names the declaration together with the declarations above it, for people.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import PurePath
from typing import Any

from mosaic_dagster.hashing import canonical_json, digest, digest_bytes
from mosaic_dagster.store import Dependency

RUN_ID_DIGITS = 12

STATE_EXT = "json"
"""Extension of the object that lists the files of a fitted state, or of what a callback made."""


def declaration_digest(
    feature: str,
    version: str,
    params: Mapping[str, Any],
    frames: tuple[int | None, int | None] = (None, None),
    fit: Mapping[str, Any] | None = None,
    overlap: int = 0,
) -> str:
    """Digest of what a step's code and parameters decide.

    Parameters
    ----------
    feature, version
        Name and version of the feature.
    params
        Parameters that can change results, resolved against the dataset.
    frames
        First frame and the frame after the last one, or None.
    fit
        What else a fit depends on (threads, completeness); None for the per-entry part.
    overlap
        Number of frames of the neighbours that each entry sees.
    """
    return digest(
        {
            "feature": feature,
            "version": version,
            "params": params,
            "frames": list(frames),
            "overlap": overlap,
            "fit": fit,
        }
    )


def entry_key(declaration: str, entry: str, inputs: Sequence[tuple[str, str]]) -> str:
    """Action key of one entry of a step.

    Parameters
    ----------
    declaration
        Digest of the step's declaration.
    entry
        The entry's key text.
    inputs
        Role and digest of each input, the fitted state among them, in a fixed order.
    """
    return entry_key_of(declaration, entry, "".join(f"\n{role}={sha}" for role, sha in inputs))


def input_lines(inputs: Iterable[Dependency]) -> str:
    """Inputs as they enter the action key of an entry."""
    return "".join([f"\n{item.role}={item.sha256}" for item in inputs])


def entry_key_of(declaration: str, entry: str, lines: str) -> str:
    """Like :func:`entry_key`, with the inputs as :func:`input_lines` gives them."""
    # Written out instead of through JSON: a status of 100,000 entries makes a million of these.
    return hashlib.sha256(f"{declaration}\n{entry}{lines}".encode()).hexdigest()


def fit_key(
    declaration: str,
    references: Sequence[tuple[str, str]],
    fitted_on: Iterable[tuple[str, Sequence[str]]],
    scope: Sequence[str] | None,
) -> str:
    """Action key of a fitted state.

    Parameters
    ----------
    declaration
        Digest of the step's declaration, the fit's options included.
    references
        Role and digest of each artifact that the parameters refer to.
    fitted_on
        Entry and the digests of its input tables, for every entry the fit sees.
    scope
        The declared entries, when the feature depends on them; else None.
    """
    asked = {
        "declaration": declaration,
        "references": [list(pair) for pair in references],
        "fitted_on": sorted([entry, *digests] for entry, digests in fitted_on),
        "scope": None if scope is None else sorted(scope),
    }
    # Texts alone are canonical as they are, and a fit has thousands of them.
    text = json.dumps(asked, sort_keys=True, separators=(",", ":"))
    return digest_bytes(text.encode())


def run_id(version: str, declaration: str, upstream: Sequence[str], scope: Any = None) -> str:
    """``{version}-{12 hex}``: the declaration, the run ids above it, the declared scope if fitted.

    Examples
    --------
    >>> run_id("0.2", "ab", ["0.1-000000000000"])
    '0.2-d1fba9c2876c'
    """
    asked = {"declaration": declaration, "upstream": list(upstream), "scope": scope}
    return f"{version}-{digest(asked)[:RUN_ID_DIGITS]}"


def member_ext(name: str) -> str:
    """Extension under which a file of a fitted state is stored.

    Examples
    --------
    >>> member_ext("templates.parquet"), member_ext("centres")
    ('parquet', 'bin')
    """
    return PurePath(name).suffix[1:].lower() or "bin"


def state_manifest(members: Mapping[str, str]) -> bytes:
    """A fitted state as an object: canonical JSON of file name to digest."""
    return canonical_json(members).encode()
