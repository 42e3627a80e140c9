"""Which installed Python clients have the bug: the Python half of ``rtstt-shim doctor``.

The versions come from running or reading the published packages; the client tests hold them to it.
"""

from __future__ import annotations

from collections.abc import Iterator
from importlib import metadata
from typing import NamedTuple

from rtstt_shim.targets import TARGETS, numbers

__all__ = ["PYTHON_CLIENTS", "PythonClient", "find_python_clients"]


class _Range(NamedTuple):
    """What a client does from one version on, until the next range begins."""

    since: str
    affected: bool
    why: str


class _Known(NamedTuple):
    """One client on PyPI: its ranges in order, the library it connects with, the first version that is right."""

    name: str
    transport: str
    ranges: tuple[_Range, ...]
    not_needed_from: str | None = None


_OWN_CODE = _Range("0", False, "sends what the application puts into the URL")

PYTHON_CLIENTS = (
    _Known(
        "openai",
        "websockets",
        (
            _Range("0", False, "has no realtime client for the current API"),
            _Range("1.103.0", True, "client.realtime.connect() cannot leave `model` out (openai/openai-python#2652)"),
            _Range("2.1.0", False, "sends `model` beside intent=transcription only where the application passes both"),
        ),
        "2.1.0, with `model` left out",
    ),
    _Known(
        "litellm",
        "websockets",
        (
            _Range("0", False, "opens no realtime transcription session"),
            _Range("1.74.9", True, "sends `model` beside intent=transcription to OpenAI"),
            _Range("1.106.0", False, "leaves `model` out for OpenAI's hosts"),
        ),
        "1.106.0",
    ),
    _Known(
        "livekit-plugins-openai",
        "aiohttp",
        (
            _Range("0", False, "sends intent=transcription without `model`"),
            _Range("1.6.6", True, "sends `model` beside intent=transcription to OpenAI's regional hosts"),
        ),
    ),
    _Known(
        "speech-to-speech",
        "websockets",
        (
            _Range("0", False, "not known before 1.1.0"),
            _Range("1.1.0", True, "sends `model` and no intent to OpenAI's regional hosts"),
        ),
    ),
    _Known("pipecat-ai", "websockets", (_Range("0", False, "sends `model` only where its base_url holds it"),)),
    _Known(
        "openai-agents",
        "websockets",
        (
            _Range("0", False, "sends intent=transcription without `model`"),
            _Range("0.22.3", False, "sends `model` only where the OpenAI client's base URL or default_query holds it"),
        ),
    ),
    _Known("websockets", "websockets", (_OWN_CODE,)),
    _Known("aiohttp", "aiohttp", (_OWN_CODE,)),
    _Known("websocket-client", "websocket-client", (_OWN_CODE,)),
)


class PythonClient(NamedTuple):
    """One installed client.

    Attributes:
        name: Its name on PyPI.
        version: Its version.
        affected: Whether it opens transcription sockets that OpenAI's endpoint refuses.
        why: What it does, a clause.
        shim: What the shim does about it.
        covered: Whether the shim can do that with what is installed.
        not_needed_from: The first version that needs no shim; `None` when there is none yet, or it is not affected.
    """

    name: str
    version: str
    affected: bool
    why: str
    shim: str
    covered: bool
    not_needed_from: str | None


def find_python_clients() -> list[PythonClient]:
    """The clients installed in this environment, in the order of the table."""
    return list(_found())


def _found() -> Iterator[PythonClient]:
    for known in PYTHON_CLIENTS:
        version = _installed(known.name)
        if version is None:
            continue
        reached = [row for row in known.ranges if numbers(row.since) <= numbers(version)]
        row = reached[-1]
        covered, shim = _cover(known.transport)
        yield PythonClient(
            known.name, version, row.affected, row.why, shim, covered, known.not_needed_from if row.affected else None
        )


def _cover(transport: str) -> tuple[bool, str]:
    """Whether the shim patches the library a client connects with, in the version installed."""
    version = _installed(transport)
    if version is None:
        return False, f"nothing: {transport}, which it connects with, is not installed"
    target = next(target for target in TARGETS if target.library == transport)
    if target.tested_with(version):
        return True, f"corrects its URLs, on {transport} {version}"
    return False, f"nothing: it was not tested with {transport} {version}"


def _installed(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None
