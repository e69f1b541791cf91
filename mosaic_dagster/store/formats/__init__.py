"""How Python objects become the bytes of an artifact, and come back."""

from mosaic_dagster.store.formats.encoding import (
    EXTENSIONS,
    FORMATS,
    Encoded,
    decode,
    encode,
    runs_code,
)
from mosaic_dagster.store.formats.estimators import describable
from mosaic_dagster.store.formats.skops_files import untrusted_types
from mosaic_dagster.store.formats.trusted_types import OWN_TYPES
from mosaic_dagster.store.formats.versions import LibraryVersionWarning, format_version

__all__ = [
    "EXTENSIONS",
    "FORMATS",
    "OWN_TYPES",
    "Encoded",
    "LibraryVersionWarning",
    "decode",
    "describable",
    "encode",
    "format_version",
    "runs_code",
    "untrusted_types",
]
