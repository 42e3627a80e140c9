from __future__ import annotations

import json
from pathlib import Path
from urllib.parse import unquote_plus

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from rtstt_core.url_rule import Decision, fix_url, invalid_hosts, is_native

VECTORS = Path(__file__).parents[1] / "vectors" / "url_rule.json"
CASES = json.loads(VECTORS.read_text(encoding="utf-8"))["cases"]

hosts = st.sampled_from(
    ["api.openai.com", "eu.api.openai.com", "API.OPENAI.COM.", "api.openai.com:443", "localhost:4000", "evil.tld"]
)
texts = st.text(st.characters(exclude_characters="&#\x00\r\n", exclude_categories=["Cs"]), max_size=8)
pairs = st.one_of(
    st.sampled_from(["intent=transcription", "model=whisper-1", "model=", "model", "%6Dodel=x", "intent=x", ""]),
    st.builds("{}={}".format, texts, texts),
)
urls = st.builds(
    "{}://{}{}?{}{}".format,
    st.sampled_from(["ws", "wss", "https", "WSS"]),
    hosts,
    st.sampled_from(["/v1/realtime", "/realtime", "/v1/realtime/translations", "/"]),
    st.lists(pairs, max_size=6).map("&".join),
    st.sampled_from(["", "#f", "#?model=x"]),
)


@pytest.fixture(autouse=True)
def no_extra_hosts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RTSTT_SHIM_HOSTS", raising=False)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_vector(case: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    if "RTSTT_SHIM_HOSTS" in case:
        monkeypatch.setenv("RTSTT_SHIM_HOSTS", case["RTSTT_SHIM_HOSTS"])
    decision = fix_url(case["url"])
    assert decision.url == case.get("fixed", case["url"])
    assert decision.rule == case["rule"]
    assert decision.changed == ("fixed" in case)
    assert decision.session == case["session"]
    assert decision.transcription == (case["session"] == "transcription")
    assert decision.session == "none" or decision.native == case["native"]
    assert decision.reason == case["reason"]


def test_there_are_enough_vectors_and_each_has_its_own_name() -> None:
    assert len(CASES) >= 60
    assert len({case["name"] for case in CASES}) == len(CASES)


@given(st.text() | urls)
@example("wss://[api.openai.com/v1/realtime?intent=transcription&model=x")
@example("wss://api.openai.com:99999999/v1/realtime?intent=transcription&model=x")
@example("\ud800realtime")
def test_never_raises_and_applying_it_twice_changes_nothing_more(url: str) -> None:
    decision = fix_url(url)
    again = fix_url(decision.url)
    assert not again.changed
    assert again.url is decision.url


@given(urls)
def test_a_url_that_is_not_changed_is_the_same_object(url: str) -> None:
    decision = fix_url(url)
    assert decision.changed == (decision.rule != "keep")
    if not decision.changed:
        assert decision.url is url


@given(urls.filter(lambda url: "openai" not in url.lower()))
def test_a_url_of_another_host_is_never_changed(url: str) -> None:
    assert fix_url(url).url is url


@given(urls)
def test_every_other_pair_is_unchanged_and_keeps_its_place(url: str) -> None:
    decision = fix_url(url)
    before, after = (text.partition("#") for text in (url, decision.url))
    assert before[1:] == after[1:]
    head, _, query = before[0].partition("?")
    fixed_head, _, fixed_query = after[0].partition("?")
    assert fixed_head == head

    def others(query: str) -> list[str]:
        return [pair for pair in query.split("&") if unquote_plus(pair.partition("=")[0]) != "model"]

    fixed = fixed_query.split("&")
    if decision.rule == "set-intent":
        fixed.remove("intent=transcription")
    if decision.changed:
        assert fixed == others(query)


@pytest.mark.parametrize(
    ("url", "native"),
    [
        ("wss://api.openai.com/v1/realtime", True),
        ("wss://us.api.openai.com.:443/anything", True),
        ("wss://api.openai.com", True),
        ("wss://api.openai.com?", True),
        ("ws://localhost:4000/v1/realtime", False),
        ("not a url", False),
        ("wss://api.openai.com.evil.tld/", False),
    ],
)
def test_is_native(url: str, native: bool) -> None:
    assert is_native(url) is native


@pytest.mark.parametrize(
    ("setting", "invalid"),
    [
        ("", []),
        ("stt.example.com, localhost,my_service,[::1],10.0.0.1,stt.example.com.,", []),
        ("https://stt.example.com", ["https://stt.example.com"]),
        ("localhost:4000", ["localhost:4000"]),
        ("*.example.com", ["*.example.com"]),
        ("::1", ["::1"]),
        ("a.example b.example", ["a.example b.example"]),
        ("good.example;bad.example", ["good.example;bad.example"]),
    ],
)
def test_what_is_no_host_name_in_the_setting(setting: str, invalid: list[str]) -> None:
    assert invalid_hosts(setting) == invalid


def test_a_decision_in_a_log_reads_as_a_named_tuple_without_the_secrets_of_its_url() -> None:
    decision = Decision(
        "wss://me:word@gateway.example/v1/realtime?key=abcd", False, "keep", "no intent", "transcription"
    )
    assert repr(decision) == (
        "Decision(url='wss://***@gateway.example/v1/realtime?key=***', changed=False, rule='keep', "
        "reason='no intent', session='transcription', native=False)"
    )
