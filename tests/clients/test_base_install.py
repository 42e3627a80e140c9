"""The base install: what `pip install rtstt-shim` installs, and the errors of commands that need an extra."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from rtstt_core.cli import COMMANDS

_env = pytest.importorskip("_env", reason="needs the project's scripts")

pytestmark = [pytest.mark.client, pytest.mark.timeout(600)]


@pytest.fixture
def python() -> Path:
    return _env.environment([], wheel=_env.wheel())


def run(python: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([python, *words], capture_output=True, text=True, timeout=300, env={"PATH": "/usr/bin:/bin"})


def test_it_brings_wrapt_and_nothing_else(python: Path) -> None:
    code = """
import json
from importlib.metadata import distributions
print(json.dumps(sorted(found.name for found in distributions())))
"""
    installed = set(json.loads(run(python, "-c", code).stdout))
    assert installed - {"pip", "setuptools"} == {"rtstt-shim", "wrapt"}


def test_the_shim_is_active(python: Path) -> None:
    done = run(python, "-W", "error", "-c", "import rtstt_shim; print(rtstt_shim.status().active)")
    assert (done.stdout, done.stderr) == ("True\n", "")


@pytest.mark.parametrize(
    ("words", "needs", "extra"),
    [
        (["mock"], "h11", "testkit"),
        (["probe"], "h11", "testkit"),
        (["record", "--out", "x.jsonl", "--", "true"], "trustme", "testkit"),
        (["exam", "--list"], "numpy", "exam"),
        (["run", "--route", "api.openai.com=127.0.0.1:1", "--", "true"], "trustme", "testkit"),
        (["pr", "--list"], "yaml", "upstream"),
        (["patch-npm"], None, "upstream"),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else None,
)
def test_a_command_that_needs_more_says_so_in_one_sentence(
    python: Path, words: list[str], needs: str | None, extra: str
) -> None:
    done = run(python, "-m", "rtstt_core", *words)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1
    assert done.stderr.endswith(f"install it with: pip install 'rtstt-shim[{extra}]'\n")
    if needs:
        assert f"needs {needs}" in done.stderr


@pytest.mark.parametrize("name", COMMANDS)
def test_the_help_of_every_command_works(python: Path, name: str) -> None:
    done = run(python, "-W", "error", "-m", "rtstt_core", name, "--help")
    assert (done.stderr, done.returncode) == ("", 0)
    assert done.stdout.startswith(f"usage: rtstt-shim {name}")


def test_doctor_and_node_path_need_nothing_more(python: Path, tmp_path: Path) -> None:
    done = run(python, "-m", "rtstt_core", "doctor", str(tmp_path))
    assert (done.returncode, done.stderr) == (0, "")
    assert " ".join(done.stdout.split()).endswith(
        "source code and packages without a row were not examined: `rtstt-shim doctor` needs yaml, which the "
        "base install leaves out; install it with: pip install 'rtstt-shim[upstream]'"
    )
    assert Path(run(python, "-m", "rtstt_core", "node-path").stdout.strip(), "register.cjs").is_file()
