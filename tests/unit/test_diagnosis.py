from __future__ import annotations

import contextlib
import json
import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest

import rtstt_core.diagnosis
from rtstt_core.diagnosis import Symptom, diagnose

TABLE = Path(rtstt_core.diagnosis.__file__).parent / "node" / "diagnosis.json"
ROWS = json.loads(TABLE.read_text(encoding="utf-8"))["rows"]

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
    for conditions in row["when"] if isinstance(row["when"], list) else [row["when"]]:
        assert set(conditions) <= set(Symptom._fields)
        for name in ("message", "param", "close_reason"):
            if name in conditions:
                re.compile(conditions[name])


def test_the_parameter_is_named_in_the_advice() -> None:
    diagnosis = diagnose(Symptom("error", code="unknown_parameter", param="session.bogus_field"))
    assert diagnosis.what == (
        "session.update was discarded whole because session.bogus_field is unknown, so no transcript will come"
    )
    assert diagnosis.do == "Remove session.bogus_field, or move it to where the API reference has it."


def test_the_duration_of_the_session_is_the_one_that_the_server_names() -> None:
    diagnosis = diagnose(Symptom("close", close_code=1001, close_reason="…the maximum duration of 30 minutes."))
    assert diagnosis.what == "the session reached its maximum duration of 30 minutes"
    assert diagnosis.do == "Open a new session before the 30 minutes are over."


def test_a_secret_in_a_param_is_masked() -> None:
    diagnosis = diagnose(Symptom("error", code="unknown_parameter", param="session.sk-0123456789"))
    assert "sk-***" in diagnosis.do
    assert "0123456789" not in f"{diagnosis.what} {diagnosis.do}"


def test_credentials_that_are_missing_are_recognised_although_the_message_looks_like_a_secret() -> None:
    message = "Missing bearer or basic authentication in header"
    assert diagnose(Symptom("error", message=message)).id == "missing-credentials"


def test_the_table_is_read_from_a_zip_archive(tmp_path: Path) -> None:
    package = Path(rtstt_core.diagnosis.__file__).parent
    with zipfile.ZipFile(tmp_path / "application.pyz", "w") as archive:
        for file in [*package.glob("*.py"), package / "node" / "diagnosis.json"]:
            archive.write(file, f"rtstt_core/{file.relative_to(package)}")
    code = "from rtstt_core.diagnosis import Symptom, diagnose; print(diagnose(Symptom('close', close_code=3000)).id)"
    done = subprocess.run(
        [sys.executable, "-S", "-c", code],
        env={**os.environ, "PYTHONPATH": str(tmp_path / "application.pyz")},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.stdout, done.stderr) == ("close-auth\n", "")


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


OF_ONE_KIND = {
    row["id"]
    for row in ROWS
    if all("kind" in when for when in (row["when"] if isinstance(row["when"], list) else [row["when"]]))
}


@pytest.mark.parametrize(
    "symptom", [case["symptom"] for case in CASES + NEAR_MISSES if case["row"] in OF_ONE_KIND], ids=repr
)
def test_the_rows_of_one_kind_do_not_match_another(symptom: dict[str, Any]) -> None:
    found = None
    with contextlib.suppress(ValueError):
        found = diagnose(Symptom(**{**symptom, "kind": "nope"})).id
    assert found not in OF_ONE_KIND


def test_an_unknown_kind_raises_value_error() -> None:
    with pytest.raises(ValueError, match="unknown kind of symptom: 'nope'"):
        diagnose(Symptom("nope"))
