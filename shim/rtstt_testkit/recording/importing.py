"""Import recordings of other programs: a browser's HAR with WebSocket messages, and the cassettes of pydantic-ai.

A HAR has ``_webSocketMessages`` in its entries, as Chrome, HTTP Toolkit and the inspector write them. A cassette of
pydantic-ai is YAML: ``interactions`` with ``direction`` (``sent`` or ``received``) and ``data``; it has no times.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from rtstt_testkit.cassette.format import CassetteError
from rtstt_testkit.cassette.lines import SessionLines
from rtstt_testkit.cassette.writer import CassetteWriter
from rtstt_testkit.mock.protocol.events import Sender, b64decode
from rtstt_testkit.mock.protocol.handshake import Request

__all__ = ["import_recording"]

_SENDERS: dict[str, Sender] = {"sent": "client", "send": "client", "received": "server", "receive": "server"}
_HINT = "a HAR needs entries with `_webSocketMessages`, a cassette of pydantic-ai `interactions`"


def import_recording(source: Path, target: Path, *, replace: bool = False) -> list[str]:
    """Write a recording of another program as ours.

    Args:
        source: A ``.har`` or ``.json`` file, or a ``.yaml`` file.
        target: The file to write.
        replace: Whether a file that exists is replaced.

    Returns:
        What was left out: one sentence each.

    Raises:
        CassetteError: The file cannot be read or has another format, or the recording cannot be written.
    """
    try:
        text = source.read_text("utf-8")
    except OSError as error:
        raise CassetteError(f"cannot read {source}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise CassetteError(f"{source} is not UTF-8 text; {_HINT}") from None
    data = _parse(source, text)
    entries = _entries(source, data)
    if entries is None and not _list(data, "interactions"):
        raise CassetteError(f"{source} has no realtime session; {_HINT}")
    url = entries[0]["request"]["url"] if entries else "wss://api.openai.com/v1/realtime"
    notes: list[str] = []
    writer = CassetteWriter(target, url=url.partition("?")[0], client=f"imported from {source.name}", replace=replace)
    try:
        if entries is not None:
            for entry in entries:
                _import_entry(source, writer, entry, notes.append)
        else:
            _import_interactions(source, writer, data["interactions"], notes.append)
    finally:
        writer.close()
    if writer.failure is not None:
        raise CassetteError(writer.failure)
    return notes


def _parse(source: Path, text: str) -> Any:
    if source.suffix.lower() in (".yaml", ".yml"):
        import yaml

        try:
            return yaml.load(text, getattr(yaml, "CSafeLoader", yaml.SafeLoader))
        except yaml.YAMLError as error:
            mark = getattr(error, "problem_mark", None)
            where = f", line {mark.line + 1}" if mark else ""
            raise CassetteError(f"{source}{where} is not YAML; {_HINT}") from None
    try:
        return json.loads(text.removeprefix("\ufeff"))
    except (ValueError, RecursionError):
        raise CassetteError(f"{source} is not JSON; {_HINT}") from None


def _list(data: Any, name: str) -> list[Any]:
    value = data.get(name) if isinstance(data, dict) else None
    return value if isinstance(value, list) else []


# -- HAR


def _entries(source: Path, data: Any) -> list[dict[str, Any]] | None:
    """Return the entries of a HAR that are WebSockets; None if it is not a HAR."""
    log = data.get("log") if isinstance(data, dict) else None
    if not isinstance(log, dict):
        return None
    entries = [entry for entry in _list(log, "entries") if isinstance(entry, dict)]
    found = [entry for entry in entries if isinstance(entry.get("_webSocketMessages"), list)]
    for entry in found:
        request = entry.get("request")
        if not isinstance(request, dict) or not isinstance(request.get("url"), str):
            raise CassetteError(f"{source} has an entry without `request.url`; export it again")
    if not found:
        raise CassetteError(f"{source} has no entry with `_webSocketMessages`; export it with WebSocket messages")
    return found


def _import_entry(source: Path, writer: CassetteWriter, entry: dict[str, Any], note: Callable[[str], None]) -> None:
    request = entry["request"]
    parts = urlsplit(request["url"])
    headers = [
        (str(header.get("name")), str(header.get("value")))
        for header in _list(request, "headers")
        if isinstance(header, dict) and not str(header.get("name")).startswith(":")
    ]
    opened = _seconds(entry.get("startedDateTime"))
    target = f"{parts.path}?{parts.query}" if parts.query else parts.path
    lines = writer.session(parts.netloc.rpartition("@")[2], Request(target, headers), opened)
    response = entry.get("response")
    response = response if isinstance(response, dict) else {}
    status = response.get("status")
    if isinstance(status, int) and status not in (0, 101):
        content = response.get("content")
        lines.refused(0.0, status, str(content.get("text", "")) if isinstance(content, dict) else "")
        return
    lines.accepted(0.0)
    first: float | None = opened
    last = 0.0
    for message in entry["_webSocketMessages"]:
        sender = _SENDERS.get(str(message.get("type"))) if isinstance(message, dict) else None
        if sender is None:
            note(
                f"a message of the type {message.get('type') if isinstance(message, dict) else message!r} was left out"
            )
            continue
        time = message.get("time")
        if isinstance(time, int | float):
            first = float(time) if first is None or time < first else first
            last = max(last, float(time) - first)
        _import_message(source, lines, sender, message, last, note)
    lines.closed(1006, "", "server", last)


def _import_message(
    source: Path,
    lines: SessionLines,
    sender: Sender,
    message: dict[str, Any],
    at: float,
    note: Callable[[str], None],
) -> None:
    text = message.get("data")
    if not isinstance(text, str):
        note("a message without `data` was left out")
    elif message.get("opcode") == 2:
        try:
            lines.binary(sender, len(b64decode(text)), at)
        except ValueError:
            lines.binary(sender, len(text), at)
    elif message.get("opcode", 1) == 1:
        lines.text(sender, text.encode("utf-8", "replace"), at)


def _seconds(text: object) -> float | None:
    try:
        return datetime.fromisoformat(str(text).replace("Z", "+00:00")).timestamp()
    except ValueError:
        return None


# -- pydantic-ai


def _import_interactions(
    source: Path, writer: CassetteWriter, interactions: list[Any], note: Callable[[str], None]
) -> None:
    model = next((found for found in map(_model, interactions) if found), None)
    transcription = any(_session(one).get("type") == "transcription" for one in interactions)
    query = "?intent=transcription" if transcription else f"?model={model}" if model else ""
    lines = writer.session("api.openai.com", Request(f"/v1/realtime{query}"))
    lines.accepted(0.0)
    note("the file has neither times nor the request: every time is 0, and the request is a usual one")
    skipped = 0
    for one in interactions:
        data = one.get("data") if isinstance(one, dict) else None
        sender = _SENDERS.get(str(one.get("direction"))) if isinstance(one, dict) else None
        if sender is None or not isinstance(data, dict) or one.get("kind", "message") != "message":
            skipped += 1
        elif not isinstance(data.get("type"), str):
            lines.text(sender, json.dumps(data).encode(), 0.0)
        else:
            lines.event(sender, data, 0.0)
    if skipped:
        note(f"{skipped} interactions that are not messages were left out")
    lines.closed(1000, "", "client", 0.0)


def _session(one: Any) -> dict[str, Any]:
    data = one.get("data") if isinstance(one, dict) else None
    session = data.get("session") if isinstance(data, dict) else None
    return session if isinstance(session, dict) else {}


def _model(one: Any) -> str | None:
    model = _session(one).get("model")
    return model if isinstance(model, str) else None
