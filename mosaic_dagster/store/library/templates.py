"""Templates: pipeline configurations kept by category and name, to be used again."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from mosaic_dagster.errors import LibraryNameUnknownError, StoreTypeError, StoreValueError
from mosaic_dagster.store.content import durable
from mosaic_dagster.store.library.documents import document_bytes, now, read_document
from mosaic_dagster.store.library.folders import Shelf, list_folders, write_document
from mosaic_dagster.store.library.names import folder_name

VERSION = "1.0"

_CONFIG = "pipeline.json"
_METADATA = "metadata.json"
_README = "README.md"
_EMPTY: Mapping[str, Any] = {"description": "", "tags": [], "metrics": {}, "notes": ""}


class Templates:
    """The templates of one library: ``templates/<category>/<name>/``.

    Parameters
    ----------
    library
        The library's folder.
    """

    def __init__(self, library: Path) -> None:
        self._library = library
        self._root = library / "templates"

    def save(
        self,
        pipeline_config: Mapping[str, Any],
        name: str,
        category: str,
        facts: Mapping[str, Any],
        *,
        overwrite: bool,
    ) -> Path:
        """Save a template; one that is replaced keeps the time of its making.

        Parameters
        ----------
        pipeline_config
            The configuration.
        name, category
            Where it is kept.
        facts
            Description, tags, metrics and notes; others are dropped.
        overwrite
            Replace a template of this name.

        Returns
        -------
        Path
            The template's folder.
        """
        if not isinstance(pipeline_config, Mapping):
            msg = f"The configuration of {name!r} is a {type(pipeline_config).__name__}."
            raise StoreTypeError(msg, "Give a dict.")
        shelf, folder = self._shelf(category), folder_name(name)
        time, created = now(), facts.get("created_at")
        metadata = {
            "name": folder,
            "category": shelf.path.name,
            **_checked_facts(facts),
            "created_at": created if isinstance(created, str) else time,
            "modified_at": time,
            "version": VERSION,
        }
        if overwrite and shelf.has(folder):
            metadata["created_at"] = self._listed(shelf, folder).get("created_at") or time
        config = document_bytes(pipeline_config, "pipeline_config")
        described = document_bytes(metadata, "metadata", missing_as_null=True)
        with shelf.building(folder, overwrite=overwrite) as new:
            write_document(new / _CONFIG, config)
            write_document(new / _METADATA, described)
            write_document(new / _README, _readme(metadata).encode(errors="replace"))
        return shelf.path / folder

    def load(self, name: str, category: str | None) -> dict[str, Any]:
        """Configuration of a template."""
        shelf, folder = self._find(name, category)
        return shelf.read(folder, _CONFIG)

    def metadata(self, name: str, category: str | None) -> dict[str, Any]:
        """Metadata of a template."""
        shelf, folder = self._find(name, category)
        return self._metadata(shelf, folder)

    def find(self, category: str | None, tags: Iterable[str] | None) -> list[dict[str, Any]]:
        """Metadata of all templates, or of those with any of the tags, by category and name."""
        wanted = None if tags is None else set(_tags(tags))
        found = [
            self._listed(shelf, name) for shelf in self._shelves(category) for name in shelf.names()
        ]
        # The tags of a damaged template are not known, so it is always shown.
        return [
            each
            for each in found
            if wanted is None or "error" in each or wanted.intersection(each["tags"])
        ]

    def delete(self, name: str, category: str | None) -> None:
        """Delete a template."""
        shelf, folder = self._find(name, category)
        shelf.delete(folder)

    def export(self, name: str, path: Path, category: str | None) -> Path:
        """Write a template to one JSON file and return its path."""
        shelf, folder = self._find(name, category)
        metadata = self._metadata(shelf, folder)
        content = {"metadata": metadata, "pipeline": shelf.read(folder, _CONFIG)}
        target = path if path.name.endswith(".json") else path.with_name(f"{path.name}.json")
        return durable.replace_file(target, document_bytes(content, "template"))

    def import_(self, path: Path, category: str, *, overwrite: bool) -> Path:
        """Save the template of a file that :meth:`export` wrote; return its folder."""
        try:
            content = read_document(path)
        except FileNotFoundError as error:
            msg = f"{path} is not there."
            raise LibraryNameUnknownError(msg, "Check the path.") from error
        config, metadata = content.get("pipeline"), content.get("metadata")
        if not isinstance(config, dict) or not isinstance(metadata, dict):
            msg = f"{path} is not an exported template: it lacks 'pipeline' or 'metadata'."
            raise StoreValueError(msg, "Export the template again, or use save_template.")
        return self.save(config, metadata.get("name", ""), category, metadata, overwrite=overwrite)

    def _shelf(self, category: str) -> Shelf:
        return Shelf(self._library, self._root / folder_name(category, "category"))

    def _shelves(self, category: str | None) -> list[Shelf]:
        if category is not None:
            return [self._shelf(category)]
        names = sorted(p.name for p in list_folders(self._root) if not p.name.startswith("."))
        return [Shelf(self._library, self._root / name) for name in names]

    def _find(self, name: str, category: str | None) -> tuple[Shelf, str]:
        folder = folder_name(name)
        shelves = [shelf for shelf in self._shelves(category) if shelf.has(folder)]
        if not shelves:
            where = "" if category is None else f" in the category {category!r}"
            msg = f"The library in {self._library} has no template {name!r}{where}."
            raise LibraryNameUnknownError(msg, "See list_templates().")
        if len(shelves) > 1:
            categories = ", ".join(shelf.path.name for shelf in shelves)
            msg = f"Several categories have a template {name!r}: {categories}."
            raise StoreValueError(msg, "Say which with category=.")
        return shelves[0], folder

    def _metadata(self, shelf: Shelf, folder: str) -> dict[str, Any]:
        found = {**_EMPTY, **shelf.read(folder, _METADATA)}
        try:
            found.update(_checked_facts(found))
        except StoreTypeError as error:
            msg = f"{shelf.path / folder / _METADATA} is damaged. {error.what}"
            raise StoreValueError(msg, "Save it again with overwrite=True.") from error
        # A folder that was renamed by hand is found by its new name.
        return {**found, "name": folder, "category": shelf.path.name}

    def _listed(self, shelf: Shelf, folder: str) -> dict[str, Any]:
        """Metadata, with ``error`` when the template cannot be read whole."""
        listed = {"name": folder, "category": shelf.path.name, **_EMPTY}
        try:
            listed = self._metadata(shelf, folder)
            shelf.read(folder, _CONFIG)
        except (StoreValueError, LibraryNameUnknownError) as error:
            return {**listed, "error": str(error)}
        return listed


def _checked_facts(facts: Mapping[str, Any]) -> dict[str, Any]:
    """Description, tags, metrics and notes in their types."""
    checked = {
        "description": facts.get("description") or "",
        "tags": _tags(facts.get("tags") or ()),
        "metrics": facts.get("metrics") or {},
        "notes": facts.get("notes") or "",
    }
    kinds = {"description": str, "metrics": Mapping, "notes": str}
    for key, kind in kinds.items():
        if not isinstance(checked[key], kind):
            msg = f"The {key} of the template is a {type(checked[key]).__name__}."
            raise StoreTypeError(msg, f"Give a {'dict' if kind is Mapping else 'text'}.")
    return checked


def _tags(tags: Iterable[str]) -> list[str]:
    if not isinstance(tags, Iterable):
        msg = f"The tags are a {type(tags).__name__}."
        raise StoreTypeError(msg, "Give a list of texts.")
    listed = [tags] if isinstance(tags, str) else list(tags)
    for tag in listed:
        if not isinstance(tag, str):
            msg = f"The tag {tag!r} is a {type(tag).__name__}, not a text."
            raise StoreTypeError(msg, "Give a list of texts.")
    return listed


def _readme(metadata: Mapping[str, Any]) -> str:
    """Text for people who come upon the folder."""
    name, category = metadata["name"], metadata["category"]
    lines = [f"# {name}", "", f"Category: {category}  ", f"Saved: {metadata['modified_at']}"]
    if metadata["tags"]:
        lines[-1] += "  "
        lines.append(f"Tags: {', '.join(metadata['tags'])}")
    if metadata["description"]:
        lines += ["", metadata["description"]]
    if metadata["metrics"]:
        lines += ["", "## Metrics", ""]
        lines += [f"- {metric}: {value}" for metric, value in metadata["metrics"].items()]
    if metadata["notes"]:
        lines += ["", "## Notes", "", metadata["notes"]]
    call = f"PipelineLibrary(workspace_path).load_template({name!r}, {category!r})"
    return "\n".join([*lines, "", "## Use", "", f"`{call}`", ""])
