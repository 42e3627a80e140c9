from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

import rtstt_core.diagnosis
from rtstt_core.diagnosis import Symptom, diagnose

ROWS = json.loads(Path(rtstt_core.diagnosis.__file__).with_name("diagnosis.json").read_text(encoding="utf-8"))["rows"]

# Symptoms that the endpoint, a gateway, the network or a library is known for, and the row that must match each.
VECTORS = Path(__file__).parents[1] / "vectors" / "diagnosis.json"
CASES = json.loads(VECTORS.read_text(encoding="utf-8"))["cases"]


@pytest.mark.parametrize("case", CASES, ids=[f"{case['row']}-{place}" for place, case in enumerate(CASES)])
def test_a_symptom_matches_its_row_and_gets_its_text(case: dict[str, Any]) -> None:
    diagnosis = diagnose(Symptom(**case["symptom"]))
    assert diagnosis.id == case["row"]
    assert f"{diagnosis.what}. {diagnosis.do}" == case["text"]


def test_every_row_is_matched_by_a_symptom() -> None:
    assert {case["row"] for case in CASES} == {row["id"] for row in ROWS}


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["id"])
def test_a_row_reads_well(row: dict[str, Any]) -> None:
    assert set(row) == {"id", "when", "what", "do", "source"}
    assert row["do"].endswith(".")
    assert not row["what"].endswith(".")
    assert row["source"]
    for name in ("message", "param", "close_reason"):
        if name in row["when"]:
            re.compile(row["when"][name])


def test_the_parameter_is_named_in_the_advice() -> None:
    diagnosis = diagnose(Symptom("error", code="unknown_parameter", param="session.bogus_field"))
    assert diagnosis.what == (
        "session.update was discarded whole because of session.bogus_field, so no transcript will come"
    )
    assert diagnosis.do == "Correct or remove session.bogus_field."


def test_an_error_is_fatal_only_when_a_close_followed() -> None:
    error = Symptom("error", code="missing_model")
    assert not diagnose(error).fatal
    assert diagnose(error._replace(close_code=4000)).fatal
    assert diagnose(Symptom("close", close_code=1011)).fatal


def test_a_failed_item_is_not_the_end_of_the_session() -> None:
    assert not diagnose(Symptom("failed", message="no")).fatal


def test_the_fields_of_a_symptom_default_to_none() -> None:
    assert Symptom("close") == Symptom("close", True, None, None, None, None, None, None, None, None)


NEAR_MISSES = json.loads(VECTORS.with_name("near_misses.json").read_text(encoding="utf-8"))["cases"]


@pytest.mark.parametrize("case", NEAR_MISSES, ids=[f"{case['row']}-{place}" for place, case in enumerate(NEAR_MISSES)])
def test_a_symptom_one_condition_away_from_a_row_matches_another(case: dict[str, Any]) -> None:
    assert diagnose(Symptom(**case["symptom"])).id == case["row"]


SOCKETS = [
    case["symptom"] for case in CASES + NEAR_MISSES if case["symptom"]["kind"] in ("close", "handshake", "connect")
]


@pytest.mark.parametrize("symptom", SOCKETS, ids=repr)
def test_the_rows_of_one_kind_do_not_match_another(symptom: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="unknown kind of symptom: 'nope'"):
        diagnose(Symptom(**{**symptom, "kind": "nope"}))


def test_an_unknown_kind_raises_value_error() -> None:
    with pytest.raises(ValueError, match="unknown kind of symptom: 'nope'"):
        diagnose(Symptom("nope"))
