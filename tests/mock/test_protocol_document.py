"""PROTOCOL.md and the tables agree: every rule has evidence, every mark has an entry, every reference exists."""

import ast
import inspect
import re
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path

import pytest

import rtstt_testkit.mock
from rtstt_testkit.mock.protocol import admission, errors, models, schema
from rtstt_testkit.mock.protocol.errors import ApiError
from rtstt_testkit.probe.rows import ROWS

MOCK = Path(rtstt_testkit.mock.__file__).parent
TEXT = (MOCK / "PROTOCOL.md").read_text("utf-8")
MARK = re.compile(r"\[([a-z][\w-]*(?:#\d+)?)\]")
ENTRIES = set(re.findall(r"^- \*\*\[([^\]]+)\]\*\*", TEXT, re.MULTILINE))
FACTS = [line.strip("| ").split(" | ") for line in TEXT.splitlines() if re.match(r"\| \d+\.\d+ ", line)]
SECTIONS = set(re.findall(r"^## (\d+)\.", TEXT, re.MULTILINE))


def error_rules() -> Iterator[tuple[str, str]]:
    """Every error of the table, made with arguments of the right types."""
    values = {"str": "session.x", "int": 1, "float": 1.0, "object": 5, "Sequence[str]": ("a", "b")}
    for name in errors.__all__:
        rule = getattr(errors, name)
        if isinstance(rule, ApiError):
            yield f"errors.{name}", rule.evidence
        elif inspect.isfunction(rule) and inspect.signature(rule).return_annotation == "ApiError":
            parameters = inspect.signature(rule).parameters
            made = rule(
                **{key: values[parameter.annotation] for key, parameter in parameters.items() if key != "evidence"}
                | ({"evidence": "[assumed]"} if "evidence" in parameters else {})
            )
            yield f"errors.{name}", made.evidence


def field_rules(field: schema.Field, path: str) -> Iterator[tuple[str, str]]:
    """Every bound and list of the table of fields."""
    if isinstance(field, schema.Nullable):
        yield from field_rules(field.field, path)
    elif isinstance(field, schema.ListOf):
        if not field.empty:
            yield path, field.evidence
        yield from field_rules(field.field, f"{path}[]")
    elif isinstance(field, schema.Object):
        for name, inner in field.fields.items():
            yield from field_rules(inner, f"{path}.{name}")
    elif isinstance(field, schema.Tagged):
        for name, variant in field.variants.items():
            yield from field_rules(variant, f"{path} ({name})")
    elif isinstance(field, schema.OneOf | schema.Number) or (isinstance(field, schema.Text) and field.longest):
        yield path, field.evidence


RULES = dict(
    [
        *error_rules(),
        *((f"admission.REFUSALS {row.transcription_mode} {row.kind}", row.evidence) for row in admission.REFUSALS),
        *(
            (f"admission HTTP {answer.status} {answer.message[:20]}", answer.evidence)
            for answer in admission.HTTP_REFUSALS
        ),
        *((f"models {model.name}", model.evidence) for model in models.TRANSCRIPTION_MODELS.values()),
        *field_rules(schema.TRANSCRIPTION_SESSION[False], "transcription"),
        *field_rules(schema.REALTIME_SESSION, "realtime"),
        *field_rules(schema.EXPIRES_AFTER, "expires_after"),
        *(rule for name, fields in schema.CLIENT_EVENT_FIELDS.items() for rule in field_rules(fields, name)),
        *((f"probe: {row.name}", row.evidence) for row in ROWS),
    ]
)


@pytest.mark.parametrize("rule", list(RULES))
def test_every_rule_has_evidence_that_the_document_explains(rule: str) -> None:
    marks = MARK.findall(RULES[rule])
    assert marks, f"{rule} has no mark; write [assumed] where no source shows it"
    assert set(marks) <= ENTRIES


@pytest.mark.parametrize("path", sorted(MOCK.rglob("*.py")), ids=lambda path: str(path.relative_to(MOCK)))
def test_every_mark_and_section_in_the_code_has_an_entry(path: Path) -> None:
    source = path.read_text("utf-8")
    comments = [line.partition("#")[2] for line in source.splitlines() if "type: ignore" not in line]
    docstrings = [
        ast.get_docstring(node) or ""
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
    ]
    words = "\n".join([*comments, *docstrings])
    known = {"capture", "types", "recording", "assumed", "live", "guide", "client", "issue"}
    marks = {mark for mark in MARK.findall(words) if mark in known or "#" in mark or "-" in mark}
    assert marks <= ENTRIES
    for sections in re.findall(r"PROTOCOL\.md, sections? ([\d, and to]+)", words):
        assert set(re.findall(r"\d+", sections)) <= SECTIONS


def test_every_section_that_the_diagnosis_refers_to_exists() -> None:
    diagnosis = files("rtstt_core").joinpath("node").joinpath("diagnosis.json").read_text("utf-8")
    sections = re.findall(r"PROTOCOL\.md, section (\d+)", diagnosis)
    assert sections
    assert set(sections) <= SECTIONS
    assert diagnosis.count("PROTOCOL") == len(sections)


def test_every_entry_is_used() -> None:
    used = set(MARK.findall(" ".join(RULES.values()))) | {mark for fact in FACTS for mark in MARK.findall(fact[2])}
    assert ENTRIES - used == set()


@pytest.mark.parametrize("fact", FACTS, ids=lambda fact: fact[0])
def test_a_fact_has_evidence_a_place_in_the_code_and_a_probe_row_that_exists(fact: list[str]) -> None:
    number, _, evidence, code, row = fact
    assert number.partition(".")[0] in SECTIONS
    assert MARK.findall(evidence)
    assert set(MARK.findall(evidence)) <= ENTRIES
    module, *names = re.findall(r"`([^`]+)`", code)
    assert names
    source = (MOCK / module).read_text("utf-8")
    assert [name for name in names if not re.search(rf"\b{re.escape(name)}\b", source)] == []
    assert row == "–" or row in {row.name for row in ROWS}


def test_every_error_is_found_in_the_document_by_its_name() -> None:
    named = {name for fact in FACTS for name in re.findall(r"`([^`]+)`", fact[3])}
    assert {rule.removeprefix("errors.") for rule, _ in error_rules()} - named == set()


def test_every_probe_row_without_a_source_says_so() -> None:
    assert all(re.match(r"(\[[^\]]+\] ?)+", row.evidence) for row in ROWS)
