"""The saved comparison of mocks."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

from rtstt_testkit.probe.rows import ROWS

compare_mocks: Any = pytest.importorskip("compare_mocks", reason="needs the project's scripts")


def saved() -> dict[str, Any]:
    return json.loads(compare_mocks.DATA.read_text(encoding="utf-8"))


def test_the_table_can_be_made_of_it() -> None:
    """After a change of the rows that are shown: `python3 scripts/compare_mocks.py --write`."""
    data = saved()
    assert compare_mocks.AIMOCK.items() <= data["versions"].items()
    assert data["alike"]["this mock"] == len(data["rows"])
    assert set(compare_mocks.SHOWN) <= {row["name"] for row in data["rows"]}
    assert set(compare_mocks.SHOWN) <= {row.name for row in ROWS}
    assert {row["name"] for row in data["rows"]} == {row.name for row in compare_mocks.COMPARED}


@pytest.mark.release
@pytest.mark.client
@pytest.mark.node
@pytest.mark.timeout(600)
def test_a_new_run_gives_the_same() -> None:
    command = [sys.executable, compare_mocks.__file__, "--json"]
    old, new = saved(), json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True, timeout=500).stdout)
    assert [row for row in new["rows"] if row not in old["rows"]] == []
    assert len(new["rows"]) == len(old["rows"]) == len(compare_mocks.COMPARED)
    assert new["alike"] == old["alike"]
    assert new["alike"]["this mock"] == len(compare_mocks.COMPARED)
