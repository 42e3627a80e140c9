"""Scripts in a TOML, YAML or JSON file, with errors that name the file, the line and the key.

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

The tables have the fields of `Transcript`, `Failure`, `Segment` and `Fault`, under the same names;
``rtstt-shim mock --script-schema`` prints them as a JSON schema.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from rtstt_testkit.mock.script.fields import SCRIPT, Field, Kind, Tables
from rtstt_testkit.mock.script.script import Script
from rtstt_testkit.mock.script.source import FORMATS, Malformed, Source, Where

__all__ = ["ScriptError", "load_script", "parse_script"]

_ARGUMENTS = {"transcript": "transcripts", "fault": "faults"}


class ScriptError(ValueError):
    """A script file that cannot be used; the message is one sentence that names the place and the mend."""


def load_script(path: str | Path) -> Script:
    """Read a script from a file: YAML if its name ends in ``.yaml`` or ``.yml``, JSON in ``.json``, else TOML.

    Args:
        path: Of the file.

    Returns:
        The script.

    Raises:
        ScriptError: The file cannot be read, is not in its format, or holds what a script does not have.
    """
    try:
        source = Path(path).read_text("utf-8")
    except OSError as error:
        raise ScriptError(f"cannot read the script {path}: {error.strerror or error}") from None
    except UnicodeDecodeError:
        raise ScriptError(f"the script {path} is not UTF-8 text; save it as UTF-8") from None
    return parse_script(source, str(path), Path(path).suffix.lstrip("."))


def parse_script(source: str, path: str, format_: str = "toml") -> Script:
    """Read a script from text.

    Args:
        source: The text.
        path: What it is called in errors.
        format_: ``toml``, ``yaml`` or ``json``; any other is TOML.

    Raises:
        ScriptError: The text is not in that format, or holds what a script does not have.
    """
    try:
        read = FORMATS.get(format_.lower(), FORMATS["toml"])(source)
    except Malformed as error:
        raise ScriptError(f"the script {path} {error}") from None
    fields = _Reader(path, read).table(read.content, SCRIPT, ())
    return Script(**{_ARGUMENTS.get(name, name): value for name, value in fields.items()})


class _Reader:
    """Turns tables into objects, or says what is wrong with which key."""

    def __init__(self, path: str, source: Source) -> None:
        self._path = path
        self._source = source

    def table(self, content: Any, fields: dict[str, Field], where: Where) -> dict[str, Any]:
        if not isinstance(content, dict):
            raise self._error(where, f"is {content!r}; it must be a table")
        made = {}
        for name, value in content.items():
            if name not in fields:
                raise self._error((*where, name), f"is not known here; choose from {', '.join(fields)}")
            made[name] = self._value(value, fields[name], (*where, name))
        return made

    def _value(self, value: Any, kind: Field, where: Where) -> Any:
        if isinstance(kind, Kind):
            if not kind.fits(value):
                raise self._error(where, f"is {value!r}; it must be {kind.name}")
            return kind.make(value)
        if isinstance(kind, Tables):
            if not isinstance(value, list):
                raise self._error(where, f"is {value!r}; it must be a list of tables")
            return tuple(self._value(element, kind.of, (*where, index)) for index, element in enumerate(value))
        return self._make(kind.make, self.table(value, kind.fields, where), where)

    def _make(self, make: Callable[..., Any], fields: dict[str, Any], where: Where) -> Any:
        try:
            return make(**fields)
        except (TypeError, ValueError) as error:
            raise self._error(where, f"does not fit: {error}") from None

    def _error(self, where: Where, problem: str) -> ScriptError:
        key = "".join(f"[{part + 1}]" if isinstance(part, int) else f".{part}" for part in where).lstrip(".")
        return ScriptError(f"{self._path}, line {self._source.line(where)}: `{key or 'the whole'}` {problem}")
