"""The format 'skops': objects whose types are checked against a list before any is made."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mosaic_dagster.errors import StoreError, StoreValueError, UntrustedArtifactError
from mosaic_dagster.store.formats.archives import check_archive
from mosaic_dagster.store.formats.canonical_skops import canonical_archive
from mosaic_dagster.store.formats.trusted_types import OWN_TYPES

# skops lists all of scikit-learn when it is imported, half a second, hence the late imports.


def dump_skops(obj: Any) -> bytes:
    """Canonical skops bytes: an object that is fitted again in another process gives the same.

    The number of threads that scikit-learn's objects keep comes back as its default.

    Raises
    ------
    TypeError
        skops cannot hold the object, such as a lambda.
    """
    import skops.io

    return canonical_archive(skops.io.dumps(obj))


def load_skops(data: bytes, types: Sequence[str] | None = None, limit: int | None = None) -> Any:
    """Object of skops bytes.

    Parameters
    ----------
    data
        What :func:`dump_skops`, or skops itself, wrote.
    types
        Full names of the types to trust beside those that skops trusts; None for
        ``OWN_TYPES``.
    limit
        Most bytes that may be unpacked.

    Raises
    ------
    UntrustedArtifactError
        Other types are in it; it lists them, and nothing was made.
    StoreValueError
        It is too large.
    """
    import skops.io
    from skops.io.exceptions import UntrustedTypesFoundException

    check_archive(data, limit)
    if isinstance(types, str):
        msg = "The types to trust are a text."
        raise StoreValueError(msg, "Pass a list of the full names of types.")
    trusted = list(OWN_TYPES if types is None else types)
    try:
        return skops.io.loads(data, trusted=trusted)
    except UntrustedTypesFoundException as error:
        unknown = sorted(set(skops.io.get_untrusted_types(data=data)) - set(trusted))
        msg = f"The skops file holds types that are not trusted: {', '.join(unknown)}."
        remedy = "Pass those that you know in trusted_types."
        raise UntrustedArtifactError(msg, remedy) from error


def untrusted_types(data: bytes, limit: int | None = None) -> list[str]:
    """Full names, sorted, of the types in skops bytes that skops does not trust by itself.

    Raises
    ------
    StoreValueError
        The bytes are not a skops file, or would unpack to more than ``limit``.
    """
    import skops.io

    try:
        check_archive(data, limit)
        return list(skops.io.get_untrusted_types(data=data))
    except StoreError:
        raise
    except Exception as error:  # damaged bytes fail anywhere in the reader
        msg = f"The bytes are not a readable skops file: {error}"
        raise StoreValueError(msg, "Check where they come from.") from error
