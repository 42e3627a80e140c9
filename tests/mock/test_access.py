"""Who may use a mock: pages of other sites and foreign host names may not, a token protects the control API."""

import asyncio
import json
import queue
import shutil
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from talk import KEY
from test_http import exchange
from test_server import run

from rtstt_testkit import RealtimeServer, ThreadedRealtimeServer
from rtstt_testkit.mock.server.access import Access
from rtstt_testkit.mock.server.http import Head

UPGRADE = (
    "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    f"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nAuthorization: Bearer {KEY}\r\n"
)


def status(access: Access, host: str | None, origin: str | None = None) -> int:
    headers = [(name, value) for name, value in (("host", host), ("origin", origin)) if value is not None]
    refusal = access.refusal(Head("GET", "/", "1.1", headers))
    return 200 if refusal is None else refusal.status


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("127.0.0.1:40123", 200),
        ("127.9.9.9", 200),
        ("[::1]:40123", 200),
        ("localhost:40123", 200),
        ("LOCALHOST", 200),
        ("app.localhost", 200),
        ("api.openai.com", 200),
        ("us.api.openai.com", 200),
        ("resource.openai.azure.com", 200),
        ("mock:8080", 200),
        (None, 200),
        ("evil.example", 403),
        ("evil.example:40123", 403),
        ("localhost.evil.example", 403),
        ("api.openai.com.evil.example", 403),
        ("notapi.openai.com", 403),
        ("resource.openai.azure.com.evil.example", 403),
        ("notopenai.azure.com", 403),
        ("192.0.2.1", 403),
    ],
)
def test_a_foreign_host_is_refused(host, expected) -> None:
    assert status(Access("127.0.0.1", hosts=("Mock",)), host) == expected


def test_the_address_that_is_bound_is_a_host() -> None:
    assert status(Access("192.0.2.1"), "192.0.2.1:80") == 200
    assert status(Access("0.0.0.0"), "192.0.2.1:80") == 200
    assert status(Access("0.0.0.0"), "evil.example") == 403
    assert status(Access("mock.example"), "mock.example") == 200
    assert status(Access("127.0.0.1", hosts=("*",)), "anything.example") == 200


@pytest.mark.parametrize(
    ("origin", "expected"),
    [
        (None, 200),
        ("http://127.0.0.1:40123", 200),  # websocket-client sends its own
        ("http://localhost:5173", 200),
        ("http://127.0.0.1:40124", 403),
        ("https://evil.example", 403),
        ("http://localhost:5173.evil.example", 403),
        ("null", 403),
        ("http://[", 403),
        ("", 403),
    ],
)
def test_a_page_of_another_origin_is_refused(origin, expected) -> None:
    access = Access("127.0.0.1", origins=("http://localhost:5173",))
    assert status(access, "127.0.0.1:40123", origin) == expected
    assert status(Access("127.0.0.1", origins=("*",)), "127.0.0.1:40123", origin) == 200


@pytest.mark.parametrize(
    "head",
    [
        "GET /_mock/sessions HTTP/1.1\r\n",
        "POST /_mock/reset HTTP/1.1\r\nContent-Length: 0\r\n",
        "PUT /_mock/script HTTP/1.1\r\nContent-Length: 0\r\n",
        "POST /v1/realtime/client_secrets HTTP/1.1\r\nContent-Length: 0\r\n",
        f"GET /v1/realtime?intent=transcription HTTP/1.1\r\n{UPGRADE}",
    ],
)
@pytest.mark.parametrize(
    ("headers", "message"),
    [
        (
            "Host: 127.0.0.1\r\nOrigin: https://evil.example\r\n",
            "Pages of the origin 'https://evil.example' may not use the mock; allow it with --allow-origin, or "
            "allow_origins.",
        ),
        (
            "Host: evil.example\r\n",
            "The mock does not answer to the host 'evil.example'; allow it with --allow-host, or allow_hosts.",
        ),
    ],
)
def test_a_request_that_is_refused_changes_nothing_and_its_answer_names_the_option(head, headers, message) -> None:
    async def scenario():
        async with RealtimeServer(control=True, transcripts=["Hello."], strict=False) as server:
            answer = await exchange(server, f"{head}{headers}\r\n".encode())
            assert answer.startswith(b"HTTP/1.1 403 ")
            assert json.loads(answer.partition(b"\r\n\r\n")[2])["error"]["message"] == message
            assert b"access-control-allow-origin" not in answer.lower()
            assert server.sessions == []
            assert f"1 request was refused: {message}" in server.explain()

    run(scenario)


def test_an_origin_and_a_host_can_be_allowed() -> None:
    async def scenario():
        options = {"allow_origins": ["http://localhost:5173"], "allow_hosts": ["mock"], "strict": False}
        async with RealtimeServer(control=True, **options) as server:
            headers = "Host: mock\r\nOrigin: http://localhost:5173\r\n"
            answer = await exchange(server, f"GET /_mock/sessions HTTP/1.1\r\n{headers}\r\n".encode())
            assert answer.startswith(b"HTTP/1.1 200 ")
            assert b"\r\nAccess-Control-Allow-Origin: http://localhost:5173\r\n" in answer
            preflight = (
                f"OPTIONS /v1/realtime/client_secrets HTTP/1.1\r\n{headers}Access-Control-Request-Method: POST\r\n"
            )
            answer = await exchange(server, f"{preflight}Access-Control-Request-Method: POST\r\n\r\n".encode())
            assert answer.startswith(b"HTTP/1.1 204 ")
            assert b"\r\nAccess-Control-Allow-Headers: Authorization, Content-Type\r\n" in answer
            reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
            writer.write(f"GET /v1/realtime?intent=transcription HTTP/1.1\r\n{UPGRADE}{headers}\r\n".encode())
            assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 101 ")
            writer.close()

    run(scenario)


def test_the_control_api_wants_its_token_and_the_endpoint_does_not() -> None:
    async def scenario():
        async with RealtimeServer(control=True, token="of-the-test", strict=False) as server:

            async def asked(path: str, *headers: str) -> int:
                lines = "".join(f"{header}\r\n" for header in ("Host: 127.0.0.1", *headers))
                return int((await exchange(server, f"GET {path} HTTP/1.1\r\n{lines}\r\n".encode())).split(b" ")[1])

            assert await asked("/_mock/sessions") == 401
            assert await asked("/_mock/sessions", "Authorization: Bearer of-the-tes") == 401
            assert await asked("/_mock/sessions", "Authorization: of-the-test") == 401
            assert await asked("/_mock/sessions", "Authorization: Bearer of-the-test") == 200
            assert await asked("/v1/realtime/client_secrets") == 405
            assert "of-the-test" not in repr(server.access)

    run(scenario)


CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
PAGE = """
<script>
(async () => {
  const got = [];
  for (const [path, options] of [
    ["/_mock/sessions", {}],
    ["/_mock/reset", {method: "POST"}],
    ["/_mock/script", {method: "PUT", body: "default = 'evil'"}],
    ["/v1/realtime/client_secrets", {method: "POST", body: "{}"}],
  ]) {
    await fetch("http://127.0.0.1:PORT" + path, {...options, mode: "no-cors"}).catch(() => 0);
    await fetch("http://127.0.0.1:PORT" + path, options).then(r => r.text()).then(t => got.push(t), () => 0);
  }
  await new Promise(done => {
    const protocols = ["realtime", "openai-insecure-api-key.sk-of-the-page"];
    const socket = new WebSocket("ws://127.0.0.1:PORT/v1/realtime?intent=transcription", protocols);
    socket.onmessage = event => { got.push(event.data); done(); };
    socket.onclose = socket.onerror = done;
  });
  await fetch("/report", {method: "POST", body: JSON.stringify(got)});
})();
</script>
"""


@pytest.mark.heavy
@pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium")
@pytest.mark.parametrize("allowed", [False, True])
def test_a_page_of_another_origin_gets_nothing_in_a_browser(allowed, tmp_path) -> None:
    reports: queue.Queue[list[str]] = queue.Queue()

    class Site(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.answer(PAGE.replace("PORT", str(server.port)).encode())

        def do_POST(self) -> None:
            reports.put(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.answer(b"")

        def answer(self, body: bytes) -> None:
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Site) as site:
        threading.Thread(target=site.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{site.server_port}"
        options = {"allow_origins": [address] if allowed else [], "strict": False}
        with ThreadedRealtimeServer(control=True, transcripts=["Hello."], **options) as server:
            browser = subprocess.Popen(
                [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path}", address],
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
            try:
                got = reports.get(timeout=60)
            finally:
                browser.kill()
                browser.wait()
                site.shutdown()
            changed = server.cursor.script.default == "evil"
            assert (bool(got), bool(server.sessions), changed) == (allowed, allowed, allowed)
