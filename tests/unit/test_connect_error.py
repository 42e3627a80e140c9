from __future__ import annotations

import asyncio
import errno
import socket
import ssl

import pytest

from rtstt_core.connect_error import cause_of, describe

REFUSED = errno.ECONNREFUSED


def chained(outer: BaseException, inner: BaseException) -> BaseException:
    outer.__cause__ = inner
    return outer


class WithOSError(Exception):
    os_error = socket.gaierror(-2, "Name or service not known")


@pytest.mark.parametrize(
    ("error", "cause"),
    [
        (socket.gaierror(-2, "Name or service not known"), "dns"),
        (WithOSError(), "dns"),
        (ssl.SSLCertVerificationError("bad"), "tls"),
        (TimeoutError(), "timeout"),
        (asyncio.TimeoutError(), "timeout"),
        (ConnectionRefusedError(), "refused"),
        (chained(RuntimeError("outer"), ssl.SSLError("inner")), "tls"),
        (RuntimeError("?"), "other"),
        # What asyncio raises for a host of several addresses.
        (OSError(f"Multiple exceptions: [Errno {REFUSED}] Connect, [Errno {REFUSED}] Connect"), "refused"),
        (OSError(f"Multiple exceptions: [Errno {REFUSED}] Connect, [Errno {errno.EHOSTUNREACH}] Connect"), "other"),
    ],
)
def test_the_cause_of_a_failed_connect(error: BaseException, cause: str) -> None:
    assert cause_of(error) == cause


def test_a_loop_of_causes_ends() -> None:
    one, two = RuntimeError("one"), RuntimeError("two")
    one.__cause__, two.__cause__ = two, one
    assert cause_of(one) == "other"


def test_an_exception_is_described_with_the_cause_that_its_text_lacks() -> None:
    assert describe(TimeoutError()) == "TimeoutError"
    assert describe(RuntimeError("no")) == "RuntimeError: no"
    assert describe(chained(OSError("cannot connect"), ssl.SSLError("bad record"))) == (
        "OSError: cannot connect from SSLError: ('bad record',)"
    )
    assert describe(chained(OSError("cannot connect: timed out"), TimeoutError("timed out"))) == (
        "OSError: cannot connect: timed out"
    )
