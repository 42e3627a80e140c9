"""Keys planted everywhere a key can be: none may come out of the shim."""

from __future__ import annotations

import json
import logging
from typing import Any

import pytest
from endpoint import serving
from transports import TRANSPORTS

import rtstt_shim

CANARIES = {
    "in the error's message": "sk-proj-canaryAAAAAAAAAAAAAAAA",
    "in the error's code": "sk-canary-BBBBBBBBBBBBBBBB",
    "in the error's param": "ek_canary-CCCCCCCCCCCCCCCC",
    "in the close reason": "sk-canary-DDDDDDDDDDDDDDDD",
    "in the query": "canaryEEEEEEEEEEEEEEEE",
    "as a bare word of the query": "canaryFFFFFFFFFFFFFFFF",
    "as the value of model": "sk-canary-GGGGGGGGGGGGGGGG",
}


def refuse_with_keys(connection: Any) -> None:
    error = {
        "type": "invalid_request_error",
        "code": CANARIES["in the error's code"],
        "message": "Incorrect API key provided: " + CANARIES["in the error's message"],
        "param": CANARIES["in the error's param"],
    }
    connection.send(json.dumps({"type": "error", "error": error}))
    connection.close(4000, CANARIES["in the close reason"])


@pytest.mark.parametrize("talk", [talk for talk, _ in TRANSPORTS.values()], ids=TRANSPORTS)
def test_no_key_comes_out_of_a_warning_a_field_or_the_status(
    talk: Any, shim: None, warnings_logged: list[logging.LogRecord], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, logger="rtstt_shim")
    query = (
        f"intent=transcription&api_key={CANARIES['in the query']}&{CANARIES['as a bare word of the query']}"
        f"&model={CANARIES['as the value of model']}"
    )
    with serving(refuse_with_keys) as endpoint:
        talk(endpoint.url(query))
    [record] = warnings_logged
    said = json.dumps([vars(record) for record in caplog.records if record.name == "rtstt_shim"], default=str)
    said += record.getMessage() + str(rtstt_shim.status()) + repr(rtstt_shim.status())
    assert "Incorrect API key provided: sk-***" in said
    assert [place for place, canary in CANARIES.items() if canary in said] == []


def test_no_key_comes_out_of_a_failed_connection(shim: None, warnings_logged: list[logging.LogRecord]) -> None:
    talk, _ = TRANSPORTS["aiohttp"]
    talk("ws://user:canaryHHHHHHHH@127.0.0.1:1/v1/realtime?intent=transcription&token=canaryIIIIIIII")
    [record] = warnings_logged
    assert "canary" not in json.dumps(vars(record), default=str)
    assert "ws://***@127.0.0.1:1/v1/realtime?intent=transcription&token=***" in record.getMessage()
