"""The differences between what the mock answers to a row and what came back."""

from __future__ import annotations

from collections.abc import Iterator
from difflib import SequenceMatcher
from typing import Any, NamedTuple

from rtstt_testkit.probe.rows import Row

__all__ = ["Difference", "brief", "differences"]

#: How far numbers may be apart that depend on a detector or a tokenizer which nobody outside can reproduce. Zero is
#: only like zero.
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
        where: The event, counted from 1, and the path into it.
        expected: What the mock says.
        received: What came.
    """

    where: str
    expected: Any
    received: Any


def brief(event: dict[str, Any]) -> str:
    """An event in a few words."""
    type_ = str(event.get("type"))
    if type_ == "(close)":
        return f"close {event['code']} {event['reason']}".rstrip() + ("" if event["by"] == "server" else " (ours)")
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
        row: Which says what is not compared.
        expected: What the mock answered, normalised.
        received: What the endpoint answered, normalised.
    """
    found: list[Difference] = []
    kinds, came = ([_kind(event) for event in events] for events in (expected, received))
    for change, start, end, from_, to in SequenceMatcher(None, kinds, came, autojunk=False).get_opcodes():
        if change == "equal":
            for index in range(end - start):
                mine, theirs = expected[start + index], received[from_ + index]
                found += _within(row, f"{from_ + index + 1} {mine.get('type')}: ", "", mine, theirs)
        else:
            found.append(Difference(str(from_ + 1), _listed(expected[start:end]), _listed(received[from_:to])))
    return found


def _listed(events: list[dict[str, Any]]) -> str:
    return ", ".join(map(brief, events)) or _ABSENT


def _kind(event: dict[str, Any]) -> tuple[str, str]:
    """Events of one kind are compared field by field; whose CLOSE it is makes two kinds of it."""
    return str(event.get("type")), str(event.get("by", ""))


def _within(row: Row, where: str, path: str, mine: Any, theirs: Any) -> Iterator[Difference]:
    if any(path == known or path.startswith(f"{known}.") for known in row.not_known):
        return
    if path.startswith("session.") and path != "session.type" and not row.about_the_session:
        return
    if isinstance(mine, dict) and isinstance(theirs, dict):
        for name in [*mine, *(name for name in theirs if name not in mine)]:
            inner = f"{path}.{name}" if path else name
            yield from _within(row, where, inner, mine.get(name, _ABSENT), theirs.get(name, _ABSENT))
    elif not _alike(path, mine, theirs, path in row.open_end):
        yield Difference(where + path, mine, theirs)


def _alike(path: str, mine: Any, theirs: Any, open_end: bool) -> bool:
    if mine == theirs and isinstance(mine, bool) == isinstance(theirs, bool):
        return True
    if isinstance(mine, str) and isinstance(theirs, str):
        return open_end and theirs.startswith(mine.rstrip("."))
    name = path.rpartition(".")[2]
    if name in _TOLERANCES and isinstance(mine, int | float) and isinstance(theirs, int | float):
        # Zero is a fact of its own, except on the time axis.
        if not (mine and theirs) and not name.endswith("_ms"):
            return False
        return abs(mine - theirs) <= _TOLERANCES[name]
    return False
