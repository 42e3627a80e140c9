"""Script files in TOML, YAML or JSON, parsed to plain data with the line of every key."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable
from typing import Any, NamedTuple

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib  # type: ignore[import-not-found,unused-ignore]

__all__ = ["FORMATS", "KeyPath", "ParseError", "ParsedText"]

#: Keys, and indexes into lists counted from 0.
KeyPath = tuple[str | int, ...]


class ParseError(ValueError):
    """The text is not in its format; the message is the rest of a sentence that begins with the file's name."""


class ParsedText(NamedTuple):
    """The content of a text.

    Attributes:
        content: Dictionaries, lists and scalars.
        line: Returns the line of a key, counted from 1.
    """

    content: Any
    line: Callable[[KeyPath], int]


def toml(text: str) -> ParsedText:
    """Parse TOML.

    Raises:
        ParseError: The text is not TOML.
    """
    try:
        content = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ParseError(f"is not TOML: {error}") from None
    lines = text.splitlines()
    return ParsedText(
        content, lambda path: _line_of(lines, path, r"\s*\[\[?\s*{}\s*\]", r"(?:.*[{{,\s.]|)[\"']?{}[\"']?\s*=")
    )


def json_text(text: str) -> ParsedText:
    """Parse JSON.

    Raises:
        ParseError: The text is not JSON.
    """
    try:
        content = json.loads(text)
    except RecursionError:
        raise ParseError("is nested too deeply") from None
    except ValueError as error:
        raise ParseError(f"is not JSON: {error}") from None
    lines = text.splitlines()
    return ParsedText(content, lambda path: _line_of(lines, path, None, r'.*"{}"\s*:'))


def yaml(text: str) -> ParsedText:
    """Parse YAML as `yaml.safe_load` does, except that keys keep their spelling.

    YAML 1.1 reads the key ``on`` as true.

    Raises:
        ParseError: The text is not YAML, or PyYAML is not installed.
    """
    try:
        import yaml as library
    except ImportError:
        raise ParseError("is YAML, which needs PyYAML; install it with: pip install 'rtstt-shim[testkit]'") from None
    loader = library.SafeLoader(text)
    lines: dict[KeyPath, int] = {}

    def read(node: Any, path: KeyPath, parents: tuple[Any, ...]) -> Any:
        lines.setdefault(path, node.start_mark.line + 1)
        if node in parents:
            raise ParseError(f"is not a script: line {node.start_mark.line + 1} contains itself")
        parents = (*parents, node)
        if isinstance(node, library.MappingNode):
            mapping: dict[str, Any] = {}
            for key, value in node.value:
                name = str(key.value)
                line = key.start_mark.line + 1
                if name in mapping:
                    raise ParseError(f"is not a script: line {line} repeats the key `{name}`")
                lines[(*path, name)] = line
                mapping[name] = read(value, (*path, name), parents)
            return mapping
        if isinstance(node, library.SequenceNode):
            return [read(element, (*path, index), parents) for index, element in enumerate(node.value)]
        return loader.construct_object(node)

    try:
        node = loader.get_single_node()
        content = {} if node is None else read(node, (), ())
    except RecursionError:
        raise ParseError("is nested too deeply") from None
    except (library.YAMLError, ValueError) as error:
        if isinstance(error, ParseError):
            raise
        raise ParseError(f"is not YAML: {' '.join(str(error).split())}") from None
    finally:
        loader.dispose()
    return ParsedText(content, lambda path: _recorded_line(lines, path))


def _recorded_line(lines: dict[KeyPath, int], path: KeyPath) -> int:
    while path and path not in lines:
        path = path[:-1]
    return lines.get(path, 1)


def _line_of(lines: list[str], path: KeyPath, header: str | None, key: str) -> int:
    """Return the line of a key: its table's header, or the key below it, whichever comes last."""
    line = 0
    for index, part in enumerate(path):
        if isinstance(part, int):
            continue
        number = path[index + 1] if index + 1 < len(path) else None
        headers = []
        if header is not None:
            pattern = re.compile(header.format(re.escape(part)))
            headers = [at for at in range(line, len(lines)) if pattern.match(lines[at])]
        if headers:
            line = headers[number if isinstance(number, int) and number < len(headers) else 0]
        else:
            pattern = re.compile(key.format(re.escape(part)))
            line = next((at for at in range(line, len(lines)) if pattern.match(lines[at])), line)
    return line + 1


#: The parsers by file suffix, and by the last part of a Content-Type.
FORMATS: dict[str, Callable[[str], ParsedText]] = {"toml": toml, "yaml": yaml, "yml": yaml, "json": json_text}
