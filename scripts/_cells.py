"""Real published clients: how to install one, the ways to drive it, and what came of it.

A cell is one version of one client in an environment and a process of its own; its cases are the ways to use it, each
under the true host name, routed to a mock. The demo, the client tests and the README's table read the same table, and
what is expected of a case is what ``rtstt_core.clients.python_table`` says of that version.
"""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Literal, NamedTuple

import _env
from rtstt_core.clients.python_table import PYTHON_CLIENTS, KnownClient
from rtstt_core.url_rule import is_native
from rtstt_testkit import ThreadedRealtimeServer
from rtstt_testkit.routing import route_env
from rtstt_testkit.speech import load

DRIVERS = Path(__file__).parent / "drivers"
TEXT = load("hello").text
"""What is said in the recording that the drivers stream."""

SECONDS = 180
"""How long one session may take, the import of the client included."""

MODEL = "gpt-4o-mini-transcribe"
API, EU, US, DOT = "api.openai.com", "eu.api.openai.com", "us.api.openai.com", "api.openai.com."
GATEWAY, AZURE = "gateway.example.com", "resource.openai.azure.com"

Expected = Literal["affected", "clean", "routed", "unroutable", "unsaveable", "left"]
"""What is expected of a case.

``affected``: refused without the shim, a transcript with it. ``clean``: the same transcript with and without.
``routed``: a gateway's, the same with and without, and `model` stays in the URL. ``unroutable``: a gateway's, which
refuses this client because it sends no `model`, with and without. ``unsaveable``: refused with and without, and with
the shim a warning that says why. ``left``: refused with and without, since the URL is none that the shim is certain of.
"""


COMES_OUT: dict[Expected, tuple[str, str]] = {
    "affected": ("`invalid_model`, close 4000, 0 transcripts", "transcript"),
    "clean": ("transcript", "the same"),
    "routed": ("transcript, routed by `model`", "the same"),
    "unroutable": ("HTTP 403: it sends no `model`", "the same"),
    "left": ("`invalid_model`, close 4000, 0 transcripts", "the same: not a URL it is certain of"),
    "unsaveable": ("`beta_api_shape_disabled`, close 4000", "the same, and a warning that says why"),
}
"""In words, without the shim and with it."""


class Case(NamedTuple):
    """A way to use a client.

    Attributes:
        host: The host name it connects to.
        words: The driver's further arguments.
        what: The way, where the client's name does not tell, as people call it.
        told: Whether the application puts `model` into the URL itself.
        beta: Whether it uses a part of the client that OpenAI no longer serves.
        left: Whether its URL is none that the shim is certain of.
        demo: Whether the demo shows it.
    """

    host: str = API
    words: tuple[str, ...] = ()
    what: str = ""
    told: bool = False
    beta: bool = False
    left: bool = False
    demo: bool = False

    @property
    def profile(self) -> Literal["openai", "gateway", "azure"]:
        """Whose rules the server follows."""
        if is_native(f"wss://{self.host}/v1/realtime"):
            return "openai"
        return "azure" if self.host == AZURE else "gateway"


class Cell(NamedTuple):
    """One version of one client.

    Attributes:
        package: Its name on PyPI.
        version: Its version.
        driver: The script in ``drivers/``.
        cases: The ways to use it.
        requirements: What pip has to install.
        oldest: The oldest Python 3 it installs on, as 10 for 3.10.
        newest: The newest.
        missing: Why it cannot be installed, as a clause; empty where it can.
        everyday: Whether the tests without the slow cells take it.
        alone: What pip has to install without what it depends on.
    """

    package: str
    version: str
    driver: str
    cases: tuple[Case, ...]
    requirements: tuple[str, ...]
    oldest: int = _env.OLDEST
    newest: int = _env.NEWEST
    missing: str = ""
    everyday: bool = False
    alone: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        return f"{self.package} {self.version}"

    def expected(self, case: Case) -> Expected:
        """What the table of clients says of a case."""
        known = client(self.package).at(self.version)
        if case.profile == "azure":
            return "clean"
        if case.profile == "gateway":
            return "routed" if known.sends_to_gateways(case.told) else "unroutable"
        if case.beta or known.beta:
            return "unsaveable"
        if case.left:
            return "left"
        return "affected" if known.refused_at(case.host, case.told) else "clean"

    def python(self, wheel: Path) -> Path:
        """The interpreter of its environment.

        Raises:
            _env.Unavailable: It cannot be made.
        """
        interpreter = self.interpreter()
        if interpreter is None:
            raise _env.Unavailable(f"{self.name} wants {self.pythons}, which is not here; install one")
        return _env.environment(self.requirements, python=interpreter, wheel=wheel, alone=self.alone)

    def interpreter(self) -> _env.Python | None:
        """A Python it installs on: the one running, else the newest here; None where there is none."""
        running = _env.interpreter()
        here = [running, *(found for _, found in sorted(_env.interpreters().items(), reverse=True))]
        return next((found for found in here if self.oldest <= found.minor <= self.newest), None)

    @property
    def pythons(self) -> str:
        return f"a Python from 3.{self.oldest} to 3.{self.newest}"


def client(package: str) -> KnownClient:
    """What is known of a client, by its name on PyPI."""
    return next(known for known in PYTHON_CLIENTS if known.name == package)


def at(host: str, *words: str, what: str = "", **attributes: bool) -> Case:
    """A case at a host, for the drivers that take a base URL."""
    return Case(host, ("--base-url", f"wss://{host}/v1", *words), what, **attributes)


# -- openai


def _openai(version: str, everyday: bool = False) -> Cell:
    """`model` given, omitted and None, at hosts of OpenAI's and a gateway; the beta client."""
    numbers = tuple(map(int, version.split(".")))
    cases = []
    for name, words, beta in (("async", (), API), ("sync", ("--sync",), EU)):  # the same failure is told once a minute
        given = f"{name}, `model` given" if numbers >= (2, 1, 0) else name
        cases.append(at(API, *words, what=given, told=True, demo=True))
        cases.append(at(EU, *words, what=given, told=True))
        cases.append(at(GATEWAY, *words, what=given, told=True))
        cases.append(at(API, "--model", "None", *words, what=f"{name}, `model=None`", told=True))
        if numbers >= (2, 1, 0):  # before, it is a TypeError
            cases.append(at(API, "--model", "omitted", *words, what=f"{name}, `model` left out"))
        if numbers >= (3, 3, 1):
            region = ("--region", "us", *words)
            cases.append(Case(US, region, f"{name}, data_residency, `model` given", told=True))
            cases.append(Case(US, (*region, "--model", "omitted"), f"{name}, data_residency, `model` left out"))
        cases.append(at(beta, "--beta", *words, what=f"{name}, client.beta.realtime", told=True, beta=True))
    requirements = (f"openai[realtime]=={version}",)
    return Cell("openai", version, "openai_sdk.py", tuple(cases), requirements, everyday=everyday)


# -- livekit-plugins-openai


def _livekit(version: str, *beside: str, everyday: bool = False) -> Cell:
    """OpenAI's hosts, the global one also with a trailing dot, a gateway, and Azure."""
    cases = [at(host, demo=host == EU) for host in (API, EU, US, DOT, GATEWAY)]
    cases.append(Case(AZURE, ("--azure", "--base-url", f"https://{AZURE}/openai"), "STT.with_azure()"))
    requirements = (f"livekit-plugins-openai=={version}", f"livekit-agents=={version}", *beside)
    return Cell("livekit-plugins-openai", version, "livekit_python.py", tuple(cases), requirements, everyday=everyday)


# -- litellm


def _litellm(version: str, missing: str = "") -> tuple[Cell, Cell]:
    """The SDK and the proxy, each in front of OpenAI's hosts and of a gateway.

    Args:
        version: Of litellm.
        missing: Why the proxy cannot be installed.
    """
    hosts = (API, EU, GATEWAY)
    sdk = tuple(at(host, what="SDK") for host in hosts)
    proxied = ("--hosts", ",".join(hosts), "--name")
    proxy = tuple(Case(host, (*proxied, host), "proxy, for the openai SDK") for host in hosts)
    extra = f"litellm[proxy]=={version}"
    alone = (f"litellm=={version}", "websockets<16")
    return (
        Cell("litellm", version, "litellm_sdk.py", sdk, alone if missing else (extra,), newest=13),
        Cell("litellm", version, "litellm_proxy.py", proxy, (extra,), newest=13, missing=missing),
    )


# -- pipecat, openai-agents and speech-to-speech


def _pipecat(version: str) -> Cell:
    """OpenAI's hosts and a gateway; and a base URL that holds `model`, of which pipecat makes one broken value."""
    told = ("--model", "in the base URL")
    cases = (
        *(at(host) for host in (API, EU, GATEWAY)),
        at(API, *told, what="`?model=` in its base_url", told=True, left=True),
    )
    return Cell("pipecat-ai", version, "pipecat_stt.py", cases, (f"pipecat-ai[openai]=={version}",), newest=13)


def _agents(version: str, follows_base_url: bool) -> Cell:
    """OpenAI's hosts; and, from the versions on that follow the client's base URL, a gateway and a default query."""
    cases = [at(API)]
    if follows_base_url:
        told = ("--model", "default_query")
        cases += [at(EU), at(GATEWAY)]
        cases += [at(host, *told, what="`model` in default_query", told=True) for host in (API, EU, GATEWAY)]
    return Cell("openai-agents", version, "openai_agents.py", tuple(cases), (f"openai-agents[voice]=={version}",))


def _speech_to_speech(version: str) -> Cell:
    """OpenAI's hosts and a gateway, with what its recognizer needs only: its local models want glibc 2.39."""
    needs = ("openai[realtime]==3.54.0", "numpy", "soxr")
    cases = tuple(at(host) for host in (API, EU, US, GATEWAY))
    alone = (f"speech-to-speech=={version}",)
    return Cell("speech-to-speech", version, "speech_to_speech_stt.py", cases, needs, alone=alone)


# -- applications' own code


def _application(package: str, version: str, *transports: tuple[str, str], **options: Any) -> Cell:
    """Each way to connect with a library, at an OpenAI host with and without `model`, and at a gateway with it."""
    beside = options.pop("beside", ())
    cases = []
    for transport, what in transports:
        words = ("--transport", *transport.split())
        cases += [
            at(API, *words, what=what, told=True, demo=True),
            at(EU, *words, what=what, told=True),
            at(API, *words, "--model", "omitted", what="no `model`"),
            at(GATEWAY, *words, what=what, told=True),
        ]
    return Cell(package, version, "application.py", tuple(cases), (f"{package}=={version}", *beside), **options)


_ASYNCIO, _LOOP = ("websockets", "asyncio"), ("websockets-reconnecting", "asyncio, `async for connect`")
_SYNC, _LEGACY = ("websockets-sync", "sync"), ("websockets-legacy", "legacy")
_UVLOOP = ("websockets --uvloop", "asyncio, uvloop")
_WEBSOCKETS = (_ASYNCIO, _LOOP, _SYNC, _LEGACY)
_AIOHTTP = (("aiohttp", ""),)
_WEBSOCKET_CLIENT = (("websocket-client", "create_connection"), ("websocket-app", "WebSocketApp"))

CELLS = (
    _openai("1.103.0"),
    _openai("1.109.1"),
    _openai("2.0.1", everyday=True),
    _openai("2.1.0"),
    _openai("2.54.0"),
    _openai("3.3.1"),
    _openai("3.4.0"),
    _openai("3.54.0", everyday=True),
    _livekit("1.6.5", "openai<3"),
    _livekit("1.6.6", "openai<3"),
    _livekit("1.7.1"),
    _livekit("1.8.2"),
    _livekit("1.8.3"),
    _livekit("1.8.9", everyday=True),
    *_litellm("1.74.9"),
    *_litellm("1.79.3"),
    *_litellm("1.84.0"),
    *_litellm("1.92.2"),
    *_litellm("1.105.7"),
    *_litellm("1.106.0"),
    *_litellm("1.109.1", missing="its proxy wants litellm-proxy-extras 0.4.113, which PyPI does not have"),
    _pipecat("0.0.102"),
    _pipecat("0.0.108"),
    _pipecat("1.14.0"),
    _agents("0.2.11", follows_base_url=False),
    _agents("0.22.0", follows_base_url=False),
    _agents("0.24.0", follows_base_url=True),
    _speech_to_speech("1.1.0"),
    _application("websockets", "13.1", *_WEBSOCKETS, everyday=True),
    _application("websockets", "14.2", *_WEBSOCKETS),
    _application("websockets", "15.0.1", *_WEBSOCKETS, _UVLOOP, beside=("uvloop==0.22.1",), everyday=True),
    _application("websockets", "16.1.1", *_WEBSOCKETS),
    _application("websockets", "17.4", *_WEBSOCKETS, oldest=11),
    _application("aiohttp", "3.9.5", *_AIOHTTP, newest=12),
    _application("aiohttp", "3.10.11", *_AIOHTTP, newest=13),
    _application("aiohttp", "3.11.18", *_AIOHTTP, newest=13),
    _application("aiohttp", "3.12.15", *_AIOHTTP, newest=13),
    _application("aiohttp", "3.13.2", *_AIOHTTP),
    _application(
        "aiohttp", "3.14.5", *_AIOHTTP, ("aiohttp --uvloop", "uvloop"), beside=("uvloop==0.22.1",), everyday=True
    ),
    _application("websocket-client", "1.6.4", *_WEBSOCKET_CLIENT),
    _application("websocket-client", "1.7.0", *_WEBSOCKET_CLIENT),
    _application("websocket-client", "1.8.0", *_WEBSOCKET_CLIENT),
    _application("websocket-client", "1.9.2", *_WEBSOCKET_CLIENT, everyday=True),
)


# -- what came of it


_CUT = "1006"  # no CLOSE frame, from neither side


class Observed(NamedTuple):
    """What came of one case.

    Attributes:
        urls: The URLs the server was asked for, one a connection.
        closes: The close codes and reasons, one a connection.
        said: The driver's line.
        stderr: What the process wrote to stderr meanwhile.
        errors: The codes of the ``error`` events that the server sent.
    """

    urls: list[str]
    closes: list[str]
    said: dict[str, Any]
    stderr: str
    errors: tuple[str | None, ...] = ()

    @property
    def told(self) -> str:
        """In a few words, for a table."""
        if self.said.get("transcript") is not None:
            return f'"{self.said["transcript"]}"'
        closes = ", ".join(dict.fromkeys(close.replace("invalid_request_error.", "") for close in self.closes))
        silent = "" if self.stderr or self.said.get("stderr") else ", no log line"
        return f"0 transcripts{silent} ({closes or 'never connected'})"

    @property
    def refused(self) -> bool:
        """Whether the endpoint refused it as #1756 describes, and no transcript came."""
        return self.refused_with("invalid_model")

    def refused_with(self, code: str) -> bool:
        """Whether the endpoint refused every connection with this error, and no transcript came.

        One that was cut is left out: a client that connects again and again may be stopped before it is answered.
        """
        return self.said.get("transcript") is None and {close for close in self.closes if close != _CUT} == {
            f"4000 invalid_request_error.{code}"
        }

    @property
    def rejections(self) -> list[str]:
        """The closes by which the server ended a connection, not the client."""
        return [close for close in self.closes if close.split()[0] not in ("1000", "1001", _CUT)]

    @property
    def transcribed(self) -> bool:
        """Whether the deltas and the words of the recording came through the client's own API."""
        events = self.said.get("events", {})
        # One of a client's two ways to tell them, or turns only: openai-agents gives no deltas.
        names = ("conversation.item.input_audio_transcription.delta", "INTERIM_TRANSCRIPT", "turn")
        deltas = any(events.get(name) for name in names)
        return bool(self.said.get("transcript") == TEXT and deltas)


def observe_cell(cell: Cell, cases: Sequence[Case], wheel: Path, *, shim: bool) -> list[Observed]:
    """Drive a cell's client in one process, case after case.

    Args:
        cell: The cell.
        cases: Of the cell.
        wheel: This project's wheel.
        shim: Whether the process imports the shim.

    Raises:
        _env.Unavailable: The environment cannot be made.
        RuntimeError: The driver did not get as far as saying what came of a case.
    """
    command = [cell.python(wheel), DRIVERS / cell.driver, "--cases", *(["--shim"] if shim else [])]
    with ExitStack() as stack:
        stderr = stack.enter_context(tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace"))
        servers = {
            profile: ThreadedRealtimeServer(strict=False, profile=profile)
            for profile in dict.fromkeys(case.profile for case in cases)
        }
        for server in servers.values():
            stack.enter_context(server)
        routes = {case.host.removesuffix("."): ("127.0.0.1", servers[case.profile].port) for case in cases}
        env = {**_plain_environ(), **stack.enter_context(route_env(routes))}
        pipe = subprocess.PIPE
        process = stack.enter_context(
            subprocess.Popen(
                [str(word) for word in command], stdin=pipe, stdout=pipe, stderr=stderr, text=True, env=env
            )
        )
        stack.callback(process.kill)
        assert process.stdin
        assert process.stdout
        seen = []
        for case in cases:
            server = servers[case.profile]
            before, written = len(server.sessions), _size(stderr)
            with _killed_after(process, SECONDS):
                process.stdin.write(json.dumps(case.words) + "\n")
                process.stdin.flush()
                line = process.stdout.readline()
            if not line:
                raise RuntimeError(
                    f"{cell.name} ({cell.driver} {' '.join(case.words)}) ended: {_tail(stderr, written)}"
                )
            seen.append((server.sessions[before:], case.host, json.loads(line), _tail(stderr, written)))
        process.stdin.close()
        with _killed_after(process, SECONDS):
            process.wait()
    # Now that the servers have stopped, every session knows how it ended.
    return [_observed(sessions, host, said, text) for sessions, host, said, text in seen]


def observe(command: Sequence[str | Path], host: str) -> Observed:
    """Run one driver with its own arguments, its host routed to a mock.

    Args:
        command: The interpreter, the driver and its arguments.
        host: The host name it connects to.

    Raises:
        RuntimeError: The driver did not get as far as saying what came of it.
    """
    with (
        ThreadedRealtimeServer(strict=False) as server,
        route_env({host: ("127.0.0.1", server.port)}) as routes,
    ):
        result = subprocess.run(
            [str(word) for word in command],
            capture_output=True,
            text=True,
            timeout=SECONDS,
            env={**_plain_environ(), **routes},
        )
        lines = result.stdout.splitlines()
        if result.returncode != 0 or not lines:
            raise RuntimeError(f"{command[1]} ended with {result.returncode}: {result.stderr.strip()[-2000:]}")
        return _observed(server.sessions, host, json.loads(lines[-1]), result.stderr)


def _plain_environ() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith(("RTSTT_", "OPENAI_"))}


@contextmanager
def _killed_after(process: subprocess.Popen[str], seconds: float) -> Iterator[None]:
    timer = threading.Timer(seconds, process.kill)
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _size(file: Any) -> int:
    return os.fstat(file.fileno()).st_size


def _tail(file: Any, start: int) -> str:
    return os.pread(file.fileno(), _size(file) - start, start).decode("utf-8", "replace")


def _observed(sessions: Iterable[Any], host: str, said: dict[str, Any], stderr: str) -> Observed:
    sessions = list(sessions)
    closes = [f"{end.code} {end.reason}".rstrip() for session in sessions if (end := session.close)]
    errors = [event["error"]["code"] for session in sessions for event in session.sent if event["type"] == "error"]
    return Observed([f"wss://{host}{_target(session)}" for session in sessions], closes, said, stderr, tuple(errors))


def _target(session: Any) -> str:
    query = "&".join(f"{name}={value}" for name, values in session.handshake.query.items() for value in values)
    return session.handshake.path + (f"?{query}" if query else "")


# -- livekit/agents-js#1756

#: The client of livekit/agents-js#1756, and what it needs beside it.
LIVEKIT_JS = {
    "@livekit/agents": "1.4.4",
    "@livekit/agents-plugin-openai": "1.4.4",
    "@livekit/rtc-node": "0.13.27",
    "zod": "3.25.76",
}
LIVEKIT_JS_FILE = "node_modules/@livekit/agents-plugin-openai/dist/stt.js"
LIVEKIT_JS_LINE = 'url.searchParams.set("model", model);'


def repaired(project: Path, folder: Path) -> Path:
    """A copy of an npm project, in which the LiveKit plugin lacks the one line that is the bug.

    Args:
        project: The npm project; its files are linked, not copied.
        folder: Where the copy goes, on the same file system.

    Raises:
        RuntimeError: The line is not there.
    """
    shutil.copytree(project, folder, symlinks=True, copy_function=os.link)
    bundle = folder / LIVEKIT_JS_FILE
    code = bundle.read_text(encoding="utf-8")
    if code.count(LIVEKIT_JS_LINE) != 1:
        raise RuntimeError(f"{LIVEKIT_JS_FILE} does not hold {LIVEKIT_JS_LINE!r} once")
    bundle.unlink()
    bundle.write_text(code.replace(LIVEKIT_JS_LINE, ""), encoding="utf-8")
    return folder


def node_driver(project: Path, shim: bool = False) -> list[str | Path]:
    """The command that streams speech through the LiveKit plugin of an npm project.

    Args:
        project: The npm project.
        shim: Whether to preload the shim.
    """
    preloads = [_package("rtstt_testkit") / "node" / "route.mjs"]
    if shim:
        preloads.append(_package("rtstt_core") / "node" / "register.mjs")
    imports = [f"--import={path.as_uri()}" for path in preloads]
    return ["node", *imports, DRIVERS / "livekit_js.mjs", "--project", project, "--wav", _speech()]


def _speech() -> Path:
    """The recording that says `TEXT`."""
    return _package("rtstt_testkit") / "speech" / "hello.wav"


def _package(name: str) -> Path:
    """The folder of an installed package, which is found without importing it."""
    spec = importlib.util.find_spec(name)
    if spec is None or spec.origin is None:
        raise RuntimeError(f"{name} is not installed")
    return Path(spec.origin).parent
