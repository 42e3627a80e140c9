"""Activation: what is patched and when, what is left unpatched, and that every patch is removed."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import textwrap
import threading
import types
from pathlib import Path
from typing import Any

import pytest
import wrapt

from rtstt_core.patching.installation import Installation
from rtstt_core.patching.targets import ShapeError, require_callable, require_parameter

BAD = "ws://127.0.0.1:{port}/v1/realtime?intent=transcription&model=whisper-1"


def states(installation: Installation) -> dict[str, str]:
    return {row.name: row.state for row in installation.status().targets}


def python(code: str, *flags: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """Run code in an interpreter that has imported nothing."""
    return subprocess.run(
        [sys.executable, *flags, "-c", textwrap.dedent(code)],
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, **environ},
    )


def output_of(code: str, **environ: str) -> str:
    result = python(code, **environ)
    assert result.returncode == 0, result.stderr
    assert result.stderr == ""
    return result.stdout.strip()


CORRECTS = """
import rtstt_shim
from websockets.client import ClientProtocol
from websockets.uri import parse_uri
def corrects():
    url = "wss://api.openai.com/v1/realtime?intent=transcription&model=whisper-1"
    return "model" not in ClientProtocol(parse_uri(url)).connect().path
"""


class TestActivation:
    def test_importing_before_the_client_corrects(self) -> None:
        assert output_of(CORRECTS + "print(corrects())") == "True"

    def test_importing_after_the_client_corrects(self) -> None:
        assert (
            output_of("import websockets.asyncio.client, websockets.sync.client\n" + CORRECTS + "print(corrects())")
            == "True"
        )

    def test_importing_imports_no_client(self) -> None:
        code = """
            import sys, rtstt_shim
            print([name for name in ("websockets", "aiohttp", "websocket", "openai", "logging", "json", "ssl")
                   if name in sys.modules and name not in before])
        """
        # What wrapt itself needs is not ours to answer for.
        assert output_of("import sys, wrapt; before = set(sys.modules)\n" + textwrap.dedent(code)) == "[]"

    def test_the_environment_variable_makes_it_inert(self) -> None:
        code = CORRECTS + "print(corrects(), rtstt_shim.status().active, rtstt_shim.status().reason)"
        assert output_of(code, RTSTT_SHIM_DISABLE="1") == "False False RTSTT_SHIM_DISABLE is set"
        assert output_of(code, RTSTT_SHIM_DISABLE="0") == "True True"

    def test_uninstall_and_install_again(self) -> None:
        code = (
            CORRECTS
            + "rtstt_shim.uninstall(); rtstt_shim.uninstall(); print(corrects(), end=' ')\n"
            + "rtstt_shim.install(); rtstt_shim.install(); print(corrects())"
        )
        assert output_of(code) == "False True"

    def test_uninstalled_before_the_client_is_imported_nothing_is_patched(self) -> None:
        code = "import rtstt_shim; rtstt_shim.uninstall()\n" + CORRECTS + "print(corrects())"
        assert output_of(code) == "False"

    def test_reloading_is_harmless(self) -> None:
        code = CORRECTS + "import importlib; importlib.reload(rtstt_shim); print(corrects())"
        assert output_of(code) == "True"

    def test_several_threads_installing_at_once_patch_once(self) -> None:
        code = """
            import threading, websockets.client
            import rtstt_shim
            rtstt_shim.uninstall()
            original = vars(websockets.client.ClientProtocol)["__init__"]
            gate = threading.Barrier(8)
            def work():
                gate.wait()
                rtstt_shim.install()
            threads = [threading.Thread(target=work) for _ in range(8)]
            for thread in threads: thread.start()
            for thread in threads: thread.join()
            print(vars(websockets.client.ClientProtocol)["__init__"].__wrapped__ is original)
        """
        assert output_of(code) == "True"

    def test_importing_while_another_thread_imports_the_client(self) -> None:
        code = """
            import sys, threading, importlib
            started = threading.Event()
            class Slow:
                def find_spec(self, name, path=None, target=None):
                    if name == "websockets.client":
                        started.set()
            sys.meta_path.insert(0, Slow())
            thread = threading.Thread(target=importlib.import_module, args=("websockets.asyncio.client",))
            thread.start()
            started.wait()
            import rtstt_shim
            thread.join()
            print({row.name: row.state for row in rtstt_shim.status().targets}["websockets"])
        """
        assert output_of(code) == "patched"

    def test_a_module_that_is_half_imported_is_patched_when_it_is_whole(self, tmp_path: Path) -> None:
        # A client module that imports the shim in the middle of its own import.
        (tmp_path / "websocket").mkdir()
        (tmp_path / "websocket" / "__init__.py").write_text("__version__ = '1.8.0'\nfrom websocket import _core\n")
        (tmp_path / "websocket" / "_core.py").write_text(
            "import rtstt_shim\nclass WebSocket:\n connected = False\n"
            " def connect(self, url): ...\n def recv_frame(self): ...\n def send(self, payload): ...\n"
        )
        code = """
            import websocket, rtstt_shim
            print({row.name: row.state for row in rtstt_shim.status().targets}["websocket-client"])
        """
        assert output_of(code, PYTHONPATH=f"{tmp_path}{os.pathsep}{os.environ.get('PYTHONPATH', '')}") == "patched"


@pytest.fixture
def fake(fakelib: types.ModuleType, monkeypatch: pytest.MonkeyPatch) -> types.ModuleType:
    """The library of one class; URLs of this machine are corrected."""
    monkeypatch.setenv("RTSTT_SHIM_HOSTS", "127.0.0.1")
    return fakelib


class TestGates:
    def test_a_tested_version_is_patched_and_restored_exactly(
        self, fake: types.ModuleType, installation: Installation
    ) -> None:
        before = vars(fake.WebSocket)["connect"]
        installation.install()
        assert states(installation) == {"fake": "patched"}
        assert fake.WebSocket().connect(BAD.format(port=1)) == "ws://127.0.0.1:1/v1/realtime?intent=transcription"
        assert fake.WebSocket().connect(url="ws://h/") == "ws://h/"
        installation.uninstall()
        assert vars(fake.WebSocket)["connect"] is before
        assert states(installation) == {"fake": "off"}

    @pytest.mark.parametrize("version", ["1.5.9", "2.0", "0", "2.0.0rc1", "newest"])
    def test_another_version_is_left_unpatched_and_warned_of_once(
        self, version: str, fake: types.ModuleType, installation: Installation, warnings_logged: list[Any]
    ) -> None:
        fake.__dict__["__version__"] = version
        before = vars(fake.WebSocket)["connect"]
        installation.install()
        installation.uninstall()
        installation.install()
        assert vars(fake.WebSocket)["connect"] is before
        assert [record.getMessage() for record in warnings_logged] == [
            f"rtstt_shim: fake {version} is left unpatched: tested with 1.6 up to, not including, 2"
        ]
        [row] = installation.status().targets
        assert row == ("fake", version, "skipped", "tested with 1.6 up to, not including, 2")

    def test_without_a_version_attribute_and_a_distribution_it_is_skipped(
        self, fake: types.ModuleType, installation: Installation
    ) -> None:
        del fake.__dict__["__version__"]
        installation.install()
        [row] = installation.status().targets
        assert row.version == ""
        assert row.state == "skipped"

    def test_another_shape_is_left_unpatched_and_warned_of_once(
        self, fake: types.ModuleType, installation: Installation, warnings_logged: list[Any]
    ) -> None:
        del fake.WebSocket.recv_frame
        before = vars(fake.WebSocket)["connect"]
        installation.install()
        assert vars(fake.WebSocket)["connect"] is before
        assert [record.getMessage() for record in warnings_logged] == [
            "rtstt_shim: fake 1.8.0 is left unpatched: fakelib has no WebSocket.recv_frame"
        ]
        assert states(installation) == {"fake": "failed"}

    def test_another_signature_is_left_unpatched(self, fake: types.ModuleType, installation: Installation) -> None:
        fake.WebSocket.connect = lambda self, address: address
        installation.install()
        [row] = installation.status().targets
        assert row.detail.endswith("<lambda> has no parameter url")

    def test_a_wrapper_that_fails_does_not_affect_the_client(
        self,
        fake: types.ModuleType,
        installation: Installation,
        warnings_logged: list[Any],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        def broken(url: str) -> None:
            raise RuntimeError(f"cannot read sk-{'1' * 20}")

        installation.install()
        monkeypatch.setattr("rtstt_core.patching.guard.fix_url", broken)
        for _ in range(3):
            assert fake.WebSocket().connect(BAD.format(port=1)) == BAD.format(port=1)
        assert [record.getMessage() for record in warnings_logged] == [
            "rtstt_shim: internal error on fake 1.8.0; the client is unaffected: RuntimeError: cannot read sk-***"
        ]
        assert states(installation) == {"fake": "failed"}

    def test_an_interrupt_is_not_swallowed(
        self, fake: types.ModuleType, installation: Installation, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def interrupted(url: str) -> None:
            raise KeyboardInterrupt

        installation.install()
        monkeypatch.setattr("rtstt_core.patching.guard.fix_url", interrupted)
        with pytest.raises(KeyboardInterrupt):
            fake.WebSocket().connect("ws://h/")

    def test_a_patcher_that_cannot_be_imported_does_not_fail_the_applications_import(self) -> None:
        code = """
            import sys
            sys.modules["rtstt_core.patching.websockets_sansio"] = None
            import rtstt_shim, websockets.client
            print("imported")
        """
        result = python(code)
        assert result.stdout == "imported\n"
        assert result.stderr.count("rtstt_shim: internal error on websockets; the client is left unpatched: ") == 1


class TestUndo:
    def test_what_another_wrapt_user_wrapped_later_stays_wrapped(
        self, fake: types.ModuleType, installation: Installation
    ) -> None:
        before = vars(fake.WebSocket)["connect"]
        installation.install()
        calls: list[str] = []

        def theirs(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
            calls.append("theirs")
            return wrapped(*args, **kwargs)

        handle = wrapt.wrap_function_wrapper(fake, "WebSocket.connect", theirs)
        installation.uninstall()
        assert fake.WebSocket().connect(BAD.format(port=1)) == BAD.format(port=1)
        assert calls == ["theirs"]
        if not hasattr(wrapt, "unwrap_object"):  # new in 2.4
            pytest.skip("this wrapt does not remove a wrapper from below another")
        wrapt.unwrap_object(fake, "WebSocket.connect", handle)
        assert vars(fake.WebSocket)["connect"] is before

    def test_without_unwrap_object_a_wrapper_on_top_is_removed_and_one_below_another_is_left_inert(
        self, fake: types.ModuleType, installation: Installation, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.delattr(wrapt, "unwrap_object", raising=False)
        before = vars(fake.WebSocket)["connect"]
        installation.install()
        installation.uninstall()
        assert vars(fake.WebSocket)["connect"] is before
        installation.install()
        theirs = wrapt.wrap_function_wrapper(
            fake, "WebSocket.connect", lambda wrapped, instance, args, kwargs: wrapped(*args, **kwargs)
        )
        installation.uninstall()
        assert vars(fake.WebSocket)["connect"] is theirs
        assert fake.WebSocket().connect(BAD.format(port=1)) == BAD.format(port=1)
        [row] = installation.status().targets
        assert row[2:] == (
            "off",
            "left in place, inert: RuntimeError: another tool wrapped WebSocket.connect after the shim",
        )

    def test_without_unwrap_object_an_inherited_method_is_inherited_again(
        self, fake: types.ModuleType, installation: Installation, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.delattr(wrapt, "unwrap_object", raising=False)
        fake.__dict__["WebSocket"] = type("WebSocket", (fake.WebSocket,), {})
        installation.install()
        assert "connect" in vars(fake.WebSocket)
        installation.uninstall()
        assert "connect" not in vars(fake.WebSocket)

    def test_below_a_plain_closure_it_stays_in_place_but_does_nothing(
        self, fake: types.ModuleType, installation: Installation
    ) -> None:
        installation.install()
        ours = fake.WebSocket.connect
        fake.WebSocket.connect = lambda self, url: ours(self, url)
        installation.uninstall()
        assert fake.WebSocket().connect(BAD.format(port=1)) == BAD.format(port=1)

    def test_a_thousand_times_leaves_nothing_behind(self, fake: types.ModuleType, installation: Installation) -> None:
        before = vars(fake.WebSocket)["connect"]
        hooks = len(sys.meta_path)
        for _ in range(1000):
            installation.install()
            installation.uninstall()
        assert vars(fake.WebSocket)["connect"] is before
        assert len(sys.meta_path) <= hooks + 1
        assert states(installation) == {"fake": "off"}


def test_status_is_a_table_people_can_read(fake: types.ModuleType, installation: Installation) -> None:
    installation.install()
    failed = installation.status().failed
    fake.WebSocket().connect(BAD.format(port=1))
    table = (
        f"rtstt_shim is active; URLs corrected: 1, connections watched: 1, failures: {failed}\n"
        "  fake               1.8.0      patched"
    )
    assert str(installation.status()) == table
    assert installation.status()._repr_html_() == f"<pre>{table}</pre>"
    installation.uninstall()
    assert str(installation.status()).startswith("rtstt_shim is not active: uninstalled; ")


def test_status_counts_failures_repeated_ones_included(
    fake: types.ModuleType, installation: Installation, warnings_logged: list[Any]
) -> None:
    def refuse(self: Any, url: str) -> None:
        raise ConnectionRefusedError(url)

    fake.WebSocket.connect = refuse
    installation.install()
    failed = installation.status().failed
    for _ in range(3):
        with pytest.raises(ConnectionRefusedError):
            fake.WebSocket().connect(BAD.format(port=1))
    status = installation.status()
    assert (status.corrected, status.watched, status.failed - failed) == (3, 3, 3)
    assert len(warnings_logged) == 1


def test_a_status_in_a_notebook_is_escaped(fake: types.ModuleType, installation: Installation) -> None:
    fake.__dict__["__version__"] = "1.8<b>"
    installation.install()
    assert "1.8&lt;b&gt;" in installation.status()._repr_html_()


def test_the_first_corrected_url_is_one_info_record_without_its_secrets(
    fake: types.ModuleType, installation: Installation, caplog: pytest.LogCaptureFixture
) -> None:
    installation.install()
    with caplog.at_level("INFO", logger="rtstt_shim"):
        for _ in range(2):
            fake.WebSocket().connect(BAD.format(port=1) + "&token=canary")
    [record] = [record for record in caplog.records if record.name == "rtstt_shim"]
    assert record.levelname == "INFO"
    assert record.getMessage() == (
        "rtstt_shim: corrected the URL of a fakelib connection "
        "from ws://127.0.0.1:1/v1/realtime?intent=transcription&model=whisper-1&token=*** "
        "to ws://127.0.0.1:1/v1/realtime?intent=transcription&token=***: "
        "OpenAI refuses `model` beside intent=transcription"
    )


def test_a_setting_that_names_no_host_is_warned_of_once(
    installation: Installation, warnings_logged: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RTSTT_SHIM_HOSTS", "https://me:canary@stt.example.com/v1, localhost:8000, good.example")
    installation.install()
    installation.install()
    assert [record.getMessage() for record in warnings_logged] == [
        "rtstt_shim: RTSTT_SHIM_HOSTS names 'https://***@stt.example.com/v1', 'localhost:8000', which no host can "
        "match; list host names separated by commas, without a scheme, a port or a path"
    ]


@pytest.mark.parametrize("method", ["install", "uninstall", "status"])
def test_no_lock_is_held_while_a_logging_handler_runs(
    method: str, fake: types.ModuleType, installation: Installation
) -> None:
    class Waiting(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            thread = threading.Thread(target=getattr(installation, method))
            thread.start()
            thread.join(60)
            finished.append(not thread.is_alive())

    finished: list[bool] = []
    handler = Waiting()
    logging.getLogger("rtstt_shim").addHandler(handler)
    fake.__dict__["__version__"] = "99.0"
    try:
        installation.install()
    finally:
        logging.getLogger("rtstt_shim").removeHandler(handler)
    assert finished == [True]


def test_the_text_of_a_shape_error() -> None:
    with pytest.raises(ShapeError, match=r"os has no path\.nothing"):
        require_callable(os, "path.nothing")
    with pytest.raises(ShapeError, match="has no parameter a or b"):
        require_parameter(os.fspath, "a", "b")
