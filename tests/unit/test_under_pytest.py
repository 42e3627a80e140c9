"""The shim in a test suite of somebody else, whose warnings are errors."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

RTSTT_SHIM = str(Path(sys.executable).parent / "rtstt-shim")
PYTEST = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]


@pytest.fixture
def suite(tmp_path: Path) -> Path:
    (tmp_path / "pytest.ini").write_text("[pytest]\nfilterwarnings = error\naddopts = -p no:asyncio\n")
    (tmp_path / "test_app.py").write_text(
        "def test_app():\n    import rtstt_shim\n    assert rtstt_shim.status().active\n"
    )
    return tmp_path


def run(folder: Path, *words: str, **environ: str) -> None:
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("PYTEST_", "RTSTT_", "PYTHON", "COV_"))
    }
    done = subprocess.run(words, cwd=folder, env={**kept, **environ}, capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 passed" in done.stdout
    assert "Warning" not in done.stdout + done.stderr


def test_rtstt_shim_run(suite: Path) -> None:
    run(suite, RTSTT_SHIM, "run", "--", *PYTEST)


@pytest.mark.heavy
def test_rtstt_shim_run_with_a_route(suite: Path) -> None:
    run(suite, RTSTT_SHIM, "run", "--route", "api.openai.com=127.0.0.1:9", "--", *PYTEST)


@pytest.mark.heavy
def test_an_import_before_pytest(suite: Path) -> None:
    run(suite, sys.executable, "-c", "import rtstt_shim, rtstt_testkit, pytest; raise SystemExit(pytest.main(['-q']))")


@pytest.mark.heavy
def test_a_plugin_on_the_command_line(suite: Path) -> None:
    run(suite, *PYTEST, "-p", "rtstt_shim")


@pytest.mark.heavy
def test_a_plugin_in_the_environment(suite: Path) -> None:
    run(suite, *PYTEST, PYTEST_PLUGINS="rtstt_shim")


@pytest.mark.heavy
def test_a_sitecustomize(suite: Path, tmp_path: Path) -> None:
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "sitecustomize.py").write_text("import rtstt_shim")
    run(suite, *PYTEST, PYTHONPATH=str(tmp_path / "site"))


@pytest.mark.heavy
def test_a_conftest(suite: Path) -> None:
    (suite / "conftest.py").write_text("import rtstt_shim")
    run(suite, *PYTEST)
