"""The inspector's part of the control API: the page, its data, and a session in other formats."""

from __future__ import annotations

import asyncio
import gzip
import json
import re
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import parse_qs, urlsplit

from rtstt_testkit.inspector.clip import clip
from rtstt_testkit.inspector.exports import har, json_lines
from rtstt_testkit.inspector.page import live_page, report_page
from rtstt_testkit.inspector.stream import changes
from rtstt_testkit.inspector.view import Observed, observed, with_findings
from rtstt_testkit.mock.inspect.record import SessionRecord
from rtstt_testkit.mock.server.api import Controlled, Route
from rtstt_testkit.mock.server.http import HttpRequest, HttpResponse, json_error
from rtstt_testkit.mock.server.openapi import Operation

__all__ = ["ROUTES"]

_SHORTEST_GZIP = 4096  # bytes; a shorter body is not worth compressing
_CLIP_SECONDS = 120.0  # of audio in one answer: the page asks for the next when it plays on
_NO_STORE = ("Cache-Control", "no-store")

_Answer = Callable[[Controlled, HttpRequest, Observed], Awaitable[HttpResponse]]


def _of_session(answer: _Answer) -> Callable[[Controlled, HttpRequest, re.Match[str]], Awaitable[HttpResponse]]:
    """Make a route's function of one that answers for a session that there is."""

    async def run(server: Controlled, request: HttpRequest, found: re.Match[str]) -> HttpResponse:
        number = int(found[1])
        for record in server.sessions:
            if record.number == number:
                seen = observed(record)
                seen.update()
                return await answer(server, request, seen)
        return json_error(404, f"There is no session {number}; {len(server.sessions)} are known.")

    return run


async def _page(server: Controlled, request: HttpRequest, found: re.Match[str]) -> HttpResponse:
    page, policy = live_page()
    return _compressed(
        request,
        page.encode(),
        "text/html; charset=utf-8",
        ("Content-Security-Policy", f"{policy}; frame-ancestors 'none'"),
        ("X-Content-Type-Options", "nosniff"),
        ("Referrer-Policy", "no-referrer"),
    )


async def _events(server: Controlled, request: HttpRequest, found: re.Match[str]) -> HttpResponse:
    stream = changes(lambda: server.sessions)
    return HttpResponse(200, stream, "text/event-stream; charset=utf-8", (_NO_STORE,))


async def _view(server: Controlled, request: HttpRequest, seen: Observed) -> HttpResponse:
    view = seen.view(int(_number(request, "after")))
    return await _json(request, with_findings(seen, view, server.findings_of(seen.record)))


async def _peaks(server: Controlled, request: HttpRequest, seen: Observed) -> HttpResponse:
    peaks = await seen.peaks.read()
    return HttpResponse(200, peaks[int(_number(request, "after")) :], "application/octet-stream", (_NO_STORE,))


async def _clip(server: Controlled, request: HttpRequest, seen: Observed) -> HttpResponse:
    wav = await asyncio.to_thread(clip, seen, _number(request, "from"), _CLIP_SECONDS)
    return HttpResponse(200, wav, "audio/wav", (_NO_STORE,))


async def _report(server: Controlled, request: HttpRequest, seen: Observed) -> HttpResponse:
    await seen.peaks.read()  # so that the page finds them ready
    page = report_page([seen.record], f"Session {seen.record.number}")
    return HttpResponse(200, page.encode(), "text/html; charset=utf-8", (_attachment(seen.record, "html"), _NO_STORE))


async def _har(server: Controlled, request: HttpRequest, seen: Observed) -> HttpResponse:
    return HttpResponse(200, har(seen, server.url), "application/json", (_attachment(seen.record, "har"),))


async def _jsonl(server: Controlled, request: HttpRequest, seen: Observed) -> HttpResponse:
    lines = json_lines(seen).encode()
    return HttpResponse(200, lines, "application/jsonl", (_attachment(seen.record, "jsonl"),))


def _attachment(record: SessionRecord, ending: str) -> tuple[str, str]:
    return "Content-Disposition", f'attachment; filename="session-{record.number}.{ending}"'


def _number(request: HttpRequest, name: str) -> float:
    """A number of the query, 0 when there is none."""
    value = parse_qs(urlsplit(request.head.target).query).get(name, ["0"])[0]
    return float(value) if re.fullmatch(r"\d{1,9}(\.\d{1,9})?", value) else 0.0


async def _json(request: HttpRequest, data: Any) -> HttpResponse:
    body = json.dumps(data, separators=(",", ":")).encode()
    return await asyncio.to_thread(_compressed, request, body, "application/json", _NO_STORE)


def _compressed(request: HttpRequest, body: bytes, content_type: str, *headers: tuple[str, str]) -> HttpResponse:
    accepted = request.head.header("accept-encoding") or ""
    if len(body) >= _SHORTEST_GZIP and "gzip" in accepted:
        headers = (*headers, ("Content-Encoding", "gzip"))
        body = gzip.compress(body, 5, mtime=0)
    return HttpResponse(200, body, content_type, headers)


def _on_session(path: str, name: str, summary: str, media: str) -> Operation:
    return Operation("GET", f"/_mock/sessions/{{number}}/{path}", name, summary, media, errors=(404,))


#: To be given to the server as its ``routes``.
ROUTES: tuple[Route, ...] = (
    (Operation("GET", "/_mock/", "inspect", "The inspector: a page that shows the sessions.", "text/html"), _page),
    (Operation("GET", "/_mock/events", "followSessions", "The sessions as they change.", "text/event-stream"), _events),
    (
        _on_session("view", "viewSession", "A session as the inspector shows it.", "application/json"),
        _of_session(_view),
    ),
    (
        _on_session("peaks", "getPeaks", "The waveform, one byte per peak.", "application/octet-stream"),
        _of_session(_peaks),
    ),
    (
        _on_session("clip.wav", "getClip", "Up to two minutes of audio from ?from= seconds on.", "audio/wav"),
        _of_session(_clip),
    ),
    (
        _on_session("report.html", "getReport", "The inspector with this session inside.", "text/html"),
        _of_session(_report),
    ),
    (
        _on_session("har", "getHar", "The session as HAR 1.2 with _webSocketMessages.", "application/har+json"),
        _of_session(_har),
    ),
    (_on_session("jsonl", "getJsonLines", "The session as JSON lines.", "application/jsonl"), _of_session(_jsonl)),
)
