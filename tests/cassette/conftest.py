"""A recorded session to start from."""

from __future__ import annotations

from pathlib import Path

import pytest
from cassettes import record


@pytest.fixture
def talk(tmp_path: Path) -> Path:
    """A recording of one session."""
    return record(tmp_path / "talk.rtstt.jsonl")
