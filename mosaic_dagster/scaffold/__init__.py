"""A lab's own project, written from the code location that this package ships."""

from mosaic_dagster.scaffold.names import EXAMPLES, NewProject
from mosaic_dagster.scaffold.project import project_files
from mosaic_dagster.scaffold.shipped import shipped_root
from mosaic_dagster.scaffold.writing import write_project

__all__ = ["EXAMPLES", "NewProject", "project_files", "shipped_root", "write_project"]
