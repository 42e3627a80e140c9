"""The command line options of the pytest plugin; nothing of the inspector is imported before one is used."""

from __future__ import annotations

import pytest

__all__ = ["add_options"]


def add_options(parser: pytest.Parser) -> None:
    """Add the options to pytest's own."""
    group = parser.getgroup("rtstt", "realtime speech-to-text (rtstt-shim)")
    group.addoption(
        "--rtstt-report",
        metavar="DIR",
        help="write an HTML report of what the realtime servers saw, for each failing test that used one",
    )
    group.addoption("--rtstt-report-all", action="store_true", help="write it for every test that used one")
