"""``RTSTT_SHIM_DISABLE``: one meaning wherever it is read."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import rtstt_shim
from rtstt_core.commands.activation import BOOTSTRAP, NODE_SHIM

VALUES = json.loads((Path(__file__).parents[1] / "vectors" / "disable.json").read_text(encoding="utf-8"))["inert"]

pytestmark = pytest.mark.parametrize(("value", "inert"), VALUES.items())


def run(*words: str, value: str, **environ: str) -> subprocess.CompletedProcess[str]:
    kept = {name: text for name, text in os.environ.items() if not name.startswith(("RTSTT_", "PYTHON", "NODE_"))}
    environ = {**kept, **environ, "RTSTT_SHIM_DISABLE": value}
    return subprocess.run(words, env=environ, capture_output=True, text=True, timeout=60)


def test_in_the_python_shim(value: str, inert: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RTSTT_SHIM_DISABLE", value)
    rtstt_shim.uninstall()
    rtstt_shim.install()
    try:
        assert rtstt_shim.status().active is not inert
    finally:
        rtstt_shim.uninstall()


def test_in_the_bootstrap(value: str, inert: bool) -> None:
    done = run(
        sys.executable, "-c", "import sys; print('rtstt_shim' in sys.modules)", value=value, PYTHONPATH=str(BOOTSTRAP)
    )
    assert (done.stdout, done.stderr) == (f"{not inert}\n", "")


def test_in_the_bootstrap_of_a_python_that_is_too_old(value: str, inert: bool) -> None:
    """It reports that the shim is not active where it should be."""
    program = f"import runpy, sys; sys.version_info = (3, 8); runpy.run_path({str(BOOTSTRAP / 'sitecustomize.py')!r})"
    done = run(sys.executable, "-S", "-c", program, value=value, PYTHONPATH=str(BOOTSTRAP))
    line = "" if inert else "rtstt-shim: not active: this is Python 3.8, 3.10 is needed\n"
    assert (done.stdout, done.stderr) == ("", line)


@pytest.mark.node
def test_in_the_node_shim(value: str, inert: bool) -> None:
    program = "console.log(Symbol.for('rtstt_shim.installed') in globalThis)"
    done = run("node", f"--require={NODE_SHIM}", "-e", program, value=value)
    assert (done.stdout, done.stderr) == (f"{not inert}\n".lower(), "")
