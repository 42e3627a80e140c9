"""What `import rtstt_shim` loads: an application pays for it at each start."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

CODE = """
import json, sys
import wrapt
before = set(sys.modules)
import rtstt_shim
print(json.dumps(sorted(set(sys.modules) - before)))
"""

OURS = ["rtstt_shim", "rtstt_shim.registry", "rtstt_shim.targets", "rtstt_shim.url_rule"]
STANDARD = {"__future__", "ipaddress", "urllib", "urllib.parse"}
"""What a Python whose asyncio and importlib.metadata do without it may still have to load."""


@pytest.fixture(scope="module")
def loaded() -> list[str]:
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    found: list[str] = json.loads(done.stdout)
    return found


def test_four_small_modules_are_loaded_beside_wrapt(loaded: list[str]) -> None:
    assert [name for name in loaded if name.partition(".")[0] == "rtstt_shim"] == OURS


def test_nothing_else_is_loaded_and_no_client_library_above_all(loaded: list[str]) -> None:
    others = {name for name in loaded if name.partition(".")[0] != "rtstt_shim"}
    assert others <= STANDARD
