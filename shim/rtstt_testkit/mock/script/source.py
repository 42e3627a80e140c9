"""Script files in TOML, YAML or JSON: each read to plain data, with the line of every key."""

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

__all__ = ["FORMATS", "Malformed", "Source", "Where"]

#: Keys, and places in lists counted from 0.
Where = tuple[str | int, ...]


class Malformed(ValueError):
    """The text is not what it should be; the message says where."""


class Source(NamedTuple):
    """What a text says.

    Attributes:
        content: Dictionaries, lists and scalars.
        line: The line of a key, counted from 1.
    """

    content: Any
    line: Callable[[Where], int]


def toml(text: str) -> Source:
    """Read TOML."""
    try:
        content = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise Malformed(f"is not TOML: {error}") from None
    lines = text.splitlines()
    return Source(
        content, lambda where: _line_of(lines, where, r"\s*\[\[?\s*{}\s*\]", r"(?:.*[{{,\s.]|)[\"']?{}[\"']?\s*=")
    )


def json_text(text: str) -> Source:
    """Read JSON."""
    try:
        content = json.loads(text)
    except RecursionError:
        raise Malformed("is nested too deeply") from None
    except ValueError as error:
        raise Malformed(f"is not JSON: {error}") from None
    lines = text.splitlines()
    return Source(content, lambda where: _line_of(lines, where, None, r'.*"{}"\s*:'))


def yaml(text: str) -> Source:
    """Read YAML, as `yaml.safe_load` does, except that keys are the words that they are written as.

    YAML 1.1 reads the key ``on`` as true.
    """
    try:
        import yaml as library
    except ImportError:
        raise Malformed("is YAML, which needs PyYAML; install it with: pip install 'rtstt-shim[testkit]'") from None
    loader = library.SafeLoader(text)
    lines: dict[Where, int] = {}

    def read(node: Any, where: Where, inside: tuple[Any, ...]) -> Any:
        lines.setdefault(where, node.start_mark.line + 1)
        if node in inside:
            raise Malformed(f"is not a script: line {node.start_mark.line + 1} holds itself")
        inside = (*inside, node)
        if isinstance(node, library.MappingNode):
            made: dict[str, Any] = {}
            for key, value in node.value:
                name = str(key.value)
                line = key.start_mark.line + 1
                if name in made:
                    raise Malformed(f"is not a script: line {line} gives `{name}` twice")
                lines[(*where, name)] = line
                made[name] = read(value, (*where, name), inside)
            return made
        if isinstance(node, library.SequenceNode):
            return [read(element, (*where, index), inside) for index, element in enumerate(node.value)]
        return loader.construct_object(node)

    try:
        node = loader.get_single_node()
        content = {} if node is None else read(node, (), ())
    except RecursionError:
        raise Malformed("is nested too deeply") from None
    except (library.YAMLError, ValueError) as error:
        if isinstance(error, Malformed):
            raise
        raise Malformed(f"is not YAML: {' '.join(str(error).split())}") from None
    finally:
        loader.dispose()
    return Source(content, lambda where: _known(lines, where))


def _known(lines: dict[Where, int], where: Where) -> int:
    while where and where not in lines:
        where = where[:-1]
    return lines.get(where, 1)


def _line_of(lines: list[str], where: Where, header: str | None, key: str) -> int:
    """The line of a key: its table's header, or the key below it, whichever is found last."""
    line = 0
    for index, part in enumerate(where):
        if isinstance(part, int):
            continue
        number = where[index + 1] if index + 1 < len(where) else None
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


#: By what a file's name ends with, or a request's Content-Type does.
FORMATS: dict[str, Callable[[str], Source]] = {"toml": toml, "yaml": yaml, "yml": yaml, "json": json_text}
