"""Templates: a configuration that worked is found, read and carried to another lab unchanged."""

import json
from pathlib import Path

import pytest

from mosaic_dagster.errors import (
    LibraryNameTakenError,
    LibraryNameUnknownError,
    StoreTypeError,
    StoreValueError,
)
from mosaic_dagster.store.library import PipelineLibrary

CONFIG = {"steps": [{"class": "PCA", "params": {"n_components": 0.9, "max": 1.0}}], "ümlaut": None}


@pytest.fixture
def library(tmp_path: Path) -> PipelineLibrary:
    return PipelineLibrary(tmp_path)


def names(listed: list[dict]) -> list[tuple[str, str]]:
    return [(each["category"], each["name"]) for each in listed]


class TestSaving:
    def test_a_template_comes_back(self, library: PipelineLibrary, tmp_path: Path) -> None:
        """Also the type of a number: 1.0 and 1 mean different things to a model."""
        path = library.save_template(CONFIG, "Larva Speed", tags=["pca"], metrics={"r2": 0.5})
        assert path == tmp_path / "library" / "templates" / "general" / "larva_speed"
        assert sorted(p.name for p in path.iterdir()) == [
            "README.md",
            "metadata.json",
            "pipeline.json",
        ]
        loaded = library.load_template("Larva Speed")
        assert loaded == CONFIG
        assert isinstance(loaded["steps"][0]["params"]["max"], float)

    def test_metadata_say_what_it_is(self, library: PipelineLibrary) -> None:
        library.save_template(
            CONFIG, "a b", "My Cat", "what for", ["x", "y"], {"r2": float("nan")}, "see notes"
        )
        metadata = library.get_template_metadata("a b")
        assert metadata.pop("created_at") == metadata.pop("modified_at")
        assert metadata == {
            "name": "a_b",
            "category": "my_cat",
            "description": "what for",
            "tags": ["x", "y"],
            "metrics": {"r2": None},
            "notes": "see notes",
            "version": "1.0",
        }

    def test_a_person_who_finds_the_folder_can_read_it(self, library: PipelineLibrary) -> None:
        path = library.save_template(CONFIG, "a", "b", "what for", ["x"], {"r2": 0.5}, "a note")
        readme = (path / "README.md").read_text()
        for part in ("# a", "what for", "Tags: x", "- r2: 0.5", "a note", "('a', 'b')"):
            assert part in readme

    def test_a_taken_name_is_kept_unless_told_otherwise(self, library: PipelineLibrary) -> None:
        """Names that differ in capitals are one name. The time of the making stays."""
        library.save_template({"v": 1}, "Speed")
        path = library.save_template({"v": 1}, "speed", overwrite=True) / "metadata.json"
        metadata = json.loads(path.read_text()) | {"created_at": "2020-01-01T00:00:00+00:00"}
        path.write_text(json.dumps(metadata))
        with pytest.raises(LibraryNameTakenError, match="has 'speed' already"):
            library.save_template({"v": 2}, "SPEED")
        assert library.load_template("speed") == {"v": 1}
        library.save_template({"v": 2}, "SPEED", overwrite=True)
        assert library.load_template("speed") == {"v": 2}
        replaced = library.get_template_metadata("speed")
        assert replaced["created_at"] == "2020-01-01T00:00:00+00:00"
        assert replaced["modified_at"] > "2020-01-02"

    def test_nothing_leaves_the_library(self, library: PipelineLibrary, tmp_path: Path) -> None:
        path = library.save_template(CONFIG, "../../x", "../..//y")
        assert path == tmp_path / "library" / "templates" / "y" / "x"
        for name, category in (("..", "general"), ("x", "../.."), ("", "general")):
            with pytest.raises(StoreValueError, match="Nothing is left of the"):
                library.save_template(CONFIG, name, category)
        assert [p.name for p in tmp_path.iterdir()] == ["library"]

    @pytest.mark.parametrize(
        ("arguments", "error"),
        [
            ({"pipeline_config": [1]}, StoreTypeError),
            ({"pipeline_config": {"a": float("nan")}}, StoreValueError),
            ({"pipeline_config": {"a": object()}}, StoreTypeError),
            ({"tags": [1]}, StoreTypeError),
            ({"tags": 5}, StoreTypeError),
            ({"metrics": "good"}, StoreTypeError),
            ({"notes": 3}, StoreTypeError),
            ({"description": ["a"]}, StoreTypeError),
        ],
    )
    def test_what_cannot_be_kept_is_refused_and_leaves_nothing(
        self, library: PipelineLibrary, tmp_path: Path, arguments: dict, error: type
    ) -> None:
        """Else a template is saved that cannot be listed or loaded later."""
        with pytest.raises(error):
            library.save_template(**{"pipeline_config": CONFIG, "name": "a", **arguments})
        assert list(tmp_path.iterdir()) == []

    def test_one_tag_may_be_given_alone(self, library: PipelineLibrary) -> None:
        """Else "pca" becomes the tags p, c and a."""
        library.save_template(CONFIG, "a", tags="pca")
        assert library.get_template_metadata("a")["tags"] == ["pca"]


class TestFinding:
    def test_an_unknown_name_says_so(self, library: PipelineLibrary) -> None:
        library.save_template(CONFIG, "a", "b")
        calls = [
            lambda: library.load_template("x"),
            lambda: library.load_template("a", "c"),
            lambda: library.get_template_metadata("x"),
            lambda: library.delete_template("x"),
            lambda: library.export_template("x", "x"),
        ]
        for call in calls:
            with pytest.raises(LibraryNameUnknownError, match="has no template"):
                call()

    def test_a_name_in_two_categories_must_be_told_apart(self, library: PipelineLibrary) -> None:
        """Else a lab trains with the configuration of another category."""
        library.save_template({"v": 1}, "a", "one")
        library.save_template({"v": 2}, "a", "two")
        with pytest.raises(StoreValueError, match="one, two"):
            library.load_template("a")
        with pytest.raises(StoreValueError, match="one, two"):
            library.delete_template("a")
        assert library.load_template("a", "two") == {"v": 2}
        library.delete_template("a", "one")
        assert library.load_template("a") == {"v": 2}

    def test_lists_are_sorted_and_narrowed(self, library: PipelineLibrary) -> None:
        for category, name, tags in [
            ("b", "a", ["x"]),
            ("a", "z", ["y"]),
            ("a", "c", ["x", "y"]),
            ("a", "d", None),
        ]:
            library.save_template(CONFIG, name, category, tags=tags)
        assert names(library.list_templates()) == [("a", "c"), ("a", "d"), ("a", "z"), ("b", "a")]
        assert names(library.list_templates("A")) == [("a", "c"), ("a", "d"), ("a", "z")]
        assert names(library.list_templates(tags=["x", "w"])) == [("a", "c"), ("b", "a")]
        assert names(library.list_templates("a", "x")) == [("a", "c")]
        assert library.list_templates(tags=[]) == []
        assert library.list_templates("none") == []

    def test_an_empty_library_is_not_made_by_looking(
        self, library: PipelineLibrary, tmp_path: Path
    ) -> None:
        assert library.list_templates() == []
        assert list(tmp_path.iterdir()) == []

    @pytest.mark.parametrize("file", ["metadata.json", "pipeline.json"])
    @pytest.mark.parametrize("content", [None, "{", "[]"])
    def test_a_damaged_template_is_listed_with_its_error(
        self, library: PipelineLibrary, file: str, content: str | None
    ) -> None:
        """Else it seems to have vanished, and its good neighbours with it."""
        library.save_template(CONFIG, "good", tags=["x"])
        path = library.save_template(CONFIG, "hurt") / file
        path.unlink() if content is None else path.write_text(content)
        good, hurt = library.list_templates(tags=["x"])
        assert "error" not in good
        assert (hurt["name"], hurt["category"], hurt["tags"]) == ("hurt", "general", [])
        assert file in hurt["error"]
        library.save_template(CONFIG, "hurt", overwrite=True)
        assert library.list_templates()[1].get("error") is None

    @pytest.mark.parametrize("wrong", [{"tags": 5}, {"tags": [1]}, {"metrics": [1]}])
    def test_metadata_of_the_wrong_kind_are_damage(
        self, library: PipelineLibrary, wrong: dict
    ) -> None:
        """Else one file changed by hand breaks the list of all."""
        path = library.save_template(CONFIG, "hurt") / "metadata.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | wrong))
        (listed,) = library.list_templates(tags=["x"])
        assert "metadata.json is damaged" in listed["error"]

    def test_a_folder_renamed_by_hand_goes_by_its_new_name(self, library: PipelineLibrary) -> None:
        path = library.save_template(CONFIG, "old")
        path.rename(path.with_name("new"))
        (listed,) = library.list_templates()
        assert library.load_template(listed["name"]) == CONFIG


class TestCarrying:
    def test_a_template_travels_in_one_file(self, library: PipelineLibrary, tmp_path: Path) -> None:
        """Else a lab cannot send its configuration, or its tags and notes are lost."""
        library.save_template(CONFIG, "v1.2", "one", "what for", ["x"], {"r2": 0.5}, "note")
        path = library.export_template("v1.2", tmp_path / "out" / "v1.2")
        assert path == tmp_path / "out" / "v1.2.json"
        other = PipelineLibrary(tmp_path / "other")
        folder = other.import_template(path, "two")
        assert folder.parts[-2:] == ("two", "v1.2")
        assert other.load_template("v1.2") == CONFIG
        there, here = other.get_template_metadata("v1.2"), library.get_template_metadata("v1.2")
        there.pop("modified_at"), here.pop("modified_at")
        assert there == here | {"category": "two"}
        with pytest.raises(LibraryNameTakenError):
            other.import_template(path, "two")
        other.import_template(path, "two", overwrite=True)

    def test_the_suffix_is_not_doubled(self, library: PipelineLibrary, tmp_path: Path) -> None:
        library.save_template(CONFIG, "a")
        assert library.export_template("a", str(tmp_path / "a.json")).name == "a.json"

    @pytest.mark.parametrize(
        "content",
        [
            '{"pipeline": {}}',
            '{"pipeline": [], "metadata": {}}',
            '{"pipeline": {}, "metadata": {"name": "../.."}}',
            '{"pipeline": {}, "metadata": {"name": 3}}',
            "[]",
            "no",
        ],
    )
    def test_a_file_that_is_no_template_is_refused(
        self, library: PipelineLibrary, tmp_path: Path, content: str
    ) -> None:
        path = tmp_path / "a.json"
        path.write_text(content)
        with pytest.raises(StoreValueError):
            library.import_template(path)
        with pytest.raises(LibraryNameUnknownError, match="is not there"):
            library.import_template(tmp_path / "b.json")
        assert library.list_templates() == []
