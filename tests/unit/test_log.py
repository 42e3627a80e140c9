from __future__ import annotations

import logging
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator

import pytest
from endpoint import serving

from rtstt_core.log import flush, log


class Calling(logging.Handler):
    """Calls a function with the text of every record, and keeps the texts."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.texts: list[str] = []
        self.function: Callable[[str], None] = lambda text: None

    def emit(self, record: logging.LogRecord) -> None:
        self.texts.append(record.getMessage())
        self.function(record.getMessage())


@pytest.fixture
def handler() -> Iterator[Calling]:
    handler = Calling()
    logging.getLogger("rtstt_shim").addHandler(handler)
    yield handler
    logging.getLogger("rtstt_shim").removeHandler(handler)


def warn(text: str) -> None:
    log(logging.WARNING, text, {})


def test_a_record_that_a_handler_causes_comes_after_it(handler: Calling) -> None:
    handler.function = lambda text: warn("second") if text == "first" else None
    warn("first")
    assert handler.texts == ["first", "second"]


def test_a_record_of_another_thread_does_not_wait_for_a_handler(handler: Calling) -> None:
    def emit(text: str) -> None:
        if text == "first":
            thread = threading.Thread(target=warn, args=("second",))
            thread.start()
            thread.join(60)
            assert not thread.is_alive()
            assert handler.texts == ["first"]

    handler.function = emit
    warn("first")
    assert handler.texts == ["first", "second"]


def test_an_exception_of_a_handler_is_swallowed(handler: Calling) -> None:
    def fail(text: str) -> None:
        raise ValueError(text)

    handler.function = fail
    warn("first")
    warn("second")
    assert handler.texts == ["first", "second"]


def test_a_handler_that_ends_the_program_leaves_it_usable(handler: Calling) -> None:
    def interrupt(text: str) -> None:
        if text == "first":
            raise KeyboardInterrupt

    handler.function = interrupt
    with pytest.raises(KeyboardInterrupt):
        warn("first")
    warn("second")
    assert handler.texts == ["first", "second"]


def test_flush_waits_for_the_thread_that_emits(handler: Calling) -> None:
    entered, leave = threading.Event(), threading.Event()

    def wait(text: str) -> None:
        entered.set()
        leave.wait(60)

    handler.function = wait
    thread = threading.Thread(target=warn, args=("first",))
    thread.start()
    assert entered.wait(60)
    warn("second")
    flush(0.01)
    assert handler.texts == ["first"]
    leave.set()
    flush(60)
    assert handler.texts == ["first", "second"]
    thread.join()


HANDLER_WITH_A_CONNECTION = """
import logging, sys
import rtstt_shim
from websockets.sync.client import connect

class Handler(logging.Handler):
    def emit(self, record):
        print("emitted", flush=True)
        with connect(sys.argv[2]) as connection:
            connection.recv()

logging.getLogger("rtstt_shim").addHandler(Handler(logging.WARNING))
with connect(sys.argv[1]) as connection:
    connection.recv()
"""


def test_a_handler_that_opens_a_watched_connection_does_not_block_the_exit() -> None:
    def fail(connection: object) -> None:
        connection.send('{"type":"error","error":{"code":"invalid_json"}}')  # type: ignore[attr-defined]
        connection.close(1011)  # type: ignore[attr-defined]

    with serving(fail) as endpoint:
        urls = [endpoint.url(f"intent=transcription&deployment={name}") for name in ("application", "handler")]
        done = subprocess.run(
            [sys.executable, "-W", "ignore", "-c", HANDLER_WITH_A_CONNECTION, *urls],
            env={**os.environ, "RTSTT_SHIM_HOSTS": "127.0.0.1"},
            capture_output=True,
            text=True,
            timeout=60,
        )
    # The failure of the handler's own connection is emitted too; its count follows at exit, if there is any by then.
    assert done.stdout.count("emitted\n") >= 2
    assert done.returncode == 0, done.stderr
