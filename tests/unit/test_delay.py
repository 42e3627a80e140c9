from __future__ import annotations

import threading
import time

import pytest

from rtstt_core.delay import Delay


def test_a_call_is_made_after_the_delay() -> None:
    called = threading.Event()
    start = time.monotonic()
    assert Delay(0.05).add(called.set)
    assert called.wait(60)
    assert time.monotonic() - start >= 0.05


def test_the_thread_ends_with_the_last_call_and_starts_again() -> None:
    delay = Delay(0.01)
    for _ in range(2):
        thread: list[threading.Thread] = []
        called = threading.Event()
        delay.add(lambda: thread.append(threading.current_thread()))  # noqa: B023
        delay.add(called.set)
        assert called.wait(60)
        thread[0].join(60)
        assert not thread[0].is_alive()


def test_a_call_that_raises_does_not_affect_the_next() -> None:
    called = threading.Event()
    delay = Delay(0.01)

    def fail() -> None:
        raise ValueError

    delay.add(fail)
    delay.add(called.set)
    assert called.wait(60)


def test_a_call_may_add_another() -> None:
    called = threading.Event()
    delay = Delay(0.01)

    def add() -> None:
        delay.add(called.set)

    delay.add(add)
    assert called.wait(60)


def test_calls_that_are_due_at_exit_are_made_at_once() -> None:
    delay = Delay(1000)
    called: list[int] = []

    def add() -> None:
        delay.add(lambda: called.append(2))

    delay.add(lambda: called.append(1))
    delay.add(add)
    delay.call_all()
    assert called == [1, 2]


def test_without_a_thread_it_refuses(monkeypatch: pytest.MonkeyPatch) -> None:
    def cannot_start(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    delay = Delay(0.01)
    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", cannot_start)
        assert not delay.add(lambda: None)
    called = threading.Event()
    assert delay.add(called.set)
    assert called.wait(60)
