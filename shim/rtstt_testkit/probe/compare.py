"""Find the differences between the mock's events and an endpoint's."""

from __future__ import annotations

from collections.abc import Iterator
from difflib import SequenceMatcher
from typing import Any, NamedTuple

from rtstt_testkit.probe.rows import Row

__all__ = ["Difference", "differences", "summarize"]

#: The largest accepted difference of numbers that depend on OpenAI's own voice detector or tokenizer. Zero equals only
#: zero.
_TOLERANCES = {
    "audio_start_ms": 300,
    "audio_end_ms": 500,
    "seconds": 1,
    "audio_tokens": 12,
    "input_tokens": 12,
    "output_tokens": 12,
    "total_tokens": 24,
}
_ABSENT = "<nothing>"


class Difference(NamedTuple):
    """One difference.

    Attributes:
        where: The event's number from 1, and the path of the field.
        expected: The mock's value.
        received: The endpoint's value.
    """

    where: str
    expected: Any
    received: Any


def summarize(event: dict[str, Any]) -> str:
    """Return an event in a few words."""
    type_ = str(event.get("type"))
    if type_ == "(close)":
        return f"close {event['code']} {event['reason']}".rstrip() + ("" if event["by"] == "server" else " (client)")
    if type_ in ("(http)", "(secret)"):
        return f"HTTP {event['status']}"
    if type_ == "(silence)":
        return str(event["what"])
    error = event.get("error")
    if isinstance(error, dict):
        return f"{type_} {error.get('code')}: {error.get('message')}"
    return type_


def differences(row: Row, expected: list[dict[str, Any]], received: list[dict[str, Any]]) -> list[Difference]:
    """Compare two runs of a row.

    Args:
        row: The row, which names the fields that are not compared.
        expected: The mock's events, normalised.
        received: The endpoint's events, normalised.
    """
    found: list[Difference] = []
    kinds, others = ([_kind(event) for event in events] for events in (expected, received))
    for change, start, end, from_, to in SequenceMatcher(None, kinds, others, autojunk=False).get_opcodes():
        if change == "equal":
            for index in range(end - start):
                mine, theirs = expected[start + index], received[from_ + index]
                found += _within(row, f"{from_ + index + 1} {mine.get('type')}: ", "", mine, theirs)
        else:
            found.append(Difference(str(from_ + 1), _join(expected[start:end]), _join(received[from_:to])))
    return found


def _join(events: list[dict[str, Any]]) -> str:
    return ", ".join(map(summarize, events)) or _ABSENT


def _kind(event: dict[str, Any]) -> tuple[str, str]:
    """Return what two events must share to be compared field by field: the type, and for a close who sent it."""
    return str(event.get("type")), str(event.get("by", ""))


def _within(row: Row, where: str, path: str, mine: Any, theirs: Any) -> Iterator[Difference]:
    if any(path == known or path.startswith(f"{known}.") for known in row.not_compared):
        return
    if path.startswith("session.") and path != "session.type" and not row.compares_session:
        return
    if isinstance(mine, dict) and isinstance(theirs, dict):
        for name in [*mine, *(name for name in theirs if name not in mine)]:
            inner = f"{path}.{name}" if path else name
            yield from _within(row, where, inner, mine.get(name, _ABSENT), theirs.get(name, _ABSENT))
    elif not _equal(path, mine, theirs, path in row.prefix_only):
        yield Difference(where + path, mine, theirs)


def _equal(path: str, mine: Any, theirs: Any, prefix_only: bool) -> bool:
    if mine == theirs and isinstance(mine, bool) == isinstance(theirs, bool):
        return True
    if isinstance(mine, str) and isinstance(theirs, str):
        return prefix_only and theirs.startswith(mine.rstrip("."))
    name = path.rpartition(".")[2]
    if name in _TOLERANCES and isinstance(mine, int | float) and isinstance(theirs, int | float):
        # Zero has a meaning of its own, except as a time.
        if not (mine and theirs) and not name.endswith("_ms"):
            return False
        return abs(mine - theirs) <= _TOLERANCES[name]
    return False
