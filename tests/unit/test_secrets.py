"""Keys in every place where a key can be: none may appear in the output of the shim."""

from __future__ import annotations

import json
import logging
import os
import re
import subprocess
import sys
from typing import Any

import pytest
from endpoint import listening, serving
from transports import TRANSPORTS

import rtstt_shim
from rtstt_core.patching.connect_attempt import start_attempt
from rtstt_core.patching.guard import Counters, PatchContext
from rtstt_core.patching.targets import TARGETS
from rtstt_core.report import ConnectionInfo

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
def test_no_key_is_in_a_warning_a_field_or_the_status(
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
    written = json.dumps([vars(record) for record in caplog.records if record.name == "rtstt_shim"], default=str)
    written += record.getMessage() + str(rtstt_shim.status()) + repr(rtstt_shim.status())
    assert "Incorrect API key provided: sk-***" in written
    assert [place for place, canary in CANARIES.items() if canary in written] == []


def test_no_key_is_in_the_warning_of_a_failed_connection(shim: None, warnings_logged: list[logging.LogRecord]) -> None:
    talk, _ = TRANSPORTS["aiohttp"]
    talk("ws://user:canaryHHHHHHHH@127.0.0.1:1/v1/realtime?intent=transcription&token=canaryIIIIIIII")
    [record] = warnings_logged
    assert "canary" not in json.dumps(vars(record), default=str)
    assert "ws://***@127.0.0.1:1/v1/realtime?intent=transcription&token=***" in record.getMessage()


# -- A whole process: it sends and receives keys, and all its output is searched

PROGRAM = """
import asyncio, json, logging, sys, warnings
import rtstt_shim
from rtstt_core.patching import guard

warnings.simplefilter("ignore", DeprecationWarning)
transport, *urls = sys.argv[1:]

HEADERS = {"Authorization": "Bearer sk-canary-JJJJJJJJJJJJJJJJ", "X-Api-Key": "canaryKKKKKKKKKKKKKKKK"}
SUBPROTOCOLS = ["realtime", "openai-insecure-api-key.sk-canary-LLLLLLLLLLLLLLLL"]

class Everything(logging.Handler):
    def emit(self, record):
        print(record.getMessage(), json.dumps(vars(record), default=repr))

logging.basicConfig()
ours = logging.getLogger("rtstt_shim")
ours.setLevel(logging.DEBUG)
ours.addHandler(Everything())

async def asyncio_client(url):
    from websockets.asyncio.client import connect
    async with connect(url, additional_headers=HEADERS, subprotocols=SUBPROTOCOLS) as connection:
        while True:
            await connection.recv()

async def legacy_client(url):
    from websockets.legacy.client import connect
    async with connect(url, extra_headers=HEADERS, subprotocols=SUBPROTOCOLS) as connection:
        while True:
            await connection.recv()

async def aiohttp_client(url):
    import aiohttp
    async with aiohttp.ClientSession() as session:
        headers = {"X-Api-Key": HEADERS["X-Api-Key"]}  # aiohttp refuses Authorization beside a user in the URL
        async with session.ws_connect(url, headers=headers, protocols=SUBPROTOCOLS) as connection:
            async for message in connection:
                pass

def sync_client(url):
    from websockets.sync.client import connect
    with connect(url, additional_headers=HEADERS, subprotocols=SUBPROTOCOLS) as connection:
        while True:
            connection.recv()

def websocket_client(url):
    import websocket
    connection = websocket.create_connection(url, header=HEADERS, subprotocols=SUBPROTOCOLS)
    try:
        while connection.recv():
            pass
    finally:
        connection.shutdown()

def talk(url):
    client = globals()[transport]
    try:
        asyncio.run(client(url)) if asyncio.iscoroutinefunction(client) else client(url)
    except Exception as error:
        print("the client raised", type(error).__name__)

for url in urls:
    talk(url)
    talk(url)  # repeated, and counted when the process exits

def broken(url):
    raise ValueError(f"cannot read {url}, sent with {HEADERS['Authorization']}")

guard.fix_url = broken
talk(urls[-1])
print(rtstt_shim.status())
print(repr(rtstt_shim.status()))
"""


@pytest.mark.parametrize(
    "transport", ["asyncio_client", "sync_client", "legacy_client", "aiohttp_client", "websocket_client"]
)
def test_no_key_is_in_the_output_of_a_whole_process(transport: str, refusing_port: int) -> None:
    query = "intent=transcription&api_key=canaryMMMMMMMMMMMMMMMM&model=whisper-1&sk-canary-NNNNNNNNNNNNNNNN"
    refusal = (
        b"Incorrect API key provided: sk-canary-OOOOOOOOOOOOOOOO, see wss://me:canaryPPPPPPPP@h/?token=canaryQQQQQQQQ"
    )
    answer = b"HTTP/1.1 401 Unauthorized\r\nContent-Length: %d\r\n\r\n%s" % (len(refusal), refusal)
    with serving(refuse_with_keys, subprotocols=["realtime"]) as endpoint, listening(answer) as unauthorized:
        urls = [
            f"ws://user:canaryRRRRRRRRRRRR@127.0.0.1:{port}/v1/realtime?{query}"
            for port in (endpoint.port, unauthorized, refusing_port)
        ]
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM, transport, *urls],
            env={**os.environ, "RTSTT_SHIM_HOSTS": "127.0.0.1"},
            capture_output=True,
            text=True,
            timeout=100,
        )
    wrote = done.stdout + done.stderr
    assert done.returncode == 0, wrote
    # All of it was logged: the refusal, the status, the connection, the internal error, the counts.
    for words in ("closed 4000", "HTTP 401", "nothing accepts connections at this address", "internal error on"):
        assert words in wrote, wrote
    assert wrote.count("(and 1 more like it)") >= 3
    assert re.findall(r"\S*canary\S*", wrote, re.IGNORECASE) == []


def test_no_key_is_in_the_repr_of_the_objects_that_error_trackers_show() -> None:
    url = "wss://me:canaryAAAAAAAA@api.openai.com/v1/realtime?intent=transcription&model=x&api_key=canaryBBBBBBBB"
    decision = rtstt_shim.fix_url(url)
    info = ConnectionInfo("websockets", "17.4", url)
    attempt = start_attempt(url, PatchContext(TARGETS[0], "17.4", Counters()))
    for thing in (decision, info, attempt):
        assert "canary" not in repr(thing)
    masked = "wss://***@api.openai.com/v1/realtime?intent=transcription&api_key=***"
    assert repr(info) == f"ConnectionInfo('websockets', '17.4', '{masked.replace('&', '&model=x&')}')"
    assert repr(decision) == (
        f"Decision(url='{masked}', changed=True, rule='drop-model', "
        "reason='OpenAI refuses `model` beside intent=transcription', session='transcription', native=True)"
    )
