"""A stream of deltas, which are examined less than other messages: an error between them is reported."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from typing import Any

import pytest
from endpoint import ERROR, serving
from transports import TRANSPORTS, Seen
from websockets.frames import Frame, Opcode
from websockets.sync.server import ServerConnection

NAME = "conversation.item.input_audio_transcription.delta"
DELTA = {"type": NAME, "item_id": "item_1", "content_index": 0, "delta": ' "error"'}
SPACED = {"item_id": "item_1", "type": NAME, "delta": " hello"}

pytestmark = pytest.mark.usefixtures("native_loopback")


@pytest.fixture
def native_loopback(monkeypatch: pytest.MonkeyPatch) -> None:
    """The loopback address counts as OpenAI's own host."""
    monkeypatch.setenv("RTSTT_SHIM_HOSTS", "127.0.0.1")


def compact(event: Any) -> bytes:
    return json.dumps(event, separators=(",", ":")).encode()


def frames(event: Any, *, cut: int | None = None) -> bytes:
    """An event as a frame, or as two."""
    text = compact(event)
    if cut is None:
        return Frame(Opcode.TEXT, text).serialize(mask=False)
    first = Frame(Opcode.TEXT, text[:cut], fin=False).serialize(mask=False)
    return first + Frame(Opcode.CONT, text[cut:]).serialize(mask=False)


def in_one_write(*data: bytes) -> Callable[[ServerConnection], None]:
    """Everything comes at once, so that a client has messages waiting for it; then the connection is closed."""

    def behaviour(connection: ServerConnection) -> None:
        connection.socket.sendall(b"".join(data))
        connection.close(4000, "invalid_request_error.invalid_model")

    return behaviour


@pytest.mark.parametrize(("talk", "library"), TRANSPORTS.values(), ids=TRANSPORTS.keys())
@pytest.mark.parametrize("cut", [None, 20, 80], ids=["whole", "an error in fragments", "a delta in fragments"])
def test_an_error_between_deltas_is_reported_and_the_application_receives_everything(
    talk: Callable[[str], Seen], library: str, cut: int | None, shim: None, warnings_logged: list[logging.LogRecord]
) -> None:
    first = frames(DELTA, cut=cut if cut == 80 else None)
    error = frames(ERROR, cut=cut if cut == 20 else None)
    with serving(in_one_write(first, frames(DELTA), frames(SPACED), error, frames(DELTA), frames(DELTA))) as endpoint:
        seen, _ = talk(endpoint.url())
    assert seen == [DELTA, DELTA, SPACED, ERROR, DELTA, DELTA]
    [record] = warnings_logged
    assert vars(record)["rtstt_library"] == library
    assert vars(record)["rtstt_code"] == "invalid_model"
    assert vars(record)["rtstt_close_code"] == 4000
