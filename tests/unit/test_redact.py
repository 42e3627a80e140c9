from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rtstt_core.redact import redact, redact_url

KEY = "sk-proj-" + "A1b2" * 8


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("wss://api.openai.com/v1/realtime?intent=transcription", None),
        ("wss://x.openai.azure.com/openai/realtime?deployment=w&api-version=2025", None),
        ("wss://user:pass@host/v1/realtime?model=whisper-1", "wss://***@host/v1/realtime?model=whisper-1"),
        (
            "wss://host/realtime?api_key=secret&intent=transcription",
            "wss://host/realtime?api_key=***&intent=transcription",
        ),
        ("wss://host/realtime?secretword&model=", "wss://host/realtime?***&model="),
        ("wss://host/realtime?model=" + KEY, "wss://host/realtime?model=sk-***"),
        ("wss://host/realtime#secret", "wss://host/realtime"),
    ],
)
def test_the_url_is_shown_without_secrets(url: str, shown: str | None) -> None:
    assert redact_url(url) == (url if shown is None else shown)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (f"Incorrect API key provided: {KEY}.", "Incorrect API key provided: sk-***"),
        ("Incorrect API key provided: sk-proj-****…ueba. You can", "Incorrect API key provided: sk-***…ueba. You can"),
        (f"Authorization: Bearer {KEY}", "Authorization: Bearer ***"),
        ("Basic dXNlcjpwYXNz", "Basic ***"),
        ("protocol openai-insecure-api-key.abcdefgh", "protocol openai-insecure-api-key.***"),
        ("ek_0123456789 expired", "ek_*** expired"),
        ("two\nlines\x1b[31m", "two lines [31m"),
        ("cannot reach wss://a:b@host/x?token=1 now", "cannot reach wss://***@host/x?token=*** now"),
        ("x" * 500, "x" * 397 + "..."),
    ],
)
def test_a_text_is_shown_without_keys_on_one_line_and_bounded(text: str, shown: str) -> None:
    assert redact(text) == shown


VECTORS = Path(__file__).parents[1] / "vectors" / "redact.json"


@pytest.mark.parametrize("case", json.loads(VECTORS.read_text(encoding="utf-8"))["cases"], ids=repr)
def test_vector(case: dict[str, str]) -> None:
    assert (redact_url(case["url"]) if "url" in case else redact(case["text"])) == case["shown"]


@given(st.text(), st.text())
def test_a_key_is_masked_in_any_surroundings(before: str, after: str) -> None:
    shown = redact(f"{before} {KEY} {after}")
    assert KEY not in shown
    assert "\n" not in shown
