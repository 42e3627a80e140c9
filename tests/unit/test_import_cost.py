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

OURS = [
    "rtstt_core",
    "rtstt_core.bootstrap",
    "rtstt_core.bootstrap._rtstt_disable",
    "rtstt_core.forking",
    "rtstt_core.patching",
    "rtstt_core.patching.guard",
    "rtstt_core.patching.installation",
    "rtstt_core.patching.messages",
    "rtstt_core.patching.targets",
    "rtstt_core.patching.wrapping",
    "rtstt_core.status",
    "rtstt_core.url_rule",
    "rtstt_shim",
]
STANDARD = {"__future__", "ipaddress", "urllib", "urllib.parse"}
"""What a Python whose asyncio and importlib.metadata do without it may still have to load."""


@pytest.fixture(scope="module")
def loaded() -> list[str]:
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    found: list[str] = json.loads(done.stdout)
    return found


def test_only_the_small_modules_are_loaded_beside_wrapt(loaded: list[str]) -> None:
    assert [name for name in loaded if name.startswith("rtstt_")] == OURS


def test_nothing_else_is_loaded_and_no_client_library_above_all(loaded: list[str]) -> None:
    others = {name for name in loaded if not name.startswith("rtstt_")}
    assert others <= STANDARD
