#!/usr/bin/env python3
"""Run the rows of `rtstt-shim probe` on three mocks: this one, CopilotKit's aimock, and a bare fake server.

  python3 scripts/compare_mocks.py           print the table
  python3 scripts/compare_mocks.py --json    print the results as JSON
  python3 scripts/compare_mocks.py --write   write them to scripts/compare_mocks.json, for scripts/BENCHMARKS.md

aimock comes from npm, so Node.js 20 or newer is needed. Exit code: 0 if the rows were run, 2 for a usage error or a
failed setup.
"""

from __future__ import annotations

import asyncio
import json
import re
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import date
from importlib.metadata import version
from pathlib import Path
from typing import Any

import _env

_env.ensure_installed()

from websockets.asyncio.server import ServerConnection, serve  # noqa: E402
from websockets.exceptions import ConnectionClosed  # noqa: E402

from _bench.receiving import AIMOCK, AIMOCK_NAME  # noqa: E402
from rtstt_testkit import RealtimeServer  # noqa: E402
from rtstt_testkit.probe.attempt import Endpoint  # noqa: E402
from rtstt_testkit.probe.report import format_value  # noqa: E402
from rtstt_testkit.probe.rows import ROWS  # noqa: E402
from rtstt_testkit.probe.runner import MOCK_KEY, Result, probe  # noqa: E402
from rtstt_testkit.speech import load  # noqa: E402

DATA = Path(__file__).with_suffix(".json")
TIMEOUT = 4.0
WORKERS = 8
HELLO, COFFEE = load("hello").text, load("coffee").text

SHOWN = (
    "intent=transcription alone",
    "intent=transcription, model=gpt-4o-mini-transcribe",
    "no intent, model=whisper-1",
    "neither intent nor model",
    "model=gpt-realtime: a conversation refuses a transcription update",
    "a transcription session refuses a conversation's update",
    "the header of the beta",
    "no key",
    "an unknown key",
    "the key as a subprotocol",
    "an ephemeral secret opens the bare URL with its session",
    "created and never updated; the form of identifiers",
    "a refused update is discarded whole: turns and items, no transcript",
    "a commit of nothing",
    "an unknown event",
    "an unknown field",
    "8 kHz",
    "turn detection with gpt-realtime-whisper",
    "not JSON",
    "a binary frame",
    "gpt-4o-mini-transcribe, server_vad",
    "whisper-1, server_vad",
    "semantic_vad, the end of a sentence",
    "gpt-4o-mini-transcribe, a commit by the client",
    "gpt-live-transcribe, deltas before the commit",
    "log probabilities",
    "idle_timeout_ms: silence is committed",
)
"""The rows in the table; all that are compared are run and counted."""

COMPARED = [row for row in ROWS if row.applies_to("openai", None)]
"""The rows for OpenAI's endpoint: no other mock has accounts that are refused, or speaks as Azure does."""


@asynccontextmanager
async def ours() -> AsyncIterator[str]:
    async with RealtimeServer(strict=False) as server:
        yield server.url


@asynccontextmanager
async def aimock() -> AsyncIterator[str]:
    """Run aimock with a fixture for each recording, since it recognizes no speech."""
    project = await asyncio.to_thread(_env.npm_project, AIMOCK)
    node = _env.node()
    assert node is not None
    where = {"endpoint": "realtime-transcription"}
    fixtures = [
        {"match": {**where, "model": "gpt-live-transcribe"}, "response": {"transcription": {"text": COFFEE}}},
        {"match": {**where, "model": "gpt-realtime-whisper"}, "response": {"transcription": {"text": COFFEE}}},
        {"match": where, "response": {"transcription": {"text": HELLO}}},
    ]
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "fixtures.json")
        file.write_text(json.dumps({"fixtures": fixtures}), encoding="utf-8")
        cli = project / "node_modules" / "@copilotkit" / "aimock" / "dist" / "cli.js"
        words = [node.executable, str(cli), "--host", "127.0.0.1", "--port", "0", "--fixtures", str(file)]
        process = await asyncio.create_subprocess_exec(
            *words, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT, limit=1024 * 1024
        )
        assert process.stdout is not None
        ending = None
        try:
            address = await asyncio.wait_for(_address(process.stdout), 60)
            ending = asyncio.ensure_future(process.communicate())  # it would wait for what is not read
            yield f"ws://{address}/v1/realtime"
        finally:
            if process.returncode is None:
                process.terminate()
            await (ending or process.wait())


async def _address(output: asyncio.StreamReader) -> str:
    while line := await output.readline():
        if found := re.search(r"listening on http://(127\.0\.0\.1:\d+)", line.decode(errors="replace")):
            return found[1]
    raise _env.SetupError(f"{AIMOCK_NAME} did not start; run it by hand to see why")


async def fake(connection: ServerConnection) -> None:
    """Answer as the fake servers of test suites do: accept every session and update, answer audio with a transcript.

    It also answers a clear, which is the last event of every row.
    """

    async def send(type_: str, **fields: Any) -> None:
        await connection.send(json.dumps({"type": type_, "event_id": "event_1", **fields}))

    session: dict[str, Any] = {"type": "transcription", "id": "sess_1"}
    try:
        await send("session.created", session=session)
        transcribed = False
        async for frame in connection:
            if isinstance(frame, bytes) or not frame.startswith("{") or not frame.endswith("}"):
                continue
            event = json.loads(frame)
            if event.get("type") == "session.update":
                session = {**session, **event["session"]}
                await send("session.updated", session=session)
            elif event.get("type") == "input_audio_buffer.clear":
                await send("input_audio_buffer.cleared")
            elif event.get("type") == "input_audio_buffer.append" and not transcribed:
                transcribed = True
                await send(
                    "conversation.item.input_audio_transcription.completed",
                    item_id="item_1",
                    content_index=0,
                    transcript=HELLO,
                )
    except ConnectionClosed:
        pass


@asynccontextmanager
async def bare() -> AsyncIterator[str]:
    async with serve(fake, "127.0.0.1", 0, close_timeout=1) as server:
        yield f"ws://127.0.0.1:{next(iter(server.sockets)).getsockname()[1]}/v1/realtime"


MOCKS = {"this mock": ours, "aimock": aimock, "a bare fake server": bare}


def cell(result: Result) -> str:
    """Return the answer in a few words; if only a field differs from this mock's answer, that field."""
    if result.verdict == "not tried":
        return "could not be tried"
    text = in_short(result.received.events)
    if result.verdict == "differs" and text == in_short(result.expected):
        field = result.differences[0]
        path = field.where.partition(": ")[2]
        # Identifiers differ in every run.
        received = re.sub(r"\b(event|sess|item)_[\w-]{6,}", r"\1_…", format_value(field.received))
        return f"{text}; {path} {'missing' if received == '<nothing>' else received}"
    return text


def in_short(events: list[dict[str, Any]]) -> str:
    """Return the events in short: without the last of every row, and without session.created if there is more."""
    words = [word for event in events if (word := _word(event))]
    if words[-1:] == ["cleared"] and events[-1].get("by") == "client":
        words.pop()
    if words[:1] == ["created"] and len(words) > 1:
        words.pop(0)
    return ", ".join(words) or "nothing"


def _word(event: dict[str, Any]) -> str:
    type_ = str(event["type"])
    if type_ in {"(upgrade)", "conversation.created"}:
        return ""
    if type_ == "(close)":
        return f"close {event['code']}" if event["by"] == "server" else ""
    if type_ == "(silence)":
        return "then silence"
    if type_ == "error":
        return str(event["error"].get("code") or "an error without a code")
    if type_ in {"(http)", "(secret)"}:
        return f"HTTP {event['status']}"
    return re.sub(r"^(session|input_audio_buffer|conversation\.item(\.input_audio_transcription)?)\.", "", type_)


async def measure() -> dict[str, Any]:
    cells: dict[str, dict[str, str]] = {row.name: {} for row in COMPARED}
    alike: dict[str, int] = {}
    for name, mock in MOCKS.items():
        _env.log(f"{len(COMPARED)} rows on {name}")
        async with mock() as url:
            results = await probe(COMPARED, Endpoint(url, MOCK_KEY, TIMEOUT), workers=WORKERS)
        alike[name] = sum(result.verdict == "ok" for result in results)
        for result in results:
            cells[result.row.name][name] = cell(result)
    node = _env.node()
    return {
        "made_by": "python3 scripts/compare_mocks.py --write",
        "on": date.today().isoformat(),
        "versions": {
            "rtstt-shim": version("rtstt-shim"),
            **AIMOCK,
            "websockets": version("websockets"),
            "node": node.version if node else None,
        },
        "rows": [{"group": row.group, "name": row.name, "cells": cells[row.name]} for row in COMPARED],
        "alike": alike,
    }


def table(data: dict[str, Any]) -> list[tuple[str, ...]]:
    """Return the lines of the table; the first is the head, the last the counts."""
    aimock_version = data["versions"]["@copilotkit/aimock"]
    by_name = {row["name"]: row["cells"] for row in data["rows"]}
    lines = [("row of the probe", "this mock", f"CopilotKit aimock {aimock_version}", "a bare fake server")]
    for name in SHOWN:
        ours, *others = (by_name[name][mock].replace("|", "/") for mock in MOCKS)
        lines.append((name, ours, *("the same" if other == ours else other for other in others)))
    alike = [f"{data['alike'][mock]} of {len(data['rows'])}" for mock in MOCKS]
    return [*lines, ("all rows: answered as this mock does", *alike)]


def main() -> int:
    parser = _env.parser("compare_mocks.py", __doc__)
    parser.add_argument("--json", action="store_true", help="print the results as JSON")
    parser.add_argument("--write", action="store_true", help=f"write them to {DATA.name}")
    args = parser.parse_args()
    data = asyncio.run(measure())
    text = json.dumps(data, indent=1, ensure_ascii=False) + "\n"
    if args.write:
        DATA.write_text(text, encoding="utf-8")
    if args.json:
        print(text, end="")
    else:
        for row in table(data):
            print("\n    ".join(row))
    return 0


if __name__ == "__main__":
    with _env.exit_on_error("scripts/compare_mocks.py"):
        sys.exit(main())
