"""Rewrite what the source rules find, where the result is certain."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import NamedTuple

from rtstt_core.url_rule import fix_url
from rtstt_testkit.source.rules import Match, matches

__all__ = ["Replacement", "can_edit", "rewrite"]


class Replacement(NamedTuple):
    """A change of a text: the part from ``start`` to ``end`` becomes ``text``."""

    start: int
    end: int
    text: str


def can_edit(match: Match) -> bool:
    """Return whether `rewrite` changes a match."""
    return _replacement(match) is not None


def rewrite(text: str, language: str, wanted: Callable[[Match], bool]) -> str:
    """Return a source with every match rewritten that can be.

    Args:
        text: The source.
        language: Its language.
        wanted: Whether to rewrite a match.
    """
    found = [edit for match in matches(text, language) if wanted(match) and (edit := _replacement(match))]
    before = len(text) + 1
    for edit in sorted(found, reverse=True):
        if edit.end <= before:  # of two that overlap, one is made now and the other is found again
            text = text[: edit.start] + edit.text + text[edit.end :]
            before = edit.start
    return text


def _replacement(match: Match) -> Replacement | None:
    edit = match.rule.edit
    return _EDITS[edit](match) if edit else None


_URL = re.compile(r"wss?://[^\s\"'`<>\\]+")
# An interpolation with a character that means something else in a query.
_UNCLEAR = re.compile(r"\{[^}]*[&#?][^}]*\}")
_JOINED = ("binary_operator", "binary_expression", "concatenated_string")


def _url(match: Match) -> Replacement | None:
    """Apply the URL rule to the URL in a literal."""
    text, parent = match.node.text(), match.node.parent()
    found = _URL.search(text)
    # Only what is in one literal as a whole is certain: otherwise the rest of a value would be left over.
    if not found or set(text[found.end() :]) - set("\"'`") or _UNCLEAR.search(found[0]):
        return None
    if match.node.kind() in _JOINED or (parent is not None and parent.kind() in _JOINED):
        return None
    decision = fix_url(found[0])
    if not decision.changed:
        return None
    start = match.span[0] + found.start()
    return Replacement(start, start + len(found[0]), decision.url)


def _item(match: Match) -> Replacement | None:
    """Remove an item from its list, with the comma and the line that become empty."""
    text = match.node.get_root().root().text()
    start, end = match.span
    after = re.compile(r"[ \t]*,").match(text, end)
    if after:
        end = after.end()
        line = text.rfind("\n", 0, start) + 1
        rest = re.compile(r"[ \t]*\r?\n").match(text, end)
        if rest and not text[line:start].strip():
            return Replacement(line, rest.end(), "")
        space = re.compile(r"[ \t]*").match(text, end)
        return Replacement(start, space.end() if space else end, "")
    before = re.compile(r",\s*\Z").search(text, 0, start)
    return Replacement(before.start() if before else start, end, "")


def _statement(match: Match) -> Replacement | None:
    """Remove the line of a statement that is alone on it."""
    text = match.node.get_root().root().text()
    start, end = match.span
    line = text.rfind("\n", 0, start) + 1
    rest = re.compile(r"[ \t]*;?[ \t]*\r?\n").match(text, end)
    if not rest or text[line:start].strip() or not _is_one_of_several(match):
        return None
    return Replacement(line, rest.end(), "")


def _is_one_of_several(match: Match) -> bool:
    """Return whether a statement is in a block that does not become empty without it."""
    statement, parent = match.node, match.node.parent()
    while parent is not None and parent.kind() not in _BLOCKS:
        if parent.range().start != statement.range().start:
            return False  # the body of a condition, without braces
        statement, parent = parent, parent.parent()
    return statement.next() is not None or statement.prev() is not None


_BLOCKS = ("block", "statement_block", "module", "program")

_EDITS: dict[str, Callable[[Match], Replacement | None]] = {"url": _url, "item": _item, "statement": _statement}
