"""Names: what a person types finds its folder again and never leaves the library."""

from pathlib import PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mosaic_dagster.errors import StoreValueError
from mosaic_dagster.store.library.names import folder_name


@pytest.mark.parametrize(
    ("name", "folder"),
    [
        ("Larva Speed", "larva_speed"),
        ("../../etc/passwd", "etcpasswd"),
        ('a<b>c:d"e/f\\g|h?i*j', "abcdefghij"),
        ("v1.2", "v1.2"),
        (".hidden.", "hidden"),
        ("a\tb\x00\x7f\n", "ab"),
        ("Größe", "größe"),
        ("./.", None),
        ("", None),
        ("???", None),
        ("\ud800", None),
        ("n" * 201, None),
        ("ü" * 101, None),
        (None, None),
    ],
)
def test_a_name_becomes_one_safe_folder(name, folder):
    """Else ``../x`` writes outside the library, or a file system refuses the name."""
    if folder is None:
        with pytest.raises(StoreValueError):
            folder_name(name)
    else:
        assert folder_name(name) == folder


@given(st.text(max_size=60))
def test_a_folders_own_name_finds_it(name):
    """Else a template that is listed cannot be loaded by the name in the list."""
    try:
        folder = folder_name(name)
    except StoreValueError:
        return
    assert folder_name(folder) == folder
    assert PurePosixPath(folder).name == folder
    assert not folder.startswith(".")
