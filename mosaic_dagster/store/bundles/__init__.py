"""Trained chains as files: ``.n4a`` archives and ``.n4a.py`` scripts."""

from mosaic_dagster.store.bundles.archive import Archive, read_archive, zip_bytes
from mosaic_dagster.store.bundles.bundle import Bundle, load_bundle
from mosaic_dagster.store.bundles.importing import checked_import, refuse_untrusted
from mosaic_dagster.store.bundles.script import script_text
from mosaic_dagster.store.bundles.writer import ChainArtifact, bundle_bytes

__all__ = [
    "Archive",
    "Bundle",
    "ChainArtifact",
    "bundle_bytes",
    "checked_import",
    "load_bundle",
    "read_archive",
    "refuse_untrusted",
    "script_text",
    "zip_bytes",
]
