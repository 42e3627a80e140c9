"""The shim is installed at any time, any number of times, beside any library and in any process."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from endpoint import ERROR, refuse, serving
from transports import TRANSPORTS, Seen

import rtstt_shim

CORRECTS = """
import rtstt_shim, sys
def corrects(protocol=None):
    from websockets.client import ClientProtocol
    from websockets.uri import parse_uri
    url = "wss://api.openai.com/v1/realtime?intent=transcription&model=whisper-1"
    return "model" not in (protocol or ClientProtocol)(parse_uri(url)).connect().path
"""


@pytest.fixture
def output_of(tmp_path: Path) -> Callable[..., str]:
    """Run a program in an interpreter that has imported nothing, and return what it printed; stderr stays empty."""

    def run(program: str, stderr: str = "", **environ: str) -> str:
        script = tmp_path / "program.py"
        script.write_text(textwrap.dedent(program))
        result = subprocess.run(
            [sys.executable, "-W", "ignore::DeprecationWarning", str(script)],
            capture_output=True,
            text=True,
            timeout=100,
            env={**os.environ, **environ},
        )
        assert result.returncode == 0, result.stderr
        assert result.stderr == stderr
        return result.stdout.strip()

    return run


# -- the client library


def test_a_client_library_that_is_reloaded_is_patched_again_by_installing(output_of: Callable[..., str]) -> None:
    program = """
        import importlib, websockets.asyncio.client, websockets.client
        before = websockets.client.ClientProtocol
        originals = [vars(before)["__init__"].__wrapped__]
        importlib.reload(websockets.client)
        after = websockets.client.ClientProtocol
        originals.append(vars(after)["__init__"])
        print(after is before, corrects(before), corrects(after))
        rtstt_shim.install()
        print(corrects(before), corrects(after))
        rtstt_shim.install()
        rtstt_shim.uninstall()
        print([vars(one)["__init__"] for one in (before, after)] == originals)
        rtstt_shim.install()
        print(corrects(after))
    """
    # What was imported by name keeps its patch, and so does what is open.
    assert output_of(CORRECTS + textwrap.dedent(program)).splitlines() == [
        "False True False",
        "True True",
        "True",
        "True",
    ]


def test_a_client_library_that_is_removed_and_imported_again_is_patched_by_installing(
    output_of: Callable[..., str],
) -> None:
    program = """
        import websockets.client
        for name in [name for name in sys.modules if name.partition(".")[0] == "websockets"]:
            del sys.modules[name]
        import websockets.client
        rtstt_shim.install()
        print(corrects(), rtstt_shim.status().targets[0].state)
    """
    assert output_of(CORRECTS + textwrap.dedent(program)) == "True patched"


@pytest.mark.parametrize("library", ["openai", "websockets", "aiohttp", "websocket"])
@pytest.mark.parametrize("first", [True, False], ids=["shim first", "shim last"])
def test_a_module_of_the_application_with_a_librarys_name_is_left_unpatched(
    library: str, first: bool, output_of: Callable[..., str], tmp_path: Path
) -> None:
    (tmp_path / f"{library}.py").write_text("def connect(url): return 'mine: ' + url\n")
    lines = ["import rtstt_shim", f"import {library}"]
    program = f"""
        {"; ".join(lines if first else lines[::-1])}
        print({library}.connect("x"), {{row.state for row in rtstt_shim.status().targets}})
    """
    assert output_of(program) == "mine: x {'waiting'}"


def test_a_package_of_the_application_with_a_librarys_name_is_left_unpatched_and_warned_of(
    output_of: Callable[..., str], tmp_path: Path
) -> None:
    package = tmp_path / "websocket"
    package.mkdir()
    (package / "__init__.py").write_text("__version__ = '1.8.0'\n")
    (package / "_core.py").write_text("def connect(url): return 'mine: ' + url\n")
    program = """
        import rtstt_shim, websocket._core
        print(websocket._core.connect("x"), rtstt_shim.status().targets[-1].state)
    """
    warning = "rtstt_shim: websocket-client 1.8.0 is left unpatched: websocket._core has no WebSocket.connect\n"
    assert output_of(program, warning) == "mine: x failed"


def test_a_library_that_another_thread_is_importing_is_patched_when_it_is_whole(
    output_of: Callable[..., str], tmp_path: Path
) -> None:
    package = tmp_path / "websocket"
    package.mkdir()
    (package / "__init__.py").write_text("__version__ = '1.8.0'\n")
    (package / "_core.py").write_text(
        textwrap.dedent(
            """
            import sys, threading, time, traceback, program_state
            program_state.started.set()
            def shim_has_looked_at_this_module():
                stack = traceback.extract_stack(sys._current_frames()[threading.main_thread().ident])
                names = {frame.name for frame in stack}
                looked = "rtstt_core.patching.websocket_client" in sys.modules and "install" not in names
                return "_is_half_imported" in names or looked
            while not shim_has_looked_at_this_module():
                time.sleep(0.001)
            class WebSocket:
                connected = False
                def connect(self, url): return url
                def recv_frame(self): ...
                def send(self, payload): ...
            """
        )
    )
    (tmp_path / "program_state.py").write_text("import threading\nstarted = threading.Event()\n")
    program = """
        import importlib, program_state, threading
        thread = threading.Thread(target=importlib.import_module, args=("websocket._core",))
        thread.start()
        program_state.started.wait()
        import rtstt_shim
        thread.join()
        import websocket._core
        print(type(vars(websocket._core.WebSocket)["connect"]).__name__)
    """
    assert output_of(program) == "FunctionWrapper"


# -- how often


def test_hundreds_of_times_on_the_real_libraries_leaves_nothing_behind(output_of: Callable[..., str]) -> None:
    program = """
        import gc, rtstt_shim
        import aiohttp, websocket, websockets.asyncio.client, websockets.sync.client, websockets.legacy.client
        rtstt_shim.uninstall()
        places = [
            (aiohttp.ClientSession, "ws_connect"), (websocket.WebSocket, "connect"),
            (websockets.client.ClientProtocol, "__init__"), (websockets.asyncio.client.connect, "__await__"),
            (websockets.legacy.client.WebSocketClientProtocol, "handshake"),
        ]
        before = [vars(owner)[name] for owner, name in places]
        def cycles(count):
            for _ in range(count):
                rtstt_shim.install()
                rtstt_shim.uninstall()
            gc.collect()
            return len(gc.get_objects())
        settled = cycles(20)
        print(cycles(300) - settled < 50, [vars(owner)[name] for owner, name in places] == before)
    """
    assert output_of(program) == "True True"


def test_threads_that_install_and_uninstall_at_once_leave_it_as_the_last_call_did(
    output_of: Callable[..., str],
) -> None:
    program = """
        import threading, websockets.client
        original = vars(websockets.client.ClientProtocol)["__init__"].__wrapped__
        gate = threading.Barrier(8)
        failures = []
        def work(number):
            gate.wait()
            try:
                for _ in range(50):
                    rtstt_shim.install() if number % 2 else rtstt_shim.uninstall()
                    corrects()
                    rtstt_shim.status()
            except BaseException as error:
                failures.append(error)
        threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
        for thread in threads: thread.start()
        for thread in threads: thread.join()
        rtstt_shim.install()
        print(failures, corrects(), vars(websockets.client.ClientProtocol)["__init__"].__wrapped__ is original)
        rtstt_shim.uninstall()
        print(vars(websockets.client.ClientProtocol)["__init__"] is original)
    """
    assert output_of("import websockets.client\n" + CORRECTS + textwrap.dedent(program)).splitlines() == [
        "[] True True",
        "True",
    ]


@pytest.mark.parametrize("transport", TRANSPORTS.values(), ids=TRANSPORTS.keys())
def test_uninstalled_during_a_session_the_session_continues_and_nothing_is_logged(
    transport: tuple[Callable[[str], Seen], str],
    shim: None,
    warnings_logged: list[Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("RTSTT_SHIM_HOSTS", "127.0.0.1")
    begun, go = threading.Event(), threading.Event()

    def refuse_when_released(connection: Any) -> None:
        begun.set()
        assert go.wait(60)
        refuse(connection)

    seen: list[Seen] = []
    with serving(refuse_when_released) as endpoint:
        session = threading.Thread(target=lambda: seen.append(transport[0](endpoint.url())))
        session.start()
        assert begun.wait(60)
        rtstt_shim.uninstall()
        go.set()
        session.join()
    assert endpoint.targets == ["/v1/realtime?intent=transcription"]
    assert seen[0][0] == [ERROR]
    assert warnings_logged == []


# -- which process


CHILD = (
    CORRECTS
    + """
import multiprocessing
def child(queue):
    from websockets.client import ClientProtocol
    inner = vars(ClientProtocol)["__init__"].__wrapped__
    queue.put([rtstt_shim.status().active, corrects(), hasattr(inner, "__wrapped__")])
"""
)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this platform starts processes in one way")
@pytest.mark.parametrize("method", ["spawn", "forkserver", "fork"])
@pytest.mark.parametrize(
    "imported",
    [
        pytest.param("", id="client later", marks=pytest.mark.heavy),
        pytest.param("import websockets.asyncio.client", id="client first"),
    ],
)
def test_a_child_of_multiprocessing_has_it_once(method: str, imported: str, output_of: Callable[..., str]) -> None:
    program = f"""
if __name__ == "__main__":
    context = multiprocessing.get_context("{method}")
    queue = context.SimpleQueue()
    process = context.Process(target=child, args=(queue,))
    process.start()
    print(queue.get(), corrects())
    process.join()
"""
    assert output_of(imported + "\n" + CHILD + program) == "[True, True, False] True"


def test_a_subprocess_that_does_not_import_it_is_unpatched(output_of: Callable[..., str]) -> None:
    program = """
        import rtstt_shim, subprocess, sys
        child = "import sys; print('rtstt_shim' in sys.modules)"
        print(subprocess.check_output([sys.executable, "-c", child], text=True))
    """
    assert output_of(program) == "False"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_child_forked_while_another_thread_installs_does_not_wait_for_it(output_of: Callable[..., str]) -> None:
    program = """
        import os, threading
        from rtstt_core.patching import installation
        held, done = threading.Event(), threading.Event()
        def hold():
            with installation._installation.lock:
                held.set()
                done.wait()
        thread = threading.Thread(target=hold)
        thread.start()
        held.wait()
        child = os.fork()
        if child == 0:
            rtstt_shim.uninstall()
            rtstt_shim.install()
            os._exit(0 if corrects() else 1)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
        done.set()
        thread.join()
    """
    assert output_of(CORRECTS + textwrap.dedent(program)) == "0"
