"""The Python clients that were examined: what each version sends, as a table.

``rtstt-shim doctor``, the tests that run the real packages (``tests/clients``) and the compatibility table read it.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

from rtstt_core.patching.targets import numbers
from rtstt_core.url_rule import is_native

__all__ = ["PYTHON_CLIENTS", "KnownClient", "Sends", "VersionRange"]

Sends = Literal["never", "if given", "to gateways", "to regional hosts", "always", "unknown"]
"""When a client puts ``model`` into the URL of a transcription session.

``if given``: where the application gives it, whatever the host. ``to gateways``: to every host that is not OpenAI's,
which is right. ``to regional hosts``: to every host but exactly ``api.openai.com``; OpenAI's regional hosts refuse it.
``always``: whatever the application does. ``unknown``: these versions were not examined.
"""


class VersionRange(NamedTuple):
    """What a client does from one version on, until the next range begins.

    Attributes:
        since: The first version.
        sends: When it puts ``model`` into the URL.
        why: What it does, a clause.
        beta: Whether it sends the header ``OpenAI-Beta: realtime=v1`` too, which OpenAI has refused since 2026-05-12,
            whatever the URL: the shim cannot correct that.
        fixed_in: The first version without these faults, and what else that takes; None where there is none.
    """

    since: str
    sends: Sends
    why: str
    beta: bool = False
    fixed_in: str | None = None

    @property
    def affected(self) -> bool:
        """Whether it opens sessions that OpenAI refuses, whatever the application does."""
        return self.beta or self.sends in ("to regional hosts", "always")

    def refused_at(self, host: str, given: bool = False) -> bool:
        """Return whether OpenAI refuses its session.

        Args:
            host: The host it connects to.
            given: Whether the application puts ``model`` into the URL itself.
        """
        if not is_native(f"wss://{host}/v1/realtime"):
            return False
        return (
            self.beta
            or self.sends == "always"
            or (self.sends == "to regional hosts" and host.lower() != "api.openai.com")
            or (self.sends == "if given" and given)
        )

    def sends_to_gateways(self, given: bool = False) -> bool:
        """Return whether it puts ``model`` into the URL for a host that is not OpenAI's, which may route on it.

        Args:
            given: Whether the application puts it there itself.
        """
        return self.sends in ("to gateways", "to regional hosts", "always") or (self.sends == "if given" and given)


class KnownClient(NamedTuple):
    """A client on PyPI.

    Attributes:
        name: Its name there.
        transport: The library it connects with, by its name on PyPI.
        ranges: What it does, by version, the oldest first.
        examined: The newest version that was examined; None for a transport, which sends what it is given.
    """

    name: str
    transport: str
    ranges: tuple[VersionRange, ...]
    examined: str | None = None

    def at(self, version: str) -> VersionRange:
        """Return what a version of it does; the oldest range if the text is not a version."""
        return [self.ranges[0], *(row for row in self.ranges if numbers(row.since) <= numbers(version))][-1]

    def is_newer(self, version: str) -> bool:
        """Return whether a version is newer than the newest that was examined."""
        return self.examined is not None and numbers(version) > numbers(self.examined)

    def not_needed_from(self, version: str) -> str | None:
        """Return from which version the shim is not needed.

        Args:
            version: The version installed.

        Returns:
            Words that begin with the version. None where there is none, or where this version is not affected and older
            than the faults.
        """
        row = self.at(version)
        if row.affected:
            return row.fixed_in
        before = [older for older in self.ranges[: self.ranges.index(row)] if older.affected]
        return before[-1].fixed_in if before else None


_BETA = "sends the header OpenAI-Beta: realtime=v1, which OpenAI has refused since 2026-05-12"
_UNKNOWN = "this version was not examined"
_OWN_CODE = (VersionRange("0", "if given", "sends what the application puts into the URL"),)
_BETA_CLIENT = "client.beta.realtime is refused in every version"


def _always_beta(name: str, version: str, *, why: str = _BETA, transport: str = "websockets") -> KnownClient:
    """Return the row of a client that was tested in one version."""
    ranges = (VersionRange("0", "unknown", _UNKNOWN), VersionRange(version, "never", why, True))
    return KnownClient(name, transport, ranges, version)


PYTHON_CLIENTS = (
    KnownClient(
        "openai",
        "websockets",
        (
            VersionRange("0", "never", f"has no realtime client but client.beta.realtime: {_BETA_CLIENT}"),
            VersionRange(
                "1.103.0",
                "always",
                f"client.realtime.connect() cannot leave `model` out (openai/openai-python#2652); {_BETA_CLIENT}",
                fixed_in="2.1.0, with `model` left out",
            ),
            VersionRange(
                "2.1.0",
                "if given",
                f"sends `model` beside intent=transcription only where the application passes both; {_BETA_CLIENT}",
            ),
        ),
        "3.54.0",
    ),
    KnownClient(
        "litellm",
        "websockets",
        (
            VersionRange("0", "never", "opens no realtime transcription session"),
            VersionRange("1.74.9", "never", _BETA, True, "1.106.0"),
            VersionRange(
                "1.75.7",
                "always",
                f"sends `model` beside intent=transcription to OpenAI, and {_BETA}",
                True,
                "1.106.0",
            ),
            VersionRange("1.85.0", "always", "sends `model` beside intent=transcription to OpenAI", fixed_in="1.106.0"),
            VersionRange("1.106.0", "to gateways", "leaves `model` out for OpenAI's hosts"),
        ),
        "1.109.1",
    ),
    KnownClient(
        "livekit-plugins-openai",
        "aiohttp",
        (
            VersionRange("0", "never", "opens no realtime transcription session"),
            VersionRange("0.12.0", "never", _BETA, True, "1.3.7"),
            VersionRange("1.3.7", "never", "sends intent=transcription without `model`"),
            VersionRange(
                "1.6.6",
                "to regional hosts",
                "sends `model` beside intent=transcription to OpenAI's regional hosts",
            ),
        ),
        "1.8.9",
    ),
    KnownClient(
        "speech-to-speech",
        "websockets",
        (
            VersionRange("0", "unknown", _UNKNOWN),
            VersionRange("1.0.0", "to regional hosts", "sends `model` and no intent to OpenAI's regional hosts"),
        ),
        "1.1.0",
    ),
    KnownClient(
        "pipecat-ai",
        "websockets",
        (VersionRange("0", "if given", "sends `model` only where its base_url holds it"),),
        "1.14.0",
    ),
    KnownClient(
        "openai-agents",
        "websockets",
        (
            VersionRange("0", "never", _BETA, True, "0.3.0"),
            VersionRange("0.3.0", "never", "sends intent=transcription without `model`"),
            VersionRange(
                "0.22.1", "if given", "sends `model` only where the OpenAI client's base URL or default_query holds it"
            ),
        ),
        "0.24.0",
    ),
    _always_beta(
        "transcriber-sh",
        "0.1.2",
        why=f"asks for a client secret at /v1/realtime/transcription_sessions, which is gone (HTTP 404), and {_BETA}",
        transport="websocket-client",
    ),
    _always_beta("liveai", "1.1.0", transport="aiohttp"),
    _always_beta("openai-realtime-client", "0.1.0"),
    _always_beta("ai-voice-bot", "1.0.1"),
    _always_beta("myopenai-realtime", "1.0.2"),
    _always_beta("llama-index-voice-agents-openai", "0.4.0"),
    _always_beta("realtime-websocket-conversation", "0.1.2"),
    KnownClient("websockets", "websockets", _OWN_CODE),
    KnownClient("aiohttp", "aiohttp", _OWN_CODE),
    KnownClient("websocket-client", "websocket-client", _OWN_CODE),
)
