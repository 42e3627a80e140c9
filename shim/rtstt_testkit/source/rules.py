"""Read the source rules: ast-grep rule files, as the ``ast-grep`` command reads them.

The files are ``patches/source/*.yml``. `message` is the cause and `note` what to write instead. Six keys of ours are
in ``metadata``:

``languages``
    The languages of the rule, where it is the same for several.
``mentions``
    What a file must contain, in any case, for the rule to be tried.
``anywhere``
    A match is certain in any place. Without it, only in a file that names ``openai.com``, and outside a condition.
``corrected``
    The shim corrects this while it is active.
``edit``
    How ``doctor --fix`` rewrites a match: ``url`` applies the URL rule, ``item`` removes it from its list or its
    arguments, ``statement`` removes the statement. Without it the match is only reported.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal, cast

import yaml
from ast_grep_py import Config, SgNode, SgRoot

from rtstt_testkit.upstream.data import patches

__all__ = ["LANGUAGES", "Edit", "Match", "SourceRule", "load_rules", "matches", "rules_of"]

Edit = Literal["url", "item", "statement"]

LANGUAGES = {
    ".py": "python",
    ".js": "javascript",
    ".cjs": "javascript",
    ".mjs": "javascript",
    ".jsx": "javascript",
    ".ts": "typescript",
    ".cts": "typescript",
    ".mts": "typescript",
    ".tsx": "tsx",
    ".swift": "swift",
    ".go": "go",
    ".cs": "csharp",
    ".kt": "kotlin",
    ".kts": "kotlin",
    ".cpp": "cpp",
    ".cc": "cpp",
    ".cxx": "cpp",
    ".hpp": "cpp",
    ".h": "cpp",
}
"""The language of a file, by the end of its name."""


@dataclass(frozen=True)
class SourceRule:
    """One rule in one language."""

    id: str
    language: str
    certain: bool
    cause: str
    fix: str
    mentions: tuple[str, ...]
    anywhere: bool
    corrected: bool
    edit: Edit | None
    config: Mapping[str, Any]


@dataclass(frozen=True)
class Match:
    """One place that a rule describes."""

    rule: SourceRule
    node: SgNode

    def is_certain(self, native: bool) -> bool:
        """Return whether the endpoint refuses this.

        Args:
            native: Whether the file names ``openai.com``.
        """
        if self.rule.anywhere or not self.rule.certain:
            return self.rule.certain
        return native and not self._is_conditional()

    def _is_conditional(self) -> bool:
        """Return whether the place is reached only under a condition of its function."""
        for node in self.node.ancestors():
            if re.search("function|method|lambda|class|closure", node.kind()):
                return False
            if re.match("if_|elif_|else_|switch_|case_|when_|conditional_|ternary_", node.kind()):
                return "__name__" not in node.text().partition("\n")[0]
        return False

    @property
    def line(self) -> int:
        """The line, from 1."""
        return self.node.range().start.line + 1

    @property
    def span(self) -> tuple[int, int]:
        """The first index in the text, and the one after the last."""
        found = self.node.range()
        return found.start.index, found.end.index


def load_rules(folder: Path | None = None) -> list[SourceRule]:
    """Read the rules.

    Args:
        folder: Where the rule files are; ``patches/source`` when omitted.
    """
    files = sorted((folder or patches() / "source").glob("*.yml"))
    return [rule for file in files for rule in _read(file)]


def _read(file: Path) -> Iterator[SourceRule]:
    for document in yaml.safe_load_all(file.read_text(encoding="utf-8")):
        metadata = document["metadata"]
        for language in metadata.get("languages", [document["language"]]):
            yield SourceRule(
                id=document["id"],
                language=language.lower(),
                certain=document["severity"] == "error",
                cause=" ".join(document["message"].split()),
                fix=" ".join(document["note"].split()),
                mentions=tuple(metadata["mentions"]),
                anywhere=metadata.get("anywhere", False),
                corrected=metadata.get("corrected", False),
                edit=metadata.get("edit"),
                config={key: document[key] for key in ("rule", "constraints", "utils") if key in document},
            )


@cache
def rules_of(language: str) -> tuple[SourceRule, ...]:
    """Return the rules of a language."""
    return tuple(rule for rule in load_rules() if rule.language == language)


def matches(text: str, language: str) -> list[Match]:
    """Return what the rules find in a source text, in the order of the text.

    Args:
        text: The source.
        language: One of `LANGUAGES`.
    """
    lower = text.lower()
    rules = [rule for rule in rules_of(language) if all(words in lower for words in rule.mentions)]
    if not rules:
        return []
    root = SgRoot(text, language).root()
    found = [Match(rule, node) for rule in rules for node in root.find_all(cast(Config, dict(rule.config)))]
    return sorted((match for match in found if not _holds_another(match, found)), key=lambda match: match.span)


def _holds_another(match: Match, found: list[Match]) -> bool:
    """Return whether a smaller match of the same rule lies in a match: it names the place more closely."""
    start, end = match.span
    return any(
        other.rule.id == match.rule.id and other.span != match.span and start <= other.span[0] and other.span[1] <= end
        for other in found
    )
