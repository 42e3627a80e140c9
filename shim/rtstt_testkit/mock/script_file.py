"""Scripts in a TOML file, with errors that name the file, the line and the key.

    default = "Nothing more to say."

    [[transcript]]
    text = "Hello from the Gateway Probe."

    [[transcript]]
    model = "whisper-1"
    failure = { message = "Too many requests.", code = "rate_limit_exceeded" }

    [[fault]]
    action = "close"
    after = "session.updated"
    code = 1011

The tables have the fields of `Transcript`, `Failure`, `Segment` and `Fault`, under the same names.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from rtstt_testkit.mock.faults import Fault
from rtstt_testkit.mock.script import Failure, Script, Segment, Transcript
from rtstt_testkit.speech import recordings

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib  # type: ignore[import-not-found,unused-ignore]

__all__ = ["ScriptError", "load_script", "parse_script"]


class ScriptError(ValueError):
    """A script file that cannot be used; the message is one sentence that names the place and the mend."""


class Kind(NamedTuple):
    """A kind of value: what it is called, how it is known, and what becomes of it."""

    name: str
    fits: Callable[[Any], bool]
    make: Callable[[Any], Any] = lambda value: value


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _list_of_text(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(element, str) for element in value)


def _nth(value: int) -> int | None:
    return value or None


_TEXT = Kind("a string", lambda value: isinstance(value, str))
_TEXTS = Kind("a list of strings", _list_of_text, tuple)
_NUMBER = Kind("a number", _is_number)
_SECONDS = Kind("a number of seconds, 0 or more", lambda value: _is_number(value) and value >= 0)
_ORDINAL = Kind("a whole number from 1", lambda value: type(value) is int and value >= 1)

_FAILURE = {"message": _TEXT, "code": _TEXT, "type": _TEXT, "param": _TEXT}
_SEGMENT = {"text": _TEXT, "speaker": _TEXT, "start": _SECONDS, "end": _SECONDS}
_TRANSCRIPT: dict[str, Any] = {
    "text": _TEXT,
    "deltas": _TEXTS,
    "delay": _SECONDS,
    "pace": _SECONDS,
    "failure": (Failure, _FAILURE),
    "languages": _TEXTS,
    "segments": [(Segment, _SEGMENT)],
    "logprob": _NUMBER,
    "model": _TEXT,
    "language": _TEXT,
    "connection": _ORDINAL,
    "recording": Kind(f"one of {', '.join(recordings())}", lambda value: value in list(recordings())),
}
_FAULT = {
    "action": _TEXT,
    "before": _TEXT,
    "after": _TEXT,
    "on": _TEXT,
    "nth": Kind("a whole number from 1, or 0 for every one", lambda value: type(value) is int and value >= 0, _nth),
    "connection": _ORDINAL,
    "first": _ORDINAL,
    "probability": _NUMBER,
    "code": Kind("a number or a string", lambda value: isinstance(value, int | str)),
    "reason": _TEXT,
    "message": _TEXT,
    "seconds": _SECONDS,
}
#: The file's own keys: a kind of value, a (class, fields) table, or a list of such tables.
_SCRIPT: dict[str, Any] = {
    "default": _TEXT,
    "transcript": [(Transcript, _TRANSCRIPT)],
    "fault": [(Fault, _FAULT)],
}
_ARGUMENTS = {"transcript": "transcripts", "fault": "faults"}


def load_script(path: str | Path) -> Script:
    """Read a script from a TOML file.

    Args:
        path: Of the file.

    Returns:
        The script.

    Raises:
        ScriptError: The file cannot be read, is not TOML, or holds what a script does not have.
    """
    try:
        source = Path(path).read_text("utf-8")
    except OSError as error:
        raise ScriptError(f"cannot read the script {path}: {error.strerror or error}") from None
    except UnicodeDecodeError:
        raise ScriptError(f"the script {path} is not UTF-8 text; save it as UTF-8") from None
    return parse_script(source, str(path))


def parse_script(source: str, path: str) -> Script:
    """Read a script from TOML text.

    Args:
        source: The text.
        path: What it is called in errors.

    Raises:
        ScriptError: The text is not TOML, or holds what a script does not have.
    """
    try:
        content = tomllib.loads(source)
    except tomllib.TOMLDecodeError as error:
        raise ScriptError(f"the script {path} is not TOML: {error}") from None
    reader = _Reader(path, source)
    fields = reader.table(content, _SCRIPT, ())
    return Script(**{_ARGUMENTS.get(name, name): value for name, value in fields.items()})


class _Reader:
    """Turns tables into objects; knows where in the source a key is."""

    def __init__(self, path: str, source: str) -> None:
        self._path = path
        self._lines = source.splitlines()

    def table(self, content: Any, fields: dict[str, Any], where: tuple[str | int, ...]) -> dict[str, Any]:
        if not isinstance(content, dict):
            raise self._error(where, f"is {content!r}; it must be a table")
        made = {}
        for name, value in content.items():
            if name not in fields:
                raise self._error((*where, name), f"is not known here; choose from {', '.join(fields)}")
            made[name] = self._value(value, fields[name], (*where, name))
        return made

    def _value(self, value: Any, kind: Any, where: tuple[str | int, ...]) -> Any:
        if isinstance(kind, Kind):
            if not kind.fits(value):
                raise self._error(where, f"is {value!r}; it must be {kind.name}")
            return kind.make(value)
        if isinstance(kind, list):
            if not isinstance(value, list):
                raise self._error(where, f"is {value!r}; it must be a list of tables")
            return tuple(self._value(element, kind[0], (*where, index)) for index, element in enumerate(value))
        make, fields = kind
        return self._make(make, self.table(value, fields, where), where)

    def _make(self, make: Callable[..., Any], fields: dict[str, Any], where: tuple[str | int, ...]) -> Any:
        try:
            return make(**fields)
        except (TypeError, ValueError) as error:
            raise self._error(where, f"does not fit: {error}") from None

    def _error(self, where: tuple[str | int, ...], problem: str) -> ScriptError:
        key = "".join(f"[{part + 1}]" if isinstance(part, int) else f".{part}" for part in where).lstrip(".")
        return ScriptError(f"{self._path}, line {self._line(where)}: `{key}` {problem}")

    def _line(self, where: tuple[str | int, ...]) -> int:
        """The line of a key: its table's header, or the key below it, whichever is found last."""
        line = 0
        for index, part in enumerate(where):
            if isinstance(part, int):
                continue
            number = where[index + 1] if index + 1 < len(where) else None
            header = re.compile(rf"\s*\[\[?\s*{re.escape(part)}\s*\]")
            key = re.compile(rf"(?:.*[{{,\s.]|)[\"']?{re.escape(part)}[\"']?\s*=")
            headers = [at for at in range(line, len(self._lines)) if header.match(self._lines[at])]
            if headers:
                line = headers[number if isinstance(number, int) and number < len(headers) else 0]
            else:
                line = next((at for at in range(line, len(self._lines)) if key.match(self._lines[at])), line)
        return line + 1
