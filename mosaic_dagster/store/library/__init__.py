"""Templates and trained pipelines, kept by name beside the store."""

from mosaic_dagster.store.library.library import PipelineLibrary

__all__ = ["PipelineLibrary"]
