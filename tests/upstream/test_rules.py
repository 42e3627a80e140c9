"""Rules: where a replacement goes, what it keeps, and the errors for an unknown source."""

from __future__ import annotations

from pathlib import Path

import pytest

from rtstt_testkit import upstream
from rtstt_testkit.commands import patch_npm
from rtstt_testkit.upstream.data import patches
from rtstt_testkit.upstream.errors import NotAffected, UnknownShape
from rtstt_testkit.upstream.fixes import load_fixes
from rtstt_testkit.upstream.packages import load_packages
from rtstt_testkit.upstream.rules import Applied, apply_rules, load_rules

CALL = """
id: call
language: JavaScript
message: a call of `old`
metadata: {file: main}
rule: {pattern: 'old($A, $$$REST)'}
fix: |-
  if ($A) {
    renewed($$$REST);
  }
"""


def apply(tmp_path: Path, rules: str, source: str) -> Applied:
    file = tmp_path / "rules.yml"
    file.write_text(rules, encoding="utf-8")
    return apply_rules(load_rules(file), {"main": source}, {"main": "lib/main.js"})


def test_a_fix_keeps_what_the_variables_matched_and_the_indentation(tmp_path: Path) -> None:
    source = "function f() {\n  old(ü, b, /* kept */ c)\n}\n"
    applied = apply(tmp_path, CALL, source)
    assert applied.texts == {
        "main": "function f() {\n  if (ü) {\n    renewed(b, /* kept */ c);\n  }\n}\n",
    }
    assert applied.rules == ["call"]


def test_a_list_of_nothing_leaves_nothing(tmp_path: Path) -> None:
    rules = CALL.replace("old($A, $$$REST)", "old($$$REST)").replace("if ($A)", "if (true)")
    assert apply(tmp_path, rules, "old()\n").texts["main"] == "if (true) {\n  renewed();\n}\n"


@pytest.mark.parametrize(
    ("place", "fix", "result"),
    [
        ("before", '"one();\\n"', "{\n  one();\n  old();\n}\n"),
        ("before", '"await "', "{\n  await old();\n}\n"),
        ("after", '"\\none();"', "{\n  old();\n  one();\n}\n"),
        ("replace", '"one();"', "{\n  one();\n}\n"),
    ],
)
def test_a_fix_goes_where_its_place_says(tmp_path: Path, place: str, fix: str, result: str) -> None:
    rule = f"""
id: call
language: JavaScript
message: a call
metadata: {{file: main, place: {place}}}
rule: {{kind: expression_statement, pattern: old();}}
fix: {fix}
"""
    assert apply(tmp_path, rule, "{\n  old();\n}\n").texts["main"] == result


def test_an_unknown_shape_names_the_file_and_all_that_was_expected(tmp_path: Path) -> None:
    other = CALL.replace("id: call", "id: other").replace("old(", "older(").replace("`old`", "`older`")
    step = "metadata: {file: main, step: it}"
    rules = "---".join(text.replace("metadata: {file: main}", step) for text in (CALL, other))
    with pytest.raises(UnknownShape) as caught:
        apply(tmp_path, rules, "fresh(1);\n")
    assert str(caught.value) == ("lib/main.js has an unknown shape: expected a call of `old`, or a call of `older`")
    assert apply(tmp_path, rules, "older(1, 2);\n").rules == ["other"]


def test_two_places_for_one_fix_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UnknownShape) as caught:
        apply(tmp_path, CALL, "old(1, 2); old(3, 4);\n")
    assert str(caught.value) == "lib/main.js has an unknown shape: expected a call of `old` once, found it 2 times"


def test_an_optional_step_may_find_nothing(tmp_path: Path) -> None:
    rules = CALL.replace("{file: main}", "{file: main, optional: true}")
    assert apply(tmp_path, rules, "fresh();\n") == Applied({"main": "fresh();\n"}, [])


def test_a_rule_without_fix_says_why_nothing_is_needed(tmp_path: Path) -> None:
    rules = CALL.partition("fix:")[0].replace("a call of `old`", "this is fixed")
    with pytest.raises(NotAffected) as caught:
        apply(tmp_path, rules, "old(1, 2);\n")
    assert str(caught.value) == "this is fixed"


def test_rules_of_files_that_are_not_there_are_left_out(tmp_path: Path) -> None:
    rules = CALL.replace("file: main", "file: tests")
    assert apply(tmp_path, rules, "old(1);\n").rules == []


def test_the_code_names_no_upstream_and_no_package() -> None:
    names = {name for fix in load_fixes() for name in (fix.upstream, fix.package)}
    names |= {package.name for package in load_packages()}
    modules = [*Path(upstream.__file__).parent.glob("*.py"), Path(patch_npm.__file__)]
    assert [(module.name, name) for module in modules for name in names if name in module.read_text()] == []


@pytest.mark.parametrize("file", sorted(patches().glob("*/*/rules.yml")), ids=lambda file: str(file.parent.name))
def test_every_rule_file_loads_and_every_rule_has_a_message(file: Path) -> None:
    rules = load_rules(file)
    assert len({rule.id for rule in rules}) == len(rules)
    assert all(rule.message and rule.place in ("before", "after", "replace") for rule in rules)
    assert all(rule.matches("") == [] for rule in rules if rule.replacement is not None)
