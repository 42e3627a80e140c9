"""The scripts' environments: built once, completely or not at all, and one sentence when the build fails."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

_env = pytest.importorskip("_env", reason="needs the project's scripts")
_build = pytest.importorskip("_build", reason="needs the project's scripts")

SCRIPTS = ("bench.py", "test.py")
"""The scripts that build environments while they run."""


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(_env, "CACHE", tmp_path / "cache")
    monkeypatch.setattr(_build, "CACHE", tmp_path / "cache")
    return tmp_path / "cache"


def _build_folder(folder: Path, text: str, built: list[str]) -> None:
    folder.mkdir(parents=True)
    (folder / "half").write_text(text)
    built.append(text)


def test_a_folder_is_built_once_and_again_for_another_identity(cache: Path) -> None:
    built: list[str] = []
    for wanted in ("a", "a", "b", "b"):
        folder = _build.cached_folder(
            cache / "x", {"is": wanted}, lambda wanted=wanted: _build_folder(cache / "x", wanted, built)
        )
        assert (folder / "half").read_text() == wanted
    assert built == ["a", "b"]


@pytest.mark.parametrize("end", [KeyboardInterrupt, _env.SetupError])
def test_a_failed_build_leaves_nothing_behind(cache: Path, end: type[BaseException]) -> None:
    def build() -> None:
        _build_folder(cache / "x", "", [])
        raise end

    with pytest.raises(end):
        _build.cached_folder(cache / "x", {}, build)
    assert [path.name for path in cache.iterdir()] == ["x.lock"]


def test_what_a_killed_process_left_is_built_again(cache: Path) -> None:
    _build_folder(cache / "x", "left over", [])
    built: list[str] = []
    _build.cached_folder(cache / "x", {}, lambda: _build_folder(cache / "x", "new", built))
    assert (cache / "x" / "half").read_text() == "new"


def test_two_that_need_the_same_folder_build_it_once(cache: Path, capsys: pytest.CaptureFixture[str]) -> None:
    built: list[str] = []
    started, go_on = threading.Event(), threading.Event()

    def build() -> None:
        started.set()
        assert go_on.wait(60)
        _build_folder(cache / "x", "once", built)

    first = threading.Thread(target=_build.cached_folder, args=(cache / "x", {}, build))
    first.start()
    assert started.wait(60)
    second = threading.Thread(target=_build.cached_folder, args=(cache / "x", {}, build))
    second.start()
    go_on.set()
    first.join()
    second.join()
    assert built == ["once"]


def test_a_tool_that_fails_is_one_sentence_with_its_reason(cache: Path) -> None:
    program = "print('noise'); print('ERROR: No matching distribution found for x'); raise SystemExit(1)"
    with pytest.raises(_env.SetupError) as raised:
        _build.run_tool("making x", [sys.executable, "-c", program])
    log = cache / "last-failure.log"
    assert str(raised.value) == f"making x failed: ERROR: No matching distribution found for x ({log})"
    assert "noise" in log.read_text()


def test_a_registry_that_is_not_reachable_is_named(cache: Path) -> None:
    program = "print('error: Failed to fetch\\n  dns error'); raise SystemExit(1)"
    with pytest.raises(_env.SetupError) as raised:
        _build.run_tool("making x", [sys.executable, "-c", program])
    assert str(raised.value) == (
        f"making x failed: the package registry is not reachable; check the network ({cache / 'last-failure.log'})"
    )


def test_a_missing_tool_is_named() -> None:
    with pytest.raises(_env.SetupError) as raised:
        _build.run_tool("making x", ["/nowhere/tool"])
    assert str(raised.value) == "making x failed: cannot start /nowhere/tool: No such file or directory"


def test_an_interpreter_is_found_or_named() -> None:
    assert _env.interpreter().minor == sys.version_info.minor
    assert _env.interpreter(f"3.{sys.version_info.minor}").minor == sys.version_info.minor
    assert _env.interpreter(sys.executable) == _env.interpreter()
    for wanted in ("3.99", "/nowhere/python"):
        with pytest.raises(_env.SetupError) as raised:
            _env.interpreter(wanted)
        assert str(raised.value) == f"there is no Python {wanted} here; give a version or a path with --python"


def test_without_node_the_sentence_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_env, "node", lambda: None)
    with pytest.raises(_env.SetupError) as raised:
        _env.npm_project({"ws": "8.18.3"})
    assert str(raised.value) == ("Node.js 20 or newer with npm is not installed; install it to include the Node rows")


@pytest.mark.parametrize("script", ["test.py", "demo.py", "repro.py"])
def test_a_python_too_old_is_one_sentence(script: str) -> None:
    versions = Path("~/.pyenv/versions").expanduser()
    old = next((path for path in sorted(versions.glob("3.[789].*/bin/python"))), None)
    if old is None:
        pytest.skip("there is no Python 3.7 to 3.9 here")
    path = _env.ROOT / "scripts" / script
    done = subprocess.run([old, path], capture_output=True, text=True)
    assert done.stdout == ""
    assert done.stderr == f"{path} needs Python 3.10 or newer, and {old} is older; try python3.12\n"
    assert done.returncode == 2


def test_a_tool_that_hangs_is_tried_once_more_and_then_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(_build, "TOOL_TIMEOUT", 1)
    with pytest.raises(_env.SetupError) as caught:
        _build.run_tool("making x", [sys.executable, "-c", "import time; time.sleep(60)"])
    assert str(caught.value) == f"making x failed: {sys.executable} timed out after 1 seconds, twice"
    assert capsys.readouterr().err == f"making x: {sys.executable} timed out after 1 seconds; trying again\n"


@pytest.mark.parametrize(
    ("error", "code", "output"),
    [
        (_env.SetupError("there is no Node.js here"), 2, "scripts/x.py: there is no Node.js here\n"),
        (KeyboardInterrupt(), 130, ""),
    ],
)
def test_a_script_that_cannot_go_on_ends_without_a_traceback(
    error: BaseException, code: int, output: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended, _env.exit_on_error("scripts/x.py"):
        raise error
    assert ended.value.code == code
    assert capsys.readouterr() == ("", output)


@pytest.mark.parametrize("end", [SystemExit(1), ValueError("a mistake")])
def test_any_other_end_of_a_script_stays_what_it_is(end: BaseException) -> None:
    with pytest.raises(type(end)) as raised, _env.exit_on_error("scripts/x.py"):
        raise end
    assert raised.value is end


@pytest.mark.parametrize(
    ("script", "error", "code", "output"),
    [
        *((script, "_env.SetupError('none here')", 2, f"scripts/{script}: none here\n") for script in SCRIPTS),
        *((script, "KeyboardInterrupt()", 130, "") for script in SCRIPTS),
    ],
)
def test_a_script_ends_with_its_exit_code_and_one_sentence(script: str, error: str, code: int, output: str) -> None:
    program = f"""if True:
        import runpy, sys
        sys.argv, sys.path[0] = ["scripts/{script}"], "scripts"
        import _env
        def fail(*_, **__):
            raise {error}
        _env.environment = _env.interpreter = _env.node = _env.wheel = fail
        runpy.run_path(sys.argv[0], run_name="__main__")
    """
    done = subprocess.run([sys.executable, "-c", program], cwd=_env.ROOT, capture_output=True, text=True)
    assert done.returncode == code
    assert "Traceback" not in done.stderr
    assert done.stderr.endswith(output)


@pytest.mark.parametrize("script", [*SCRIPTS, "demo.py"])
def test_the_help_of_a_script_fits_80_columns(script: str) -> None:
    done = subprocess.run(
        [sys.executable, str(_build.ROOT / "scripts" / script), "--help"],
        env={**os.environ, "COLUMNS": "80"},
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=60,
        check=True,
    )
    assert done.stdout.startswith("usage: ")
    assert [line for line in done.stdout.splitlines() if len(line) > 80] == []
