"""Compare two recordings: what an endpoint sends today, and what it, or the mock, sent before.

The comparison covers the order of events, their fields and the types of these, the codes and texts of errors, and the
end of the connection. It also covers values that describe the session, such as a default of the turn detection. It
leaves out what differs in every session: identifiers, times, transcripts, random texts.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from difflib import SequenceMatcher
from typing import Any, NamedTuple

from rtstt_testkit.cassette.compare import ABSENT, is_free, shown
from rtstt_testkit.cassette.ids import is_id_field
from rtstt_testkit.cassette.model import Cassette, Frame, RecordedSession

__all__ = ["Drift", "compare_cassettes", "compare_sessions"]

#: Fields whose values differ in every session, by their last name; their types are compared.
_VARIES = frozenset(
    {
        "audio_bytes",
        "audio_end_ms",
        "audio_ms",
        "audio_start",
        "audio_start_ms",
        "bytes",
        "created_at",
        "delta",
        "end",
        "expires_at",
        "logprob",
        "obfuscation",
        "remaining",
        "reset_seconds",
        "seconds",
        "start",
        "text",
        "token",
        "transcript",
        "wav",
    }
)
_MASKED = re.compile(r"[\w-]*\*{2,}\w*")
_TOKENS = "_tokens"
#: Runs of these are one event, since their number varies.
_REPEATED = (".delta", ".segment")


class Drift(NamedTuple):
    """One difference.

    Attributes:
        where: The session and the event, or the kind of event.
        text: The difference.
    """

    where: str
    text: str

    def __str__(self) -> str:
        return f"{self.where}: {self.text}"


def compare_cassettes(old: Cassette, new: Cassette, ignored: Sequence[str] = ()) -> list[Drift]:
    """Return the differences between two recordings, session by session; each difference once.

    Args:
        old: The first.
        new: The second.
        ignored: Fields that are not compared, such as ``session.audio.output``.
    """
    found: dict[Drift, None] = {}
    for mine, theirs in zip(old.sessions, new.sessions, strict=False):
        found.update(dict.fromkeys(compare_sessions(mine, theirs, ignored)))
    if len(old.sessions) != len(new.sessions):
        found[Drift("sessions", f"{len(old.sessions)} before, {len(new.sessions)} now")] = None
    for one, other in zip(old.exchanges, new.exchanges, strict=False):
        found.update(dict.fromkeys(_values("client_secrets", "status", one.status, other.status, ignored)))
        found.update(dict.fromkeys(_values("client_secrets", "", one.response, other.response, ignored)))
    return list(found)


def compare_sessions(old: RecordedSession, new: RecordedSession, ignored: Sequence[str] = ()) -> Iterator[Drift]:
    """Yield the differences between two sessions.

    Args:
        old: The first.
        new: The second.
        ignored: Fields that are not compared.
    """
    name = f"session {old.number}"
    if old.http_status != new.http_status:
        yield Drift(f"{name}, handshake", f"HTTP {old.http_status} before, HTTP {new.http_status} now")
    elif old.http_status != 101:
        yield from _values(f"{name}, handshake", "", old.http_message, new.http_message, ignored)
    mine, theirs = _collapsed(old), _collapsed(new)
    kinds, others = [frame.type for frame in mine], [frame.type for frame in theirs]
    for change, start, end, from_, to in SequenceMatcher(None, kinds, others, autojunk=False).get_opcodes():
        if change == "equal":
            for one, other in zip(mine[start:end], theirs[from_:to], strict=True):
                yield from _values(one.type, "", one.event, other.event, ignored)
        else:
            after = kinds[start - 1] if start else "the handshake"
            yield Drift(
                f"{name}, order after {after}",
                f"{_listed(kinds[start:end])} before, {_listed(others[from_:to])} now",
            )
    yield from _ends(name, old, new)


def _collapsed(session: RecordedSession) -> list[Frame]:
    """Return the server's events, runs of deltas as one."""
    kept: list[Frame] = []
    for frame in session.frames:
        if frame.sender == "server" and not (kept and frame.type.endswith(_REPEATED) and kept[-1].type == frame.type):
            kept.append(frame)
    return kept


def _listed(types: Sequence[str]) -> str:
    return ", ".join(types) or "nothing"


def _ends(name: str, old: RecordedSession, new: RecordedSession) -> Iterator[Drift]:
    if old.close is None or new.close is None or "server" not in (old.close.by, new.close.by):
        return
    one, other = (f"{close.code} {close.reason!r} by the {close.by}" for close in (old.close, new.close))
    if one != other:
        yield Drift(f"{name}, end", f"closed {one} before, {other} now")


def _values(where: str, path: str, old: Any, new: Any, ignored: Sequence[str]) -> Iterator[Drift]:
    if path and is_free(path, ignored):
        return
    if isinstance(old, dict) and isinstance(new, dict):
        for name in [*old, *(name for name in new if name not in old)]:
            inner = f"{path}.{name}" if path else str(name)
            yield from _values(where, inner, old.get(name, ABSENT), new.get(name, ABSENT), ignored)
        return
    if isinstance(old, list) and isinstance(new, list):
        if old and new:  # elements have one shape; their number is a matter of the content
            yield from _values(where, f"{path}.*", old[0], new[0], ignored)
        return
    if old is ABSENT:
        yield Drift(where, f"{path} was added: {shown(new)}")
    elif new is ABSENT:
        yield Drift(where, f"{path} was removed; it was {shown(old)}")
    elif _kind(old) != _kind(new):
        yield Drift(where, f"{path} is {_kind(new)} ({shown(new)}), before {_kind(old)} ({shown(old)})")
    elif _plain(old) != _plain(new) and not _varies(path):
        yield Drift(where, f"{path} is {shown(new)}, before {shown(old)}")


def _plain(value: Any) -> Any:
    """Return a value without what the endpoint shows of a key, which is another in every recording."""
    return _MASKED.sub("***", value) if isinstance(value, str) else value


def _varies(path: str) -> bool:
    name = path.removesuffix(".*").rpartition(".")[2]
    return is_id_field(name) or name in _VARIES or name.endswith(_TOKENS) or path.endswith("bytes.*")


def _kind(value: Any) -> str:
    if value is None or isinstance(value, bool):
        return "null" if value is None else "a boolean"
    if isinstance(value, int | float):
        return "a number"
    return "a text" if isinstance(value, str) else "an object" if isinstance(value, dict) else "a list"
