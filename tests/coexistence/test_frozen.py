"""Frozen applications: in a zipapp and a PyInstaller executable the shim patches the clients and logs warnings."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import sys
import zipapp
from importlib import metadata
from pathlib import Path

import pytest

from rtstt_testkit import ThreadedRealtimeServer

PROGRAM = Path(__file__).with_name("frozen_program.py")


def check(command: list[str | Path], clients: int) -> None:
    """Run a frozen program with a good and with a bad key."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("RTSTT_", "PYTHON"))}
    environ["RTSTT_SHIM_HOSTS"] = "127.0.0.1"
    outcomes = {"sk-good": "session.created", "sk-bad": "invalid_api_key"}
    with ThreadedRealtimeServer(strict=False) as server:
        for key, outcome in outcomes.items():
            done = subprocess.run([*command, server.url, key], env=environ, capture_output=True, text=True, timeout=100)
            assert done.returncode == 0, done.stderr
            seen, states = done.stdout.splitlines()
            assert json.loads(seen) == [outcome] * clients
            assert "'websocket-client': 'patched'" in states
            if key == "sk-good":
                assert done.stderr == ""
            else:
                assert done.stderr.count("the API key was refused") == clients, done.stderr


def test_a_zipapp(tmp_path: Path) -> None:
    app = tmp_path / "app"
    app.mkdir()
    for package in ("rtstt_core", "rtstt_shim", "wrapt", "websocket"):
        spec = importlib.util.find_spec(package)
        assert spec is not None
        assert spec.origin is not None
        shutil.copytree(Path(spec.origin).parent, app / package, ignore=shutil.ignore_patterns("*.so", "__pycache__"))
    # As `pip install --target` leaves it.
    info = metadata.distribution("websocket-client").locate_file("")
    [folder] = Path(str(info)).glob("websocket_client-*.dist-info")
    shutil.copytree(folder, app / folder.name)
    shutil.copy(PROGRAM, app / "__main__.py")
    archive = tmp_path / "app.pyz"
    zipapp.create_archive(app, archive)
    shutil.rmtree(app)
    check([sys.executable, "-I", "-S", archive], 1)


@pytest.mark.client
@pytest.mark.heavy
@pytest.mark.timeout(600)
def test_a_pyinstaller_executable_of_one_file(tmp_path: Path) -> None:
    _env = pytest.importorskip("_env", reason="needs the project's scripts")
    if shutil.which("objdump") is None:
        pytest.skip("PyInstaller needs objdump (binutils)")
    requirements = ["pyinstaller==6.22.3", "websockets==16.1.1", "websocket-client==1.9.2"]
    python = _env.environment(requirements, wheel=_env.wheel())
    done = subprocess.run(
        [python, "-m", "PyInstaller", "--onefile", "--name", "app", "--distpath", tmp_path, PROGRAM],
        cwd=tmp_path,
        env={**os.environ, "PYINSTALLER_CONFIG_DIR": str(tmp_path / "config")},
        capture_output=True,
        text=True,
        timeout=400,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    check([tmp_path / "app"], 2)
