"""The published clients that the project runs: versions, ways to use them, and what is expected of each way.

The demo, the client tests and ``tests/COMPATIBILITY.md`` read this table. What is expected follows from
``rtstt_core.clients.python_table``, which ``rtstt-shim doctor`` reads too. ``_drive.py`` runs the clients.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, NamedTuple

import _env
from rtstt_core.clients.python_table import PYTHON_CLIENTS, KnownClient
from rtstt_core.url_rule import is_native

MODEL = "gpt-4o-mini-transcribe"
API, EU, US, DOT = "api.openai.com", "eu.api.openai.com", "us.api.openai.com", "api.openai.com."
GATEWAY, AZURE = "gateway.example.com", "resource.openai.azure.com"

Tier = Literal["default", "heavy", "release"]
"""When the tests run a version: always, with ``--all`` and ``--release``, or with ``--release`` only.

One version of each behavior that the table of known clients distinguishes is not ``release``; of the libraries that the
shim patches, neither are the oldest and the newest version.
"""

Expected = Literal["fixed", "works", "routed", "no-route", "both", "beta", "unchanged"]
"""What is expected of a way to use a client.

``fixed``: refused without the shim, a transcript with it. ``works``: the same transcript with and without. ``routed``:
the same transcript with and without from a gateway, which keeps `model` in the URL. ``no-route``: refused with and
without by a gateway, because the client sends no `model`. ``both``: refused with and without by Azure,
because the client sends `model` and `intent`. ``beta``: refused with and without for its beta header; with
the shim a warning gives the reason. ``unchanged``: refused with and without; the shim cannot be certain about the URL.
"""

RESULTS: dict[Expected, tuple[str, str]] = {
    "fixed": ("`invalid_model`, close 4000, 0 transcripts", "transcript"),
    "works": ("transcript", "the same"),
    "routed": ("transcript, routed by `model`", "the same"),
    "no-route": ("HTTP 403: it sends no `model`", "the same"),
    "both": ("HTTP 400: Azure accepts `model` or `intent`, not both", "the same"),
    "unchanged": ("`invalid_model`, close 4000, 0 transcripts", "the same: the correction is not certain"),
    "beta": ("`beta_api_shape_disabled`, close 4000", "the same, and a warning with the reason"),
}
"""The result in words, without the shim and with it."""


JOB_DRIVER = "livekit_python_job.py"
"""The driver that runs a client in a LiveKit job process."""


class Usage(NamedTuple):
    """A way to use a client.

    Attributes:
        host: The host it connects to.
        arguments: Further arguments of the driver.
        name: What distinguishes it from the client's other usages, for people.
        passes_model: Whether the application puts `model` into the URL itself.
        beta: Whether it uses a part of the client that OpenAI no longer serves.
        uncertain: Whether its URL is one that the shim leaves unchanged.
        demo: Whether the demo shows it.
    """

    host: str = API
    arguments: tuple[str, ...] = ()
    name: str = ""
    passes_model: bool = False
    beta: bool = False
    uncertain: bool = False
    demo: bool = False

    @property
    def profile(self) -> Literal["openai", "gateway", "azure"]:
        """The mock's profile for the host."""
        if is_native(f"wss://{self.host}/v1/realtime"):
            return "openai"
        return "azure" if self.host == AZURE else "gateway"


class Client(NamedTuple):
    """One version of one client.

    Attributes:
        package: Its name on PyPI.
        version: Its version.
        driver: The script in ``drivers/``.
        usages: The ways to use it.
        requirements: What its environment needs.
        tier: When the tests run it.
        oldest: The oldest Python 3 it installs on, for example 10 for 3.10.
        newest: The newest.
        missing: Why it cannot be installed, as a clause; empty if it can.
        no_deps: What its environment needs without its dependencies.
    """

    package: str
    version: str
    driver: str
    usages: tuple[Usage, ...]
    requirements: tuple[str, ...]
    tier: Tier = "release"
    oldest: int = _env.OLDEST
    newest: int = _env.NEWEST
    missing: str = ""
    no_deps: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The package and the version."""
        return f"{self.package} {self.version}"

    @property
    def in_demo(self) -> bool:
        """Whether the demo runs it: what the tests always run, and a LiveKit job process."""
        return self.tier == "default" or (self.tier == "heavy" and self.driver == JOB_DRIVER)

    def expected(self, usage: Usage) -> Expected:
        """Return what the table of known clients implies for a usage."""
        known = known_client(self.package).at(self.version)
        if usage.profile == "azure":
            return "both" if known.sends_to_gateways(usage.passes_model) else "works"
        if usage.profile == "gateway":
            return "routed" if known.sends_to_gateways(usage.passes_model) else "no-route"
        if usage.beta or known.beta:
            return "beta"
        if usage.uncertain:
            return "unchanged"
        return "fixed" if known.refused_at(usage.host, usage.passes_model) else "works"

    def python(self, wheel: Path) -> Path:
        """Return the interpreter of its environment.

        Raises:
            _env.SetupError: It cannot be built.
        """
        interpreter = self.interpreter()
        if interpreter is None:
            raise _env.SetupError(f"{self.name} needs {self.pythons}, which is not installed; install one")
        return _env.environment(self.requirements, python=interpreter, wheel=wheel, no_deps=self.no_deps)

    def interpreter(self) -> _env.Python | None:
        """Return a Python it installs on: the running one, else the newest; None if there is none."""
        running = _env.interpreter()
        installed = [running, *(found for _, found in sorted(_env.interpreters().items(), reverse=True))]
        return next((found for found in installed if self.oldest <= found.minor <= self.newest), None)

    @property
    def pythons(self) -> str:
        """The Python versions it installs on."""
        return f"a Python from 3.{self.oldest} to 3.{self.newest}"


def known_client(package: str) -> KnownClient:
    """Return the row of the table of known clients."""
    return next(known for known in PYTHON_CLIENTS if known.name == package)


def at(host: str, *arguments: str, name: str = "", **attributes: bool) -> Usage:
    """Return a usage at a host, for the drivers that take a base URL."""
    return Usage(host, ("--base-url", f"wss://{host}/v1", *arguments), name, **attributes)


def _openai(version: str, tier: Tier = "release") -> Client:
    """`model` given, omitted and None, at hosts of OpenAI's and a gateway; and the beta client."""
    numbers = tuple(map(int, version.split(".")))
    usages = []
    # The beta clients differ by host, since the shim logs the same failure once a minute.
    for kind, sync, beta_host in (("async", (), API), ("sync", ("--sync",), EU)):
        given = f"{kind}, `model` given" if numbers >= (2, 1, 0) else kind
        usages.append(at(API, *sync, name=given, passes_model=True, demo=True))
        usages.append(at(EU, *sync, name=given, passes_model=True))
        usages.append(at(GATEWAY, *sync, name=given, passes_model=True))
        usages.append(at(API, "--model", "None", *sync, name=f"{kind}, `model=None`", passes_model=True))
        if numbers >= (2, 1, 0):  # before, it is a TypeError
            usages.append(at(API, "--model", "omitted", *sync, name=f"{kind}, `model` left out"))
        if numbers >= (3, 3, 1):
            region = ("--region", "us", *sync)
            usages.append(Usage(US, region, f"{kind}, data_residency, `model` given", passes_model=True))
            usages.append(Usage(US, (*region, "--model", "omitted"), f"{kind}, data_residency, `model` left out"))
        beta = f"{kind}, client.beta.realtime"
        usages.append(at(beta_host, "--beta", *sync, name=beta, passes_model=True, beta=True))
    return Client("openai", version, "openai_sdk.py", tuple(usages), (f"openai[realtime]=={version}",), tier)


def _livekit(version: str, *beside: str, streaming: bool = False, tier: Tier = "release") -> Client:
    """OpenAI's hosts, the global one also with a trailing dot, a gateway, and Azure.

    Args:
        version: The version of the plugin and of livekit-agents.
        *beside: What else its environment needs.
        streaming: Also a streaming model, for which the plugin leaves `turn_detection` out.
        tier: When the tests run it.
    """
    usages = [at(host, demo=host == EU) for host in (API, EU, US, DOT, GATEWAY)]
    if streaming:
        usages.append(at(API, "--transcription-model", "gpt-realtime-whisper", name="gpt-realtime-whisper"))
    usages.append(Usage(AZURE, ("--azure", "--base-url", f"https://{AZURE}/openai/v1"), "STT.with_azure()"))
    requirements = (f"livekit-plugins-openai=={version}", f"livekit-agents=={version}", *beside)
    return Client("livekit-plugins-openai", version, "livekit_python.py", tuple(usages), requirements, tier)


def _livekit_jobs(version: str, *beside: str, tier: Tier = "release") -> Client:
    """Job processes, as a LiveKit worker starts them, at a regional host.

    Args:
        version: The version of the plugin and of livekit-agents.
        *beside: What else its environment needs.
        tier: When the tests run it.
    """
    usages = tuple(
        at(EU, "--start-method", method, name=f"job process, {method}", demo=method == "forkserver")
        for method in ("forkserver", "spawn")
    )
    requirements = (f"livekit-plugins-openai=={version}", f"livekit-agents=={version}", *beside)
    return Client("livekit-plugins-openai", version, JOB_DRIVER, usages, requirements, tier)


def _litellm(version: str, tier: Tier = "release", missing: str = "") -> tuple[Client, Client]:
    """The SDK and the proxy, each in front of OpenAI's hosts and of a gateway.

    Args:
        version: The version of litellm.
        tier: When the tests run it.
        missing: Why the proxy cannot be installed.
    """
    hosts = (API, EU, GATEWAY)
    sdk = tuple(at(host, name="SDK") for host in hosts)
    arguments = ("--hosts", ",".join(hosts), "--name")
    proxy = tuple(Usage(host, (*arguments, host), "proxy, for the openai SDK") for host in hosts)
    both = (f"litellm[proxy]=={version}",)
    only_sdk = (f"litellm=={version}", "websockets<16")
    return (
        Client("litellm", version, "litellm_sdk.py", sdk, only_sdk if missing else both, tier, newest=13),
        Client("litellm", version, "litellm_proxy.py", proxy, both, tier, newest=13, missing=missing),
    )


def _pipecat(version: str, tier: Tier = "release") -> Client:
    """OpenAI's hosts and a gateway; and a base URL with `model`, from which pipecat makes one broken value."""
    model = ("--model", "in the base URL")
    usages = (
        *(at(host) for host in (API, EU, GATEWAY)),
        at(API, *model, name="`?model=` in its base_url", passes_model=True, uncertain=True),
    )
    return Client("pipecat-ai", version, "pipecat_stt.py", usages, (f"pipecat-ai[openai]=={version}",), tier, newest=13)


def _agents(version: str, follows_base_url: bool, tier: Tier = "release") -> Client:
    """OpenAI's hosts; in the versions that follow the client's base URL also a gateway and a default query."""
    usages = [at(API)]
    if follows_base_url:
        model = ("--model", "default_query")
        usages += [at(EU), at(GATEWAY)]
        usages += [at(host, *model, name="`model` in default_query", passes_model=True) for host in (API, EU, GATEWAY)]
    requirements = (f"openai-agents[voice]=={version}",)
    return Client("openai-agents", version, "openai_agents.py", tuple(usages), requirements, tier)


def _speech_to_speech(version: str, tier: Tier = "release") -> Client:
    """OpenAI's hosts and a gateway, with only what its recognizer needs: its local models need glibc 2.39."""
    needs = ("openai[realtime]==3.54.0", "numpy", "soxr")
    usages = tuple(at(host) for host in (API, EU, US, GATEWAY))
    no_deps = (f"speech-to-speech=={version}",)
    return Client("speech-to-speech", version, "speech_to_speech_stt.py", usages, needs, tier, no_deps=no_deps)


def _application(
    package: str, version: str, *transports: tuple[str, str], tier: Tier = "release", beside: str = "", **options: Any
) -> Client:
    """An application's own code: each way to connect, at an OpenAI host with and without `model`, and at a gateway."""
    usages = []
    for transport, name in transports:
        arguments = ("--transport", *transport.split())
        usages += [
            at(API, *arguments, name=name, passes_model=True, demo=True),
            at(EU, *arguments, name=name, passes_model=True),
            at(API, *arguments, "--model", "omitted", name="no `model`"),
            at(GATEWAY, *arguments, name=name, passes_model=True),
        ]
    requirements = (f"{package}=={version}", *beside.split())
    return Client(package, version, "application.py", tuple(usages), requirements, tier, **options)


_WEBSOCKETS = (
    ("websockets", "asyncio"),
    ("websockets-reconnecting", "asyncio, `async for connect`"),
    ("websockets-sync", "sync"),
    ("websockets-legacy", "legacy"),
)
_WEBSOCKETS_UVLOOP = (*_WEBSOCKETS, ("websockets --uvloop", "asyncio, uvloop"))
_AIOHTTP = (("aiohttp", ""),)
_AIOHTTP_UVLOOP = (*_AIOHTTP, ("aiohttp --uvloop", "uvloop"))
_WEBSOCKET_CLIENT = (("websocket-client", "create_connection"), ("websocket-app", "WebSocketApp"))
_UVLOOP = "uvloop==0.22.1"

CLIENTS = (
    _openai("1.103.0"),
    _openai("1.109.1"),
    _openai("2.0.1", "default"),
    _openai("2.1.0"),
    _openai("2.54.0"),
    _openai("3.3.1"),
    _openai("3.4.0"),
    _openai("3.54.0", "default"),
    _livekit("1.6.5", "openai<3", tier="heavy"),
    _livekit("1.6.6", "openai<3"),
    _livekit("1.7.1"),
    _livekit("1.8.2"),
    _livekit("1.8.3"),
    _livekit("1.8.9", streaming=True, tier="default"),
    _livekit_jobs("1.6.6", "openai<3"),
    _livekit_jobs("1.8.9", tier="heavy"),
    *_litellm("1.74.9", "heavy"),
    *_litellm("1.79.3"),
    *_litellm("1.84.0"),
    *_litellm("1.92.2"),
    *_litellm("1.105.7", "heavy"),
    *_litellm("1.106.0", "heavy"),
    *_litellm("1.109.1", missing="its proxy needs litellm-proxy-extras 0.4.113, which PyPI does not have"),
    _pipecat("0.0.102"),
    _pipecat("0.0.108"),
    _pipecat("1.14.0", "heavy"),
    _agents("0.2.11", follows_base_url=False, tier="heavy"),
    _agents("0.22.0", follows_base_url=False),
    _agents("0.24.0", follows_base_url=True, tier="heavy"),
    _speech_to_speech("1.1.0", "heavy"),
    _application("websockets", "13.1", *_WEBSOCKETS, tier="default"),
    _application("websockets", "14.2", *_WEBSOCKETS),
    _application("websockets", "15.0.1", *_WEBSOCKETS_UVLOOP, beside=_UVLOOP, tier="default"),
    _application("websockets", "16.1.1", *_WEBSOCKETS),
    _application("websockets", "17.4", *_WEBSOCKETS, oldest=11, tier="heavy"),
    _application("aiohttp", "3.9.5", *_AIOHTTP, newest=12, tier="heavy"),
    _application("aiohttp", "3.10.11", *_AIOHTTP, newest=13),
    _application("aiohttp", "3.11.18", *_AIOHTTP, newest=13),
    _application("aiohttp", "3.12.15", *_AIOHTTP, newest=13),
    _application("aiohttp", "3.13.2", *_AIOHTTP),
    _application("aiohttp", "3.14.5", *_AIOHTTP_UVLOOP, beside=_UVLOOP, tier="default"),
    _application("websocket-client", "1.6.4", *_WEBSOCKET_CLIENT, tier="heavy"),
    _application("websocket-client", "1.7.0", *_WEBSOCKET_CLIENT),
    _application("websocket-client", "1.8.0", *_WEBSOCKET_CLIENT),
    _application("websocket-client", "1.9.2", *_WEBSOCKET_CLIENT, tier="default"),
)

LIVEKIT_JS = {
    "@livekit/agents": "1.4.4",
    "@livekit/agents-plugin-openai": "1.4.4",
    "@livekit/rtc-node": "0.13.27",
    "zod": "3.25.76",
}
"""The client of livekit/agents-js#1756, and the packages it needs."""
