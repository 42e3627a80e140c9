"""The vendored parts are the pinned release, unchanged, with their licence."""

import subprocess
import sys
from importlib.metadata import distribution
from pathlib import Path

SCRIPT = Path(__file__).parents[2] / "scripts" / "vendor_inspector.py"


def test_what_is_vendored_is_what_is_pinned() -> None:
    done = subprocess.run([sys.executable, str(SCRIPT), "--check"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_licence_of_what_is_vendored_is_one_of_the_wheel() -> None:
    wheel = distribution("rtstt-shim")
    assert wheel.metadata["License-Expression"] == "Apache-2.0 AND BSD-3-Clause"
    names = wheel.metadata.get_all("License-File")
    vendored = "shim/rtstt_testkit/inspector/vendor/LICENSE"
    assert names == ["LICENSE", vendored]
    texts = [file.read_text() for file in wheel.files or () if file.match(f"*.dist-info/licenses/{vendored}")]
    assert len(texts) == 1
    assert "katspaugh and contributors" in texts[0]
