"""The realtime tests of published clients, with warnings as errors: every test has the same result with the shim.

The suites are those of the sdists that have one; pydantic-ai's has none.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

_env = pytest.importorskip("_env", reason="needs the project's scripts")

pytestmark = [pytest.mark.client, pytest.mark.release, pytest.mark.timeout(900)]


class Suite(NamedTuple):
    """The tests of a package, what they need, and how many there are at least."""

    tests: tuple[str, ...]
    requirements: tuple[str, ...]
    count: int


SUITES = {
    "openai-agents==0.24.0": Suite(
        ("tests/voice", "tests/realtime/test_openai_realtime.py", "tests/realtime/test_websocket_message_size.py"),
        (
            "openai-agents[voice,realtime]==0.24.0",
            "pytest-asyncio>=1.0,<2",
            "pytest-mock>=3.14",
            "inline-snapshot>=0.20",
        ),
        300,
    ),
    "hermes-talk==0.22.0": Suite(
        ("tests/test_openai_realtime.py", "tests/test_live_realtime.py", "tests/test_realtime_contract.py"),
        ("hermes-talk==0.22.0",),
        50,
    ),
}
ACTIVE = "def test_the_shim_is_active():\n    import sys\n\n    assert sys.modules['rtstt_shim'].status().active\n"
PYTEST = ("pytest>=9,<10", "pytest-timeout>=2.3")


class Way(NamedTuple):
    """A way of activating the shim: what comes before Python, what is passed to pytest, and what is set up."""

    before: tuple[str, ...] = ()
    options: tuple[str, ...] = ()
    setup: Callable[[Path, dict[str, str]], None] = lambda folder, environ: None


def _in_conftest(folder: Path, environ: dict[str, str]) -> None:
    conftest = folder / "conftest.py"
    text = conftest.read_text(encoding="utf-8") if conftest.exists() else ""
    conftest.write_text(f"import rtstt_shim\n{text}", encoding="utf-8")


def _at_startup(folder: Path, environ: dict[str, str]) -> None:
    """As a .pth file in site-packages does."""
    (folder / "startup").mkdir()
    (folder / "startup" / "sitecustomize.py").write_text("import rtstt_shim\n", encoding="utf-8")
    environ["PYTHONPATH"] = str(folder / "startup")


WAYS = {
    "rtstt-shim run": Way(before=("-m", "rtstt_core", "run", "--")),
    "import in conftest.py": Way(setup=_in_conftest),
    "-p rtstt_shim": Way(options=("-p", "rtstt_shim")),
    "import at startup": Way(setup=_at_startup),
}


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Download an sdist, and unpack it anew for each call."""
    downloads = tmp_path_factory.mktemp("sdists")

    def unpack(requirement: str) -> Path:
        if not list(downloads.glob(f"{requirement.partition('=')[0].replace('-', '_')}*")):
            # An environment that uv made has no pip; the interpreter it was made with does.
            python = getattr(sys, "_base_executable", sys.executable)
            command = [
                python,
                "-m",
                "pip",
                "download",
                "--quiet",
                "--no-deps",
                "--no-binary=:all:",
                "--dest",
                downloads,
            ]
            subprocess.run([*command, requirement], check=True, capture_output=True, timeout=300)
        [sdist] = downloads.glob(f"{requirement.partition('=')[0].replace('-', '_')}*.tar.gz")
        folder = tmp_path_factory.mktemp("suite")
        with tarfile.open(sdist) as archive:
            # Python 3.10 and 3.11 have the filter from 3.10.12 and 3.11.4 on.
            safe: dict[str, Any] = {"filter": "data"} if hasattr(tarfile, "data_filter") else {}
            archive.extractall(folder, **safe)
        [found] = folder.iterdir()
        return found

    return unpack


def results(python: Path, folder: Path, suite: Suite, way: Way) -> dict[str, str]:
    """Run a suite, and a test that the shim is active; return the result of each test."""
    (folder / "test_shim.py").write_text(ACTIVE, encoding="utf-8")
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("PYTEST_", "RTSTT_", "PYTHON", "COV_", "OPENAI_")) and "proxy" not in name.lower()
    }
    environ = {**kept, "PATH": f"{python.parent}{os.pathsep}{os.environ['PATH']}"}
    way.setup(folder, environ)
    report = folder / "junit.xml"
    before = [python, *way.before, "python"] if way.before else [python]
    options = ["-q", "-p", "no:cacheprovider", "--override-ini=filterwarnings=error", f"--junitxml={report}"]
    done = subprocess.run(
        [*before, "-m", "pytest", *options, *way.options, *suite.tests, "test_shim.py"],
        cwd=folder,
        env=environ,
        capture_output=True,
        text=True,
        timeout=400,
    )
    assert report.exists(), done.stdout + done.stderr
    return {
        f"{case.get('classname')}::{case.get('name')}": next((child.tag for child in case), "passed")
        for case in ElementTree.parse(report).getroot().iter("testcase")
    }


@pytest.mark.parametrize("name", SUITES)
def test_a_suite_has_the_same_results_with_the_shim(name: str, unpacked: Callable[[str], Path]) -> None:
    suite = SUITES[name]
    bare = _env.environment([*suite.requirements, *PYTEST])
    python = _env.environment([*suite.requirements, *PYTEST], wheel=_env.wheel())
    without = results(bare, unpacked(name), suite, Way())
    active = "test_shim::test_the_shim_is_active"
    assert without.pop(active) == "failure"
    assert list(without.values()).count("passed") >= suite.count
    for way, setup in WAYS.items():
        assert results(python, unpacked(name), suite, setup) == {**without, active: "passed"}, way
