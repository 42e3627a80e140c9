"""A session in the formats of other programs: HAR 1.2 with WebSocket messages, and JSON lines."""

from __future__ import annotations

import base64
import json
from datetime import datetime, timezone
from typing import Any

from rtstt_core.masking import mask_json
from rtstt_core.trace.file import FORMAT, VERSION
from rtstt_testkit.inspector.view import Observed
from rtstt_testkit.mock.inspect.record import APPEND

__all__ = ["har", "json_lines"]

_AUDIO_LIMIT = 10 * 1024 * 1024


def har(seen: Observed, url: str) -> dict[str, Any]:
    """Return the session as HAR 1.2 with ``_webSocketMessages``, which Chrome and HTTP Toolkit read.

    A run of appends is one message with all of its audio; audio that is not kept, or more than 10 MB of it, is left
    out, and the message says how many bytes it was.

    Args:
        seen: The session.
        url: The WebSocket address of the server.
    """
    seen.update()
    record = seen.record
    handshake = record.handshake
    query = [{"name": name, "value": value} for name, values in handshake.query.items() for value in values]
    target = handshake.path + ("?" if query else "") + "&".join(f"{one['name']}={one['value']}" for one in query)
    length = max((placed.event.until for placed in seen.axis.placed), default=0.0)
    entry = {
        "startedDateTime": datetime.fromtimestamp(record.opened_wall, timezone.utc).isoformat(),
        "time": round(length * 1000, 3),
        "request": {
            "method": "GET",
            "url": url.split("/v1/")[0] + target,
            "httpVersion": "HTTP/1.1",
            "cookies": [],
            "headers": [{"name": name, "value": value} for name, value in handshake.headers.items()],
            "queryString": query,
            "headersSize": -1,
            "bodySize": 0,
        },
        "response": {
            "status": record.http_status,
            "statusText": record.http_message,
            "httpVersion": "HTTP/1.1",
            "cookies": [],
            "headers": [],
            "content": {"size": 0, "mimeType": "x-unknown"},
            "redirectURL": "",
            "headersSize": -1,
            "bodySize": -1,
        },
        "cache": {},
        "timings": {"send": 0, "wait": 0, "receive": round(length * 1000, 3)},
        "_resourceType": "websocket",
        "_webSocketMessages": _messages(seen),
    }
    if record.close is not None:
        close = record.close
        entry["comment"] = f"Closed {close.code} by the {close.by}. {close.reason}".rstrip()
    creator = {"name": "rtstt-shim", "version": "1"}
    log: dict[str, Any] = mask_json({"log": {"version": "1.2", "creator": creator, "entries": [entry]}})
    return log


def _messages(seen: Observed) -> list[dict[str, Any]]:
    record = seen.record
    position = record.audio_received - sum(
        placed.event.data.get("audio_bytes", 0) for placed in seen.axis.placed if placed.event.type == APPEND
    )
    left = _AUDIO_LIMIT
    messages = []
    for placed in seen.axis.placed:
        event = placed.event
        data: dict[str, Any] = event.data
        if event.type == APPEND and "audio_bytes" in data:
            size = data["audio_bytes"]
            audio = record.slice_audio(position, position + size) if size <= left else b""
            position += size
            if len(audio) == size:
                left -= size
                data = {"type": APPEND, "audio": base64.b64encode(audio).decode()}
        if event.dropped is None:
            messages.append(
                {
                    "type": "send" if event.sender == "client" else "receive",
                    "time": round(record.opened_wall + event.at, 6),
                    "opcode": 1,
                    "data": json.dumps(mask_json(data), separators=(",", ":")),
                }
            )
    return messages


def json_lines(seen: Observed) -> str:
    """Return the session as JSON lines, the format of a trace: a header, its handshake, its events, its end.

    Args:
        seen: The session.
    """
    seen.update()
    record = seen.record
    handshake = record.handshake
    lines: list[dict[str, Any]] = [
        {"format": FORMAT, "version": VERSION, "source": "mock"},
        {
            "time": round(record.opened_wall, 3),
            "session": record.number,
            "at": 0.0,
            "handshake": {"path": handshake.path, "query": handshake.query, "headers": handshake.headers},
            "http_status": record.http_status,
        },
    ]
    if record.kind is not None:
        lines[1]["kind"] = "conversation" if record.kind == "realtime" else record.kind
    for placed in seen.axis.placed:
        event = placed.event
        line: dict[str, Any] = {
            "session": record.number,
            "at": round(event.at, 6),
            "sender": event.sender,
            "event": event.data,
        }
        if event.count > 1:
            line["count"], line["until"] = event.count, round(event.until, 6)
        if event.dropped is not None:
            line["dropped"] = event.dropped
        lines.append(line)
    if record.close is not None:
        close = record.close
        lines.append({"session": record.number, "close": {"code": close.code, "reason": close.reason, "by": close.by}})
    return "".join(json.dumps(line, separators=(",", ":")) + "\n" for line in mask_json(lines))
