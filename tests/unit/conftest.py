from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest

import rtstt_shim
from rtstt_shim import report


@pytest.fixture
def shim() -> Iterator[None]:
    """The shim, installed for one test, with no storm left over from another."""
    report._storms.clear()
    rtstt_shim.install()
    yield
    rtstt_shim.uninstall()


class _Kept(logging.Handler):
    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)


@pytest.fixture
def warnings_logged() -> Iterator[list[logging.LogRecord]]:
    """The records of the logger `rtstt_shim`, at level WARNING and above, as they come."""
    report._storms.clear()
    kept = _Kept()
    logger = logging.getLogger("rtstt_shim")
    logger.addHandler(kept)
    yield kept.records
    logger.removeHandler(kept)
