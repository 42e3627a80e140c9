"""The vendored parts are the pinned release, unchanged, with their licence."""

import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).parents[2] / "scripts" / "vendor_inspector.py"


def test_what_is_vendored_is_what_is_pinned() -> None:
    done = subprocess.run([sys.executable, str(SCRIPT), "--check"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
