"""The page on published clients: it is whole, and a real client does what it says."""

from typing import Any

import pytest

from rtstt_testkit.exam.scenarios import SCENARIOS

field: Any = pytest.importorskip("exam_field", reason="needs the project's scripts")
report: Any = pytest.importorskip("_exam_report", reason="needs the project's scripts")

NAMES = [scenario.name for scenario in SCENARIOS]


def test_every_failure_has_a_cause_and_nothing_else_has_one() -> None:
    """After a new examination: look into what has changed, and correct tests/exam.toml."""
    failed = {(client, scenario["name"]) for client, scenario in report.failed(field.load())}
    assert failed == set(report.causes())


def test_every_cause_is_one_sentence_that_says_whose_it_is() -> None:
    for cell, cause in report.causes().items():
        assert cause.whose in ("client", "application"), cell
        assert cause.sentence[0].isupper() or cause.sentence[0] == "`", cell
        assert cause.sentence.endswith("."), cell


def test_every_client_was_examined_in_every_scenario() -> None:
    """After a change of the scenarios: `python3 scripts/exam_field.py`."""
    results = field.load()
    assert list(results) == [examinee.name for examinee in field.EXAMINEES]
    for client, result in results.items():
        assert [scenario["name"] for scenario in result["scenarios"]] == NAMES, client


def test_every_scenario_is_in_one_group() -> None:
    assert sorted(name for group in report.GROUPS.values() for name in group) == sorted(NAMES)


@pytest.mark.release
@pytest.mark.client
@pytest.mark.timeout(900)
def test_the_newest_openai_sdk_does_what_the_page_says() -> None:
    [examinee] = [each for each in field.EXAMINEES if each.name == "openai 3.54.0"]
    found = {examinee.name: field.examine(examinee, [])}
    saved = {examinee.name: field.load()[examinee.name]}
    assert [scenario["name"] for _, scenario in report.failed(found)] == [
        scenario["name"] for _, scenario in report.failed(saved)
    ]
