"""Mutation testing: which mistakes are made, and when the run passes."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

_env = pytest.importorskip("_env", reason="needs the project's scripts")
_mutations = pytest.importorskip("_mutations")
mutants = pytest.importorskip("mutants")

MODULE = mutants.Module("the URL rule", "url_rule.py", ("test_url_rule.py",))


@pytest.mark.parametrize(
    ("pattern", "mistakes"),
    [
        (r"a\.b", ["a.b"]),
        ("ab*c", ["abc", "ab+c"]),
        ("ab+c", ["abc", "ab*c"]),
        ("ab?c", ["abc"]),
        (r"\d{4,}", [r"\D{4,}", r"\d{3,}", r"\d{5,}"]),
        (r"\d{4}", [r"\D{4}", r"\d{3}", r"\d{5}"]),
        (r"[^a-z\s_]", [r"[a-z\s_]", r"[^\s_]", r"[^a-z_]", r"[^a-z\s]"]),
        ("[a]", ["[^a]"]),
        ("a|b|c", ["b|c", "a|c", "a|b"]),
        ("x(?:a|bc)?y", ["x(?:bc)?y", "x(?:a)?y", "x(?:a|bc)y", "xy"]),
        (r"(?<!a)b(?=c)", [r"(?<=a)b(?=c)", "b(?=c)", r"(?<!a)b(?!c)", "(?<!a)b"]),
        ("(?P<name>a)", [""]),
        ("abc", []),
    ],
)
def test_the_mistakes_made_in_a_pattern(pattern: str, mistakes: list[str]) -> None:
    assert sorted(_mutations.changed_patterns(pattern)) == sorted(mistakes)


def test_every_mistake_in_a_pattern_is_a_pattern_and_another_one() -> None:
    pattern = r"(?<![a-z0-9_])(?P<prefix>sk-|ek_|Bearer\s+)(?!\*)[\w.~+/=*-]{4,}"
    found = list(_mutations.changed_patterns(pattern))
    assert len(found) > 20
    assert len({pattern, *found}) == len(found) + 1
    for one in found:
        re.compile(one)


def test_a_table_loses_each_condition_and_each_value_once(tmp_path: Path) -> None:
    rows = [
        {"id": "first", "when": {"kind": "error", "code": ["a", "b"]}, "what": "", "do": ""},
        {"id": "second", "when": {"message": "x|y", "native": True}, "what": "", "do": ""},
    ]
    (tmp_path / "table.json").write_text(json.dumps({"rows": rows}, indent=1))
    found = _mutations.mutants(tmp_path, "table.json")
    assert [(mutant.where, json.loads(mutant.becomes)) for mutant in found] == [
        ("first", {"code": ["a", "b"]}),
        ("first", {"kind": "error"}),
        ("first", {"kind": "error", "code": ["b"]}),
        ("first", {"kind": "error", "code": ["a"]}),
        ("second", {"native": True}),
        ("second", {"message": "y", "native": True}),
        ("second", {"message": "x", "native": True}),
        ("second", {"message": "x|y"}),
        ("second", {"message": "x|y", "native": False}),
    ]
    for mutant in found:
        changed = json.loads(mutant.text)["rows"]
        assert sum(row != before for row, before in zip(changed, rows, strict=True)) == 1
        assert f'"{mutant.where}"' in (tmp_path / "table.json").read_text().splitlines()[mutant.line - 1]


def test_a_function_that_is_gone_is_named(tmp_path: Path) -> None:
    (tmp_path / "module.py").write_text("class A:\n    def b(self): ...\n")
    with pytest.raises(LookupError, match=r"module\.py has no A\.c any more"):
        _mutations.mutants(tmp_path, "module.py", ["A.c"])


def mutant(becomes: str) -> Any:
    return _mutations.Mutant("shim/rtstt_shim/url_rule.py", 7, "fix_url", "was", becomes, "")


KNOWN = {("url_rule.py", "fix_url", "was", "x"): "equivalent: it is so"}


def killed_at_first(job: Any) -> tuple[int, bool, float, str]:
    """In the place of the tests: ``x`` is killed by chance, the first time; ``y`` is killed each time."""
    place, _, changed, _ = job
    if changed is None:
        return place, True, 0.0, ""
    seen = Path(os.environ["SEEN"]) / changed.becomes
    passed = changed.becomes == "x" and seen.exists()
    seen.touch()
    return place, passed, 0.0, "FAILED test_that_fails_now_and_then"


def test_one_that_is_known_to_survive_is_not_killed_by_chance(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SEEN", str(tmp_path))
    monkeypatch.setattr(mutants, "_prepare", str)
    monkeypatch.setattr(mutants, "_task", killed_at_first)
    monkeypatch.setattr(_mutations, "mutants", lambda *_: [mutant("x"), mutant("y"), mutant("z")])
    known = dict.fromkeys([("url_rule.py", "fix_url", "was", becomes) for becomes in "xy"], "equivalent: it is so")
    assert mutants._run([MODULE], 1, known) == ([[mutant("x")]], [2])
    said = capsys.readouterr().err
    assert "killed, though known to survive: x\nFAILED test_that_fails_now_and_then\n" in said
    assert "survive: z" not in said


class TestTheJudgement:
    def test_nine_of_ten_killed_and_the_tenth_explained_is_enough(self) -> None:
        report = mutants.judged([MODULE], [[mutant("x")]], [9], KNOWN)
        assert report["passed"]
        assert report["parts"] == {"the URL rule": 90.0}
        assert report["survivors"] == [
            {
                "file": "shim/rtstt_shim/url_rule.py",
                "line": 7,
                "in": "fix_url",
                "was": "was",
                "becomes": "x",
                "reason": "equivalent: it is so",
            }
        ]
        assert mutants.shown(report).splitlines()[:3] == [
            "module                 mutants  killed  survived   score",
            "the URL rule                                       90.0 %",
            "  url_rule.py               10       9         1    90.0 %",
        ]

    def test_fewer_are_not(self) -> None:
        assert not mutants.judged([MODULE], [[mutant("x")]], [8], KNOWN)["passed"]

    def test_one_without_a_reason_is_not_and_is_written_out_for_the_list(self) -> None:
        report = mutants.judged([MODULE], [[mutant("x"), mutant("it's")]], [98], KNOWN)
        assert not report["passed"]
        [stanza] = report["unexplained"]
        assert stanza in mutants.shown(report)
        explained = stanza.replace('reason = ""', 'reason = "because"')
        assert mutants.reasons(explained) == {("url_rule.py", "fix_url", "was", "it's"): "because"}

    def test_one_that_is_listed_and_did_not_survive_has_to_leave_the_list(self) -> None:
        report = mutants.judged([MODULE], [[]], [10], KNOWN)
        assert not report["passed"]
        assert (
            "listed in tests/mutants.toml, and did not survive: url_rule.py fix_url: x"
            in mutants.shown(report).splitlines()
        )

    def test_what_is_listed_of_a_module_that_was_not_looked_at_may_stay(self) -> None:
        other = mutants.Module("the diagnosis", "redact.py", ())
        assert mutants.judged([other], [[]], [10], KNOWN)["passed"]


class TestTheList:
    known = mutants.reasons(mutants.REASONS.read_text(encoding="utf-8"))

    def test_every_survivor_has_a_reason(self) -> None:
        assert self.known
        assert all(self.known.values())

    def test_what_it_quotes_of_a_module_is_there(self) -> None:
        sources = {module.name: _env.ROOT / module.file for module in mutants.MODULES}
        for name, _, was, _ in self.known:
            if name.endswith(".py"):
                assert was in " ".join(line.strip() for line in sources[name].read_text(encoding="utf-8").splitlines())

    @pytest.mark.parametrize(("text", "what"), [("x =", "TOMLDecodeError: "), ("[[survivor]]", "KeyError: ")])
    def test_one_that_cannot_be_read_is_one_sentence(self, text: str, what: str) -> None:
        with pytest.raises(_env.Unavailable) as raised:
            mutants.reasons(text)
        assert str(raised.value).startswith(f"cannot read tests/mutants.toml: {what}")


def test_a_module_that_is_not_mutated_is_wrong_use() -> None:
    script = [sys.executable, _env.ROOT / "scripts" / "mutants.py", "--only", "nope.py"]
    done = subprocess.run(script, capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stdout == ""
    assert "argument --only: invalid choice: 'nope.py' (choose from" in done.stderr
    assert "url_rule.py" in done.stderr
