"""The source rules: good code stays silent, bad code is found, and what is rewritten is right."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from rtstt_testkit.source.edits import rewrite
from rtstt_testkit.source.rules import LANGUAGES, load_rules
from rtstt_testkit.source.scan import findings_in
from rtstt_testkit.upstream.data import patches

ENDS = {
    "python": [".py"],
    "javascript": [".js", ".ts", ".tsx"],
    "swift": [".swift"],
    "go": [".go"],
    "csharp": [".cs"],
    "kotlin": [".kt"],
    "cpp": [".cpp"],
}


def _examples() -> Iterator[tuple[str, dict[str, Any]]]:
    for file in sorted((patches() / "source" / "examples").glob("*.yml")):
        for document in yaml.safe_load_all(file.read_text(encoding="utf-8")):
            for end in ENDS[file.stem]:
                yield end, document


EXAMPLES = [pytest.param(end, document, id=f"{document['id']}{end}") for end, document in _examples()]


def test_every_rule_has_examples_in_each_of_its_languages() -> None:
    exemplified = {(document["id"], LANGUAGES[end]) for end, document in _examples()}
    assert {(rule.id, rule.language) for rule in load_rules()} == exemplified


class _StrictLoader(yaml.SafeLoader):
    """YAML as ast-grep reads it: a key that occurs twice is an error."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [self.construct_object(key) for key, _ in node.value]  # type: ignore[no-untyped-call]
        assert len(set(keys)) == len(keys), f"a key occurs twice in line {node.start_mark.line + 1}: {keys}"
        return super().construct_mapping(node, deep)


@pytest.mark.parametrize("file", sorted((patches() / "source").rglob("*.yml")), ids=lambda file: file.name)
def test_no_key_occurs_twice(file: Path) -> None:
    assert list(yaml.load_all(file.read_text(encoding="utf-8"), _StrictLoader))


@pytest.mark.parametrize(("end", "examples"), EXAMPLES)
def test_good_code_is_left_alone(end: str, examples: dict[str, Any]) -> None:
    for text in examples["valid"]:
        assert [found.rule for found in findings_in(f"app{end}", text)] == [], text


@pytest.mark.parametrize(("end", "examples"), EXAMPLES)
def test_bad_code_is_found_at_its_line(end: str, examples: dict[str, Any]) -> None:
    for text in examples["invalid"]:
        found = [found for found in findings_in(f"app{end}", text) if found.rule == examples["id"]]
        assert len(found) == 1, text
        assert found[0].why.endswith(".")
        assert found[0].fix.endswith(".")


@pytest.mark.parametrize(("end", "examples"), EXAMPLES)
def test_what_is_rewritten_is_right_and_final(end: str, examples: dict[str, Any]) -> None:
    for text, fixed in zip(examples["invalid"], examples.get("fixed", [None] * 9), strict=False):
        language = LANGUAGES[end]
        [found] = [found for found in findings_in(f"app{end}", text) if found.rule == examples["id"]]
        assert found.fixable is (fixed is not None), text
        after = rewrite(text, language, lambda match: match.rule.id == examples["id"])
        assert after == (text if fixed is None else fixed)
        assert rewrite(after, language, lambda match: True) == after or fixed is None
