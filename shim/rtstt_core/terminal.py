"""Texts that fit the terminal."""

from __future__ import annotations

import re
import shutil
import textwrap
from collections.abc import Iterator

__all__ = ["fit", "row", "terminal_width"]

# A wider text is hard to read.
_WIDEST = 120
# A second column narrower than this goes below the first one.
_NARROWEST = 24
# A line of a table: its indent, the first column, and a second one after at least two spaces.
_ROW = re.compile(r"( +)(\S+(?: \S+)*)(?: {2,}(\S.*))?")
# Quotes keep a word of a command together.
_WORD = re.compile(r"""(?:[^\s'"]|'[^']*'|"[^"]*"|['"])+""")


def terminal_width() -> int:
    """Return the terminal's width; 80 where it is not known."""
    return max(20, shutil.get_terminal_size((80, 24)).columns)


def row(first: str, second: str, column: int, *, indent: int = 0, width: int | None = None) -> list[str]:
    """Return a row of a table of two columns as lines that fit; the second column is filled, the first is a command.

    Args:
        first: The text of the first column; may be empty.
        second: The text of the second column; may be empty.
        column: Where the second column begins.
        indent: Where the first column begins.
        width: The width; the terminal's when omitted.
    """
    width = width or terminal_width()
    lines = _command(first, indent, width) if first else []
    if width - column < _NARROWEST:
        return lines + _fill(second, width, indent + 4)
    beside = _fill(second, width, column)
    if len(lines) == 1 and beside and len(lines[0]) < column - 1:
        return [lines[0].ljust(column) + beside[0].lstrip(), *beside[1:]]
    return lines + beside


def fit(text: str) -> str:
    """Return a docstring with its lines fitted to the terminal, up to 120 columns.

    Paragraphs and the items of lists are filled. Indented lines are the rows of a table, of one column or of two; a row
    without a first column continues the second one. A command that is too long is continued with a backslash.

    Args:
        text: The docstring.
    """
    width = min(_WIDEST, terminal_width())
    lines = [line.rstrip() for line in text.strip("\n").splitlines()]
    return "\n".join(line for block in _blocks(lines) for line in _fitted(block, width))


def _blocks(lines: list[str]) -> Iterator[list[str]]:
    """Yield the lines of each paragraph, list item, table and empty line."""
    block: list[str] = []
    for line in lines:
        if block and not _continues(line, block):
            yield block
            block = []
        block.append(line)
    if block:
        yield block


def _continues(line: str, block: list[str]) -> bool:
    first = block[0]
    if not line or not first or line.startswith("- "):
        return False
    return line.startswith(" ") == (first.startswith((" ", "- ")))


def _fitted(block: list[str], width: int) -> list[str]:
    if block[0].startswith(" "):
        return _table(block, width)
    hang = 2 if block[0].startswith("- ") else 0
    return _fill(" ".join(line.strip() for line in block), width, hang=hang) or [""]


def _table(block: list[str], width: int) -> list[str]:
    rows: list[list[str]] = []
    indent = len(block[0]) - len(block[0].lstrip())
    for line in block:
        found = _ROW.fullmatch(line)
        assert found is not None
        if rows and len(found[1]) > indent:
            rows[-1][1] = f"{rows[-1][1]} {line.strip()}".strip()
        else:
            rows.append([found[2], found[3] or ""])
    column = indent + 2 + max((len(first) for first, second in rows if second), default=0)
    return [line for first, second in rows for line in row(first, second, column, indent=indent, width=width)]


def _fill(text: str, width: int, indent: int = 0, *, hang: int = 0) -> list[str]:
    return textwrap.wrap(
        text,
        width,
        initial_indent=" " * indent,
        subsequent_indent=" " * (indent + hang),
        break_on_hyphens=False,
        break_long_words=False,
    )


def _command(text: str, indent: int, width: int) -> list[str]:
    """Return a command as lines that a shell reads as one."""
    lines = [" " * indent + text]
    if len(lines[0]) <= width:
        return lines
    lines = []
    line = " " * indent
    for word in _WORD.findall(text):
        if line.strip() and len(line) + len(word) + 3 > width:
            lines.append(f"{line} \\")
            line = " " * (indent + 4)
        line += f" {word}" if line.strip() else word
    return [*lines, line]
