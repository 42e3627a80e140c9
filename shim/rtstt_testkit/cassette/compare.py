"""The differences between two events, for replay and for drift."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

from rtstt_testkit.cassette.ids import is_id_field

__all__ = ["ABSENT", "Difference", "differences", "is_free", "shown"]


class _Absent:
    def __repr__(self) -> str:
        return "nothing"


ABSENT = _Absent()
"""In place of a value that is not there."""

_LONGEST = 80
_AUDIO = frozenset({"audio", "audio_bytes", "audio_ms"})  # in a trace, its length is beside it


class Difference(NamedTuple):
    """One difference between two events.

    Attributes:
        path: The field, such as ``session.audio.input.format.rate``; list elements are numbers.
        recorded: Its value in the first event.
        received: Its value in the second event.
        words: How they differ, if the values themselves do not tell it.
    """

    path: str
    recorded: Any
    received: Any
    words: str = ""

    def __str__(self) -> str:
        if self.words:
            return f"{self.path}: {self.words}"
        return f"{self.path}: recorded {shown(self.recorded)}, received {shown(self.received)}"


def is_free(path: str, ignored: Iterable[str]) -> bool:
    """Return whether a field is not compared.

    Args:
        path: The field.
        ignored: Fields that are not compared, with everything in them; a ``*`` stands for one name.
    """
    parts = path.split(".")
    for pattern in ignored:
        wanted = pattern.split(".")
        if len(wanted) <= len(parts) and all(one in ("*", part) for one, part in zip(wanted, parts, strict=False)):
            return True
    return False


def differences(
    recorded: Any,
    received: Any,
    ignored: Iterable[str] = (),
    path: str = "",
    *,
    same_id: Callable[[str, str], bool] = lambda one, other: True,
    sound: Callable[[dict[str, Any], dict[str, Any]], str | None] | None = None,
) -> Iterator[Difference]:
    """Yield the differences between two events, field by field.

    Args:
        recorded: The first event.
        received: The second event.
        ignored: Fields that are not compared.
        path: The field that holds them.
        same_id: Returns whether a placeholder stands for an identifier.
        sound: Returns how the ``audio`` of two content parts differs, in words; raises ValueError if one has none.
    """
    if path and is_free(path, ignored):
        return
    if isinstance(recorded, dict) and isinstance(received, dict):
        if sound is not None and "audio" in received:
            inner = f"{path}.audio" if path else "audio"
            try:
                words = sound(recorded, received)
            except ValueError:
                pass  # another field of this name
            else:
                if words is not None and not is_free(inner, ignored):
                    yield Difference(inner, recorded.get("audio", ABSENT), received["audio"], words)
                recorded, received = _without_audio(recorded), _without_audio(received)
        for name in [*recorded, *(name for name in received if name not in recorded)]:
            inner = f"{path}.{name}" if path else str(name)
            mine, theirs = recorded.get(name, ABSENT), received.get(name, ABSENT)
            if is_id_field(str(name)) and isinstance(mine, str) and isinstance(theirs, str) and same_id(mine, theirs):
                continue
            yield from differences(mine, theirs, ignored, inner, same_id=same_id, sound=sound)
    elif isinstance(recorded, list) and isinstance(received, list) and len(recorded) == len(received):
        for index, (mine, theirs) in enumerate(zip(recorded, received, strict=True)):
            yield from differences(mine, theirs, ignored, f"{path}.{index}", same_id=same_id, sound=sound)
    elif not _equal(recorded, received):
        yield Difference(path, recorded, received)


def _without_audio(part: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in part.items() if name not in _AUDIO}


def _equal(one: Any, other: Any) -> bool:
    return bool(one == other) and isinstance(one, bool) is isinstance(other, bool)


def shown(value: Any) -> str:
    """Return a value for a person, shortened."""
    text = repr(value)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"
