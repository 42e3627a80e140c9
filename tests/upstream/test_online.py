"""`--online`: what the services progress, and one sentence where they do not."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
import respx

from rtstt_core.cli import main
from rtstt_testkit.upstream.fixes import find_fix
from rtstt_testkit.upstream.online import states

ISSUE = "https://api.github.com/repos/livekit/agents-js/issues/1756"
NPM = "https://registry.npmjs.org/@livekit%2Fagents-plugin-openai"
PULL = "https://api.github.com/repos/livekit/agents/issues/6403"
PYPI = "https://pypi.org/pypi/livekit-plugins-openai/json"
CLOSED = {"state": "closed", "closed_at": "2026-06-16T01:25:36Z", "title": "STT gives no transcripts"}
RELEASES = {
    "dist-tags": {"latest": "2.0.0"},
    "time": {
        "created": "2024-01-01T00:00:00Z",
        "modified": "2026-12-01T00:00:00Z",
        "2.0.0": "2025-01-01T00:00:00Z",
        "1.9.0": "2026-11-20T00:00:00Z",
    },
}


def lines(issue: Any, releases: Any) -> list[str]:
    with respx.mock:
        respx.get(ISSUE).mock(**issue)
        respx.get(NPM).mock(**releases)
        return states(find_fix("agents-js/model-param"))


def answer(content: Any, status: int = 200) -> dict[str, Any]:
    return {"return_value": httpx.Response(status, json=content)}


def test_the_issue_and_the_releases_of_an_npm_upstream() -> None:
    assert lines(answer(CLOSED), answer(RELEASES)) == [
        "livekit/agents-js#1756: closed on 2026-06-16: STT gives no transcripts",
        "@livekit/agents-plugin-openai: latest is 2.0.0, last published is 1.9.0 on 2026-11-20",
    ]


@respx.mock
def test_the_pull_request_and_the_release_of_a_pypi_upstream(capsys: pytest.CaptureFixture[str]) -> None:
    respx.get(PULL).respond(json={"state": "open", "closed_at": None, "title": "include model in URLs"})
    release = {"info": {"version": "1.8.9"}, "urls": [{"upload_time_iso_8601": "2026-11-20T10:00:00Z"}]}
    respx.get(PYPI).respond(json=release)
    assert main(["pr", "--list", "agents/regional-hosts", "--online"]) == 0
    assert capsys.readouterr().out.splitlines()[-2:] == [
        "livekit/agents#6403: open: include model in URLs",
        "livekit-plugins-openai: latest is 1.8.9 of 2026-11-20",
    ]


@pytest.mark.parametrize(
    ("failure", "sentence"),
    [
        ({"side_effect": httpx.ReadTimeout("slow")}, "api.github.com did not answer in 10 s"),
        ({"side_effect": httpx.ConnectError("refused")}, "cannot reach api.github.com (refused)"),
        (answer({}, 403), "api.github.com has a rate limit (HTTP 403): try again later"),
        (answer({}, 429), "api.github.com has a rate limit (HTTP 429): try again later"),
        (answer({}, 500), "api.github.com answered HTTP 500"),
        ({"return_value": httpx.Response(200, text="<html>")}, "the response of api.github.com is not JSON"),
        (answer([]), "the response of api.github.com is not a JSON object"),
        (answer({}), "the response has an unknown shape"),
        (answer({"state": 1, "title": 2, "closed_at": 3}), "the response has an unknown shape"),
    ],
)
def test_a_service_that_fails_gets_one_sentence_and_the_others_are_asked(
    failure: dict[str, Any], sentence: str
) -> None:
    issue, releases = lines(failure, answer(RELEASES))
    assert issue == f"livekit/agents-js#1756: unknown, {sentence}"
    assert releases.startswith("@livekit/agents-plugin-openai: latest is 2.0.0")


def test_releases_of_another_shape_are_unknown() -> None:
    assert lines(answer(CLOSED), answer({"dist-tags": {}, "time": []}))[1] == (
        "@livekit/agents-plugin-openai: unknown, the response has an unknown shape"
    )


def test_an_upstream_without_an_issue_is_asked_for_releases_only() -> None:
    with respx.mock:
        release = {"info": {"version": "1.1.0"}, "urls": []}
        respx.get("https://pypi.org/pypi/speech-to-speech/json").respond(json=release)
        assert states(find_fix("speech-to-speech/regional-hosts")) == [
            "speech-to-speech: unknown, the response has an unknown shape"
        ]
