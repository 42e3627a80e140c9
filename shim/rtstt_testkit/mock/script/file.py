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

from rtstt_testkit.mock.script.fields import SCRIPT, Field, Table, Tables, ValueKind
from rtstt_testkit.mock.script.script import Script
from rtstt_testkit.mock.script.text import FORMATS, KeyPath, ParsedText, ParseError

__all__ = ["ScriptError", "load_script", "parse_script"]

_ARGUMENTS = {"transcript": "transcripts", "fault": "faults"}


class ScriptError(ValueError):
    """A script file that cannot be used; the message is one sentence that names the place and the fix."""


def load_script(path: str | Path) -> Script:
    """Read a script from a file: YAML if its name ends in ``.yaml`` or ``.yml``, JSON in ``.json``, else TOML.

    Args:
        path: The path of the file.

    Returns:
        The script.

    Raises:
        ScriptError: The file cannot be read, is not in its format, or has unknown or wrong fields.
    """
    try:
        text = Path(path).read_text("utf-8")
    except OSError as error:
        raise ScriptError(f"cannot read the script {path}: {error.strerror or error}") from None
    except UnicodeDecodeError:
        raise ScriptError(f"the script {path} is not UTF-8 text; save it as UTF-8") from None
    return parse_script(text, str(path), Path(path).suffix.lstrip("."))


def parse_script(text: str, path: str, format_: str = "toml") -> Script:
    """Parse a script.

    Args:
        text: The text of the script.
        path: Its name in errors.
        format_: ``toml``, ``yaml`` or ``json``; any other is TOML.

    Returns:
        The script.

    Raises:
        ScriptError: The text is not in that format, or has unknown or wrong fields.
    """
    try:
        parsed = FORMATS.get(format_.lower(), FORMATS["toml"])(text)
    except ParseError as error:
        raise ScriptError(f"the script {path} {error}") from None
    fields = _Converter(path, parsed).table(parsed.content, SCRIPT, ())
    return Script(**{_ARGUMENTS.get(name, name): value for name, value in fields.items()})


class _Converter:
    """Converts tables to objects, or raises an error that names the key."""

    def __init__(self, path: str, parsed: ParsedText) -> None:
        self._path = path
        self._parsed = parsed

    def table(self, content: Any, fields: dict[str, Field], at: KeyPath) -> dict[str, Any]:
        if not isinstance(content, dict):
            raise self._error(at, f"is {content!r}; it must be a table")
        values = {}
        for name, value in content.items():
            if name not in fields:
                raise self._error((*at, name), f"is not known here; choose from {', '.join(fields)}")
            values[name] = self._value(value, fields[name].kind, (*at, name))
        return values

    def _value(self, value: Any, kind: ValueKind | Table | Tables, at: KeyPath) -> Any:
        if isinstance(kind, ValueKind):
            if not kind.fits(value):
                raise self._error(at, f"is {value!r}; it must be {kind.name}")
            return kind.convert(value)
        if isinstance(kind, Tables):
            if not isinstance(value, list):
                raise self._error(at, f"is {value!r}; it must be a list of tables")
            return tuple(self._value(element, kind.of, (*at, index)) for index, element in enumerate(value))
        return self._make(kind.make, self.table(value, kind.fields, at), at)

    def _make(self, make: Callable[..., Any], fields: dict[str, Any], at: KeyPath) -> Any:
        try:
            return make(**fields)
        except (TypeError, ValueError) as error:
            raise self._error(at, f"does not fit: {error}") from None

    def _error(self, at: KeyPath, problem: str) -> ScriptError:
        key = "".join(f"[{part + 1}]" if isinstance(part, int) else f".{part}" for part in at).lstrip(".")
        return ScriptError(f"{self._path}, line {self._parsed.line(at)}: `{key or 'the file'}` {problem}")
