"""Checks of the audio: whether all of the recording was transcribed, and nothing twice.

Audio that a session received and did not transcribe before it was cut off counts as not received: sending it again is
right, and not sending it again loses it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from rtstt_testkit.mock.inspect.findings.clients import ending, lasted, reason
from rtstt_testkit.mock.inspect.findings.finding import Evidence, Observation
from rtstt_testkit.mock.inspect.ledger import AudioLedger, Piece
from rtstt_testkit.mock.inspect.record import APPEND, COMPLETED, FAILED, SessionRecord

__all__ = ["audio_doubled", "audio_lost", "is_left", "leading_audio_lost", "wrong_sample_rate"]

_LOST = 0.05  # seconds of sound
_DOUBLED = 0.15  # seconds of sound; clients begin again a little early on purpose
_IN_FLIGHT = 0.1  # seconds before a reset in which what was sent may not have been received


class Missing(NamedTuple):
    """A stretch of the recording that was not transcribed.

    Attributes:
        start: Where it begins in the recording, in seconds.
        end: Where it ends.
        before: The piece that was transcribed before it, None at the beginning.
    """

    start: float
    end: float
    before: Piece | None


def wrong_sample_rate(seen: Observation) -> Iterator[Evidence]:
    """Yield sessions whose audio plays at another speed than the recording."""
    records = {record.number: record for record in seen.sessions}
    for speed in seen.ledger.speeds if seen.ledger is not None else ():
        events = enumerate(records[speed.session].events, 1)
        number, at = next(((number, event.at) for number, event in events if event.type == APPEND), (None, None))
        yield Evidence(str(speed), speed.session, at, number)


def leading_audio_lost(seen: Observation) -> Iterator[Evidence]:
    """Yield the beginning of the recording where it was not transcribed."""
    for ledger, missing in _missing(seen):
        if _is_leading(ledger, missing):
            number = ledger.pieces[0].session
            yield Evidence(f"the first {_length(missing)} of {ledger.recording!r} were not transcribed", number)


def audio_lost(seen: Observation) -> Iterator[Evidence]:
    """Yield later stretches of the recording that were not transcribed."""
    records = {record.number: record for record in seen.sessions}
    for ledger, missing in _missing(seen):
        if _is_leading(ledger, missing):
            continue
        record = records[(missing.before or ledger.pieces[0]).session]
        if missing.end >= ledger.seconds and ending(seen.sessions[-1]) != "done":
            continue  # the client gave up
        cut = f" ({reason(record)})" if ending(record) == "transient" else ""
        text = f"{_length(missing)} of {ledger.recording!r} from {missing.start:.3f} s on were not transcribed{cut}"
        yield Evidence(text, record.number, lasted(record) if cut else None)


def audio_doubled(seen: Observation) -> Iterator[Evidence]:
    """Yield stretches of the recording that were transcribed more than once."""
    ledger = seen.ledger
    if ledger is None:
        return
    heard = sorted(_heard(seen, ledger, received=True), key=lambda piece: piece.start)
    furthest: Piece | None = None
    for piece in heard:
        if furthest is not None and piece.start < furthest.end:
            start, end = piece.start, min(piece.end, furthest.end)
            if ledger.sound(start, end) > _DOUBLED:
                again = max(piece.session, furthest.session)
                text = f"{end - start:.3f} s of {ledger.recording!r} from {start:.3f} s on were transcribed twice"
                yield Evidence(text, again)
        if furthest is None or piece.end > furthest.end:
            furthest = piece


def is_left(seen: Observation) -> bool:
    """Return whether sound at the end of the recording was not transcribed."""
    ledger = seen.ledger
    if ledger is None:
        return False
    reached = max((piece.end for piece in _heard(seen, ledger)), default=0.0)
    return ledger.sound(reached, ledger.seconds) > _LOST


def _is_leading(ledger: AudioLedger, missing: Missing) -> bool:
    """Return whether it is the beginning of the recording that arrived in no session."""
    arrived = min(piece.start for piece in ledger.pieces)
    return missing.before is None and ledger.sound(0.0, arrived) > _LOST


def _missing(seen: Observation) -> Iterator[tuple[AudioLedger, Missing]]:
    """Yield the missing parts of a recording that was transcribed in part."""
    ledger = seen.ledger
    if ledger is None:
        return
    heard = sorted(_heard(seen, ledger), key=lambda piece: piece.start)
    if not heard:
        return
    reached, last = 0.0, None
    end = Piece(0, 0.0, ledger.seconds, ledger.seconds)
    for piece in (*heard, end):
        if piece.start > reached and ledger.sound(reached, piece.start) > _LOST:
            yield ledger, Missing(reached, piece.start, last)
        if piece.end > reached:
            reached, last = piece.end, piece


def _heard(seen: Observation, ledger: AudioLedger, *, received: bool = False) -> Iterator[Piece]:
    """Yield the pieces that were transcribed.

    Args:
        seen: What was observed.
        ledger: The ledger.
        received: Whether to leave out what the client may not have received before a reset.
    """
    records = {record.number: record for record in seen.sessions}
    for piece in ledger.pieces:
        until = _heard_until(records[piece.session], received=received)
        end = min(piece.end, piece.start + until - piece.at)
        if end > piece.start:
            yield piece._replace(end=end)


def _heard_until(record: SessionRecord, *, received: bool) -> float:
    """Return the second of its audio up to which a session was usable."""
    if ending(record) not in ("transient", "fatal"):
        return float("inf")
    end = lasted(record)
    reset = record.close is not None and record.close.code == 1006
    ends: dict[str, float] = {}
    heard = size = 0.0
    rate = record.audio_format.width * record.audio_format.rate
    for event in record.events:
        if event.dropped is not None:
            continue
        item = str(event.data.get("item_id"))
        if event.type == APPEND:
            size += event.data.get("audio_bytes", 0)
        elif event.type == "input_audio_buffer.speech_stopped":
            ends[item] = event.data["audio_end_ms"] / 1000
        elif event.type == "input_audio_buffer.committed":
            ends.setdefault(item, size / rate)
        elif event.type in (COMPLETED, FAILED) and not (received and reset and event.at > end - _IN_FLIGHT):
            heard = max(heard, ends.get(item, 0.0))
    return heard


def _length(missing: Missing) -> str:
    return f"{(missing.end - missing.start) * 1000:.0f} ms"
