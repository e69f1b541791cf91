"""What a picture says, without looking at its pixels."""

from __future__ import annotations

import importlib

import pytest
from matplotlib.text import Text


@pytest.fixture
def figure_of(monkeypatch):
    """Call a chart and get the figure that it would have made a PNG of."""

    def call(draw, *given, **options):
        kept = []
        module = importlib.import_module(draw.__module__)
        with monkeypatch.context() as patched:
            patched.setattr(module, "to_png", lambda figure: kept.append(figure) or b"")
            draw(*given, **options)
        return kept[0]

    return call


@pytest.fixture
def texts_of():
    """All texts of a figure that are not empty."""

    def find(figure):
        return [text.get_text() for text in figure.findobj(Text) if text.get_text()]

    return find
