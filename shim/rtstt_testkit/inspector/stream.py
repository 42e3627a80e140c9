"""The list of sessions as server-sent events, for as long as a browser listens."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

from rtstt_testkit.inspector.view import observed
from rtstt_testkit.mock.inspect.record import SessionRecord

__all__ = ["changes"]

_EVERY = 0.25  # seconds between two checks for changes
_HEARTBEAT = 15.0  # seconds without a change until a comment is sent, which finds out whether the browser is there
_MOST = 1000  # sessions, the latest


async def changes(sessions: Callable[[], Sequence[SessionRecord]]) -> AsyncIterator[bytes]:
    """Yield the sessions, and from then on those that changed; it costs nothing while no browser listens.

    Args:
        sessions: Returns the server's sessions.
    """
    known: dict[int, tuple[SessionRecord, Any]] = {}
    quiet = 0.0
    while True:
        records = sessions()[-_MOST:]
        current = {record.number: record for record in records}
        gone = [number for number, (record, _) in known.items() if current.get(number) is not record]
        for number in gone:
            del known[number]
        changed = []
        for record in records:
            before = known.get(record.number)
            if before is not None and not before[1][0]:  # it was over already
                continue
            mark = _mark(record)
            if before is None or before[1] != mark:
                known[record.number] = (record, mark)
                changed.append(observed(record).summary())
        if changed or gone or quiet == 0.0:
            data = json.dumps({"gone": gone, "sessions": changed}, separators=(",", ":"))
            yield f"event: sessions\ndata: {data}\n\n".encode()
        elif quiet >= _HEARTBEAT:
            quiet = 0.0
            yield b": nothing new\n\n"
        await asyncio.sleep(_EVERY)
        quiet = _EVERY if changed or gone else quiet + _EVERY


def _mark(record: SessionRecord) -> tuple[Any, ...]:
    """What differs when something happened; first, whether the session is open."""
    events = record.events
    last = events[-1] if events else None
    return record.open, len(events), id(last), record.audio_received
