"""Which Python clients have the bug, in which versions and on which hosts: a table.

``rtstt-shim doctor``, the tests that run the real packages (``tests/clients``) and the README's table read it, so that
none of them can say what another does not.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, NamedTuple

from rtstt_core.patching.targets import numbers
from rtstt_core.url_rule import is_native

__all__ = ["PYTHON_CLIENTS", "KnownClient", "Sends", "VersionRange"]

Sends = Literal["never", "if told", "to gateways", "to regional hosts", "always"]
"""When a client puts ``model`` into the URL of a transcription session.

``if told``: where the application does, whatever the host. ``to gateways``: to every host that is not OpenAI's, which
is right. ``to regional hosts``: to every host but exactly
``api.openai.com``; the others of OpenAI's refuse it. ``always``: whatever the application does.
"""


class VersionRange(NamedTuple):
    """What a client does from one version on, until the next range begins.

    Attributes:
        since: The first version.
        sends: When it puts ``model`` into the URL.
        why: What it does, a clause.
        beta: Whether it sends the header ``OpenAI-Beta: realtime=v1`` too, which OpenAI refuses since 2026-05-12,
            whatever the URL: it cannot be helped.
    """

    since: str
    sends: Sends
    why: str
    beta: bool = False

    @property
    def affected(self) -> bool:
        """Whether it opens sessions that OpenAI refuses, whatever the application does."""
        return self.beta or self.sends in ("to regional hosts", "always")

    def refused_at(self, host: str, told: bool = False) -> bool:
        """Whether OpenAI refuses its session.

        Args:
            host: The host it connects to.
            told: Whether the application puts ``model`` into the URL itself.
        """
        if not is_native(f"wss://{host}/v1/realtime"):
            return False
        return (
            self.beta
            or self.sends == "always"
            or (self.sends == "to regional hosts" and host.lower() != "api.openai.com")
            or (self.sends == "if told" and told)
        )

    def sends_to_gateways(self, told: bool = False) -> bool:
        """Whether it puts ``model`` into the URL for a host that is not OpenAI's, which may route on it.

        Args:
            told: Whether the application puts it there itself.
        """
        return self.sends in ("to gateways", "to regional hosts", "always") or (self.sends == "if told" and told)


class KnownClient(NamedTuple):
    """A client on PyPI.

    Attributes:
        name: Its name there.
        transport: The library it connects with, by its name on PyPI.
        ranges: What it does, by version, the oldest first.
        not_needed_from: The first version that needs no shim, and what else that takes; `None` where there is none.
    """

    name: str
    transport: str
    ranges: tuple[VersionRange, ...]
    not_needed_from: str | None = None

    def at(self, version: str) -> VersionRange:
        """What a version of it does; the oldest range where the version is no version at all."""
        return [self.ranges[0], *self._reached(version)][-1]

    def _reached(self, version: str) -> Iterator[VersionRange]:
        return (row for row in self.ranges if numbers(row.since) <= numbers(version))


_BETA = "sends the header OpenAI-Beta: realtime=v1, which OpenAI refuses since 2026-05-12"
_OWN_CODE = VersionRange("0", "if told", "sends what the application puts into the URL")

PYTHON_CLIENTS = (
    KnownClient(
        "openai",
        "websockets",
        (
            VersionRange(
                "0", "never", "has no realtime client but client.beta.realtime, which OpenAI no longer serves"
            ),
            VersionRange(
                "1.103.0", "always", "client.realtime.connect() cannot leave `model` out (openai/openai-python#2652)"
            ),
            VersionRange(
                "2.1.0",
                "if told",
                "sends `model` beside intent=transcription only where the application passes both",
            ),
        ),
        "2.1.0, with `model` left out",
    ),
    KnownClient(
        "litellm",
        "websockets",
        (
            VersionRange("0", "never", "opens no realtime transcription session"),
            VersionRange("1.74.9", "never", _BETA, True),
            VersionRange("1.75.7", "always", f"sends `model` beside intent=transcription to OpenAI, and {_BETA}", True),
            VersionRange("1.85.0", "always", "sends `model` beside intent=transcription to OpenAI"),
            VersionRange("1.106.0", "to gateways", "leaves `model` out for OpenAI's hosts"),
        ),
        "1.106.0",
    ),
    KnownClient(
        "livekit-plugins-openai",
        "aiohttp",
        (
            VersionRange("0", "never", "sends intent=transcription without `model`"),
            VersionRange(
                "1.6.6",
                "to regional hosts",
                "sends `model` beside intent=transcription to OpenAI's regional hosts",
            ),
        ),
    ),
    KnownClient(
        "speech-to-speech",
        "websockets",
        (
            VersionRange("0", "never", "not known before 1.1.0"),
            VersionRange("1.1.0", "to regional hosts", "sends `model` and no intent to OpenAI's regional hosts"),
        ),
    ),
    KnownClient(
        "pipecat-ai", "websockets", (VersionRange("0", "if told", "sends `model` only where its base_url holds it"),)
    ),
    KnownClient(
        "openai-agents",
        "websockets",
        (
            VersionRange("0", "never", _BETA, True),
            VersionRange("0.3.0", "never", "sends intent=transcription without `model`"),
            VersionRange(
                "0.22.1", "if told", "sends `model` only where the OpenAI client's base URL or default_query holds it"
            ),
        ),
        "0.3.0",
    ),
    KnownClient("websockets", "websockets", (_OWN_CODE,)),
    KnownClient("aiohttp", "aiohttp", (_OWN_CODE,)),
    KnownClient("websocket-client", "websocket-client", (_OWN_CODE,)),
)
