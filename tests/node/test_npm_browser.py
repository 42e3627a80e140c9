"""`rtstt-shim/browser` in Debian's Chromium: the sockets of a page, corrected and watched."""

from __future__ import annotations

import http.server
import json
import os
import shutil
import threading
from collections.abc import Callable, Iterator
from typing import Any, ClassVar

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

import build_npm
from rtstt_testkit import ThreadedRealtimeServer

from .scripted import close, serving, text

pytestmark = [pytest.mark.browser]

_NAMES = ("chromium", "chromium-browser", "google-chrome")
KEY = "sk-proj-canary" + "A1b2C3d4" * 5

# What a web client does: configure the session, send a second of sound, read until the transcript or the end.
SESSION = """
async ({ url, protocols, socketClass = 'WebSocket' }) => {
  const socket = new globalThis[socketClass](url, protocols);
  const seen = { url: socket.url, events: [], transcript: null, close: null };
  const send = (event) => socket.readyState === 1 && socket.send(JSON.stringify(event));
  const samples = new Int16Array(24_000).map((_, i) => 9000 * Math.sin(i / 20));
  const audio = btoa(Array.from(new Uint8Array(samples.buffer), (byte) => String.fromCharCode(byte)).join(''));
  await new Promise((done) => {
    socket.onopen = () => {
      const input = { transcription: { model: 'gpt-4o-mini-transcribe' }, turn_detection: null };
      send({ type: 'session.update', session: { type: 'transcription', audio: { input } } });
      send({ type: 'input_audio_buffer.append', audio });
      send({ type: 'input_audio_buffer.commit' });
    };
    socket.onmessage = ({ data }) => {
      const event = JSON.parse(data);
      seen.events.push(event.type);
      if (event.type.endsWith('transcription.completed')) {
        seen.transcript = event.transcript;
        socket.close();
      }
    };
    socket.onclose = ({ code, reason }) => {
      seen.close = [code, reason];
      done();
    };
  });
  return seen;
}
"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A browser without windows; tests are skipped where none is installed."""
    found = os.environ.get("RTSTT_CHROMIUM") or next(filter(None, map(shutil.which, _NAMES)), None)
    if found is None:
        pytest.skip("Chromium is not installed (apt-get install chromium); RTSTT_CHROMIUM may name it")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A site with the package as it is published, and pages that load it or not; its origin."""
    folder = tmp_path_factory.mktemp("site")
    (folder / "rtstt-shim.mjs").write_text(build_npm.files()["browser/index.mjs"], encoding="utf-8")
    shim = "import { fixUrl } from './rtstt-shim.mjs'; globalThis.fixUrl = fixUrl;"
    settings = "globalThis.RTSTT_SHIM_HOSTS = '127.0.0.1';"
    pages = {
        "without": "",
        "with": shim,
        "log": "globalThis.RTSTT_SHIM_LOG = 'info'; await import('./rtstt-shim.mjs');",
    }
    pages["twice"] = f"{shim} await import('./rtstt-shim.mjs?again');"
    pages["disabled"] = "globalThis.RTSTT_SHIM_DISABLE = '1'; await import('./rtstt-shim.mjs');"
    for name, code in pages.items():
        head = f"<!doctype html><title>{name}</title><link rel=icon href=data:,><script>{settings}</script>"
        (folder / f"{name}.html").write_text(f"{head}<script type=module>{code} globalThis.ready = true;</script>")

    class Handler(http.server.SimpleHTTPRequestHandler):
        extensions_map: ClassVar = {".mjs": "text/javascript", ".html": "text/html; charset=utf-8"}

        def __init__(self, *args: Any) -> None:
            super().__init__(*args, directory=str(folder))

        def log_message(self, format: str, *args: Any) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


class Opened:
    """A page, and what it printed."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.warnings: list[str] = []
        self.errors: list[str] = []
        page.on("console", lambda message: message.text.startswith("rtstt_shim") and self.warnings.append(message.text))
        page.on("pageerror", lambda error: self.errors.append(str(error)))

    def session(self, url: str, protocols: list[str] | None = None, **more: str) -> Any:
        default = ["realtime", f"openai-insecure-api-key.{KEY}"]
        return self.page.evaluate(SESSION, {"url": url, "protocols": protocols or default, **more})

    def warning(self) -> str:
        """The only warning, as soon as it is printed."""
        if not self.warnings:
            self.page.wait_for_event("console", lambda message: message.text.startswith("rtstt_shim"), timeout=60_000)
        (line,) = self.warnings
        assert KEY not in line
        return line


@pytest.fixture
def opened(browser: Browser, site: str) -> Iterator[Callable[[str], Opened]]:
    """Open one of the site's pages."""
    context = browser.new_context()

    def open_page(name: str) -> Opened:
        made = Opened(context.new_page())
        made.page.goto(f"{site}/{name}.html")
        made.page.wait_for_function("globalThis.ready", timeout=60_000)
        return made

    yield open_page
    context.close()


@pytest.fixture
def mock(site: str) -> Iterator[ThreadedRealtimeServer]:
    with ThreadedRealtimeServer(strict=False, transcripts=["Hello from the mock."] * 9, allow_origins=[site]) as server:
        yield server


def test_the_url_is_corrected_and_the_page_gets_its_transcript(
    opened: Callable[[str], Opened], mock: ThreadedRealtimeServer
) -> None:
    url = f"{mock.url}?intent=transcription&model=gpt-4o-mini-transcribe"
    without = opened("without").session(url)
    assert (without["transcript"], without["close"]) == (None, [4000, "invalid_request_error.invalid_model"])
    for name in ("with", "twice"):
        page = opened(name)
        found = page.session(url)
        assert (found["url"], found["transcript"]) == (f"{mock.url}?intent=transcription", "Hello from the mock.")
        assert (page.warnings, page.errors) == ([], [])
    disabled = opened("disabled")
    assert disabled.session(url)["close"] == without["close"]
    assert disabled.warnings == []


def test_a_refusal_is_one_warning_without_the_key_and_an_event_of_the_page(
    opened: Callable[[str], Opened], mock: ThreadedRealtimeServer
) -> None:
    page = opened("with")
    page.page.evaluate("addEventListener('rtstt_shim:failure', ({ detail }) => { globalThis.failure = detail; })")
    bad = ["realtime", f"openai-insecure-api-key.{KEY}-invalid"]
    for _ in range(3):
        assert page.session(f"{mock.url}?intent=transcription", bad)["close"][0] == 3000
    line = page.warning()
    assert "realtime transcription session failed: the API key was refused" in line
    assert line.endswith(f" [WebSocket, {mock.url}?intent=transcription]")
    failure = page.page.evaluate("globalThis.failure")
    assert (failure["diagnosis"], failure["close_code"], failure["library"]) == ("invalid-api-key", 3000, "WebSocket")
    assert KEY not in json.dumps(failure)


def test_the_beta_subprotocol_is_unchanged_and_named(
    opened: Callable[[str], Opened], mock: ThreadedRealtimeServer
) -> None:
    page = opened("with")
    offered = ["realtime", f"openai-insecure-api-key.{KEY}", "openai-beta.realtime-v1"]
    assert page.session(f"{mock.url}?intent=transcription", offered)["transcript"] is None
    assert "the subprotocol `openai-beta.realtime-v1`; the endpoint has refused it since 2026-05-12" in page.warning()
    assert "openai-beta.realtime-v1" in mock.sessions[-1].handshake.subprotocols


def test_what_the_server_does_to_a_socket_is_one_warning(opened: Callable[[str], Opened], refusing_port: int) -> None:
    """A close code, an end without one, a failed item, no server; nothing of a socket that is not realtime."""
    error = {"type": "server_error", "code": None, "message": "The server had an error.", "param": None}
    failed = json.dumps({"type": "conversation.item.input_audio_transcription.failed", "error": error})
    cases: list[tuple[dict[str, Any], str]] = [
        ({"frames": [close(1011, "keepalive ping timeout")]}, "closed 1011 keepalive ping timeout"),
        ({"frames": [], "end": "hang up"}, "closed 1006 without a close frame"),
        ({"frames": [text(failed), close(1000)]}, "realtime transcription item failed"),
    ]
    for arguments, wanted in cases:
        page = opened("with")
        with serving(**arguments) as port:
            page.session(f"ws://127.0.0.1:{port}/v1/realtime?intent=transcription")
        assert wanted in page.warning()
    page = opened("with")
    page.session(f"ws://127.0.0.1:{refusing_port}/v1/realtime?intent=transcription")
    assert "the browser keeps the reason from the page and shows it in its console" in page.warning()
    page = opened("with")
    with serving(frames=[close(4000, "refused")]) as port:
        assert page.session(f"ws://127.0.0.1:{port}/chat")["close"] == [4000, "refused"]
    assert (page.warnings, page.errors) == ([], [])


def test_websocket_stays_what_a_page_knows(opened: Callable[[str], Opened], mock: ThreadedRealtimeServer) -> None:
    page = opened("with")
    script = """(url) => {
      class Own extends WebSocket {}
      globalThis.Own = Own;
      const [socket, own] = [new WebSocket(url), new Own(new URL(url))];
      const errors = [[], ['ws://'], [{ toString: () => 'ws://' }], [Symbol('realtime')]].map((args) => {
        try { new WebSocket(...args); } catch (error) { return error.name; }
      });
      const known = [socket instanceof WebSocket, own instanceof Own, own instanceof WebSocket,
        socket.constructor === WebSocket, WebSocket.name, WebSocket.length, WebSocket.OPEN,
        Object.keys(socket).length, errors, Object.prototype.toString.call(socket), fixUrl(url).rule];
      socket.close(); own.close();
      return known;
    }"""
    known = page.page.evaluate(script, f"{mock.url}?model=whisper-1")
    errors = ["TypeError", "SyntaxError", "SyntaxError", "TypeError"]
    assert known == [True, True, True, True, "WebSocket", 1, 1, 0, errors, "[object WebSocket]", "set-intent"]
    assert page.session(f"{mock.url}?model=whisper-1", socketClass="Own")["transcript"] == "Hello from the mock."
    assert (page.warnings, page.errors) == ([], [])


def test_the_first_corrected_url_is_printed_where_it_is_asked_for(
    opened: Callable[[str], Opened], mock: ThreadedRealtimeServer
) -> None:
    page = opened("log")
    page.session(f"{mock.url}?model=whisper-1")
    assert page.warning() == (
        f"rtstt_shim: corrected the URL of a WebSocket connection from {mock.url}?model=whisper-1 to "
        f"{mock.url}?intent=transcription: OpenAI refuses a transcription model as the session model"
    )
