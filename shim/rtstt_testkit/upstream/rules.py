"""Semantic patches: ast-grep rule files, applied to a source text.

A rule file is what the ``ast-grep`` command reads (several YAML documents), with three keys in ``metadata``:

``file``
    The file that the rule applies to: ``source`` or ``tests``.
``step``
    Rules of one step are alternatives, one for each shape that the upstream has had: the first that matches is applied.
    A step whose rules are all ``optional`` may match nothing.
``place``
    ``replace`` (the default) replaces the match with ``fix``; ``before`` and ``after`` insert ``fix`` there.

A rule without ``fix`` recognises a source that needs no patch; its ``message`` is the reason.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import yaml
from ast_grep_py import Config, SgNode, SgRoot

from rtstt_testkit.upstream.errors import NotAffected, UnknownShape

__all__ = ["Applied", "PatchRule", "apply_rules", "load_rules"]

_VARIABLE = re.compile(r"\$\$\$([A-Z_]+)|\$([A-Z_]+)")


@dataclass(frozen=True)
class PatchRule:
    """One document of a rule file."""

    id: str
    language: str
    message: str
    file: str
    step: str
    place: str
    optional: bool
    replacement: str | None
    config: Mapping[str, Any]

    def matches(self, source: str) -> list[SgNode]:
        """Return every match in a source."""
        return SgRoot(source, self.language).root().find_all(cast(Config, dict(self.config)))


@dataclass(frozen=True)
class Applied:
    """The result of applying rules."""

    texts: Mapping[str, str]
    rules: Sequence[str]


def load_rules(path: Path) -> list[PatchRule]:
    """Read a rule file.

    Args:
        path: A YAML file with one ast-grep rule in each document.

    Returns:
        The rules, in the order of the file.
    """
    rules = []
    for document in yaml.safe_load_all(path.read_text(encoding="utf-8")):
        metadata = document.get("metadata", {})
        rules.append(
            PatchRule(
                id=document["id"],
                language=document["language"].lower(),
                message=" ".join(document["message"].split()),
                file=metadata["file"],
                step=metadata.get("step", document["id"]),
                place=metadata.get("place", "replace"),
                optional=metadata.get("optional", False),
                replacement=document.get("fix"),
                config={key: document[key] for key in ("rule", "constraints", "utils") if key in document},
            )
        )
    return rules


def apply_rules(rules: Iterable[PatchRule], sources: Mapping[str, str], where: Mapping[str, str]) -> Applied:
    """Apply rules to files.

    Args:
        rules: The rules of one semantic patch.
        sources: The text of each file, by the name that the rules use.
        where: The path of each file, for error messages.

    Returns:
        The new text of each file, and the ids of the applied rules.

    Raises:
        NotAffected: A rule without ``fix`` matches.
        UnknownShape: A step has no match, or more than one.
    """
    rules = [rule for rule in rules if rule.file in sources]
    for rule in rules:
        if rule.replacement is None and rule.matches(sources[rule.file]):
            raise NotAffected(rule.message)
    patched = dict(sources)
    applied = []
    steps: dict[tuple[str, str], list[PatchRule]] = {}
    for rule in rules:
        if rule.replacement is not None:
            steps.setdefault((rule.file, rule.step), []).append(rule)
    for (file, _), alternatives in steps.items():
        for rule in alternatives:
            found = rule.matches(patched[file])
            if len(found) > 1:
                raise UnknownShape(
                    f"{where[file]} has an unknown shape: expected {rule.message} once, found it {len(found)} times"
                )
            if found:
                patched[file] = _edit(patched[file], found[0], rule)
                applied.append(rule.id)
                break
        else:
            if not all(rule.optional for rule in alternatives):
                wanted = ", or ".join(rule.message for rule in alternatives)
                raise UnknownShape(f"{where[file]} has an unknown shape: expected {wanted}")
    return Applied(patched, applied)


def _edit(source: str, node: SgNode, rule: PatchRule) -> str:
    start, end = node.range().start.index, node.range().end.index
    line = source[source.rfind("\n", 0, start) + 1 : start]
    indent = line[: len(line) - len(line.lstrip(" \t"))]
    text = _fill(cast(str, rule.replacement), node, source, indent)
    if rule.place == "before":
        end = start
        text = text + indent if text.endswith("\n") else text
    elif rule.place == "after":
        start = end
    return source[:start] + text + source[end:]


def _fill(template: str, node: SgNode, source: str, indent: str) -> str:
    """Indent a template like its line, then insert what the pattern's variables matched."""
    lines = template.split("\n")
    template = "\n".join([lines[0], *(indent + line if line else line for line in lines[1:])])

    def value(variable: re.Match[str]) -> str:
        several, one = variable.groups()
        if one:
            match = node.get_match(one)
            return match.text() if match else variable.group()
        matches = node.get_multiple_matches(several)
        return source[matches[0].range().start.index : matches[-1].range().end.index] if matches else ""

    return _VARIABLE.sub(value, template)
