"""The URL rule: which realtime URLs OpenAI's endpoint is certain to refuse, how to correct them, and what to watch.

Pure: no I/O, no client library. The same vectors (``tests/vectors/url_rule.json``) test this rule and its Node twin.

Where the facts come from:

* ``intent=transcription`` with any ``model`` is refused (``invalid_model``, close 4000): livekit/agents-js#1756,
  openai/openai-python#2253 and #2652. An empty ``model=`` counts as present.
* a transcription model without ``intent`` is refused: maximhq/bifrost#6095.
* gateways route on ``model``; so only URLs of OpenAI's own hosts, regional ones included, are ever changed.
"""

from __future__ import annotations

import os
import re
from functools import lru_cache
from typing import Literal, NamedTuple
from urllib.parse import unquote_plus

__all__ = ["Decision", "Rule", "SessionType", "fix_url", "invalid_hosts", "is_native"]

Rule = Literal["drop-model", "set-intent", "keep"]
SessionType = Literal["transcription", "conversation", "none"]

# scheme, authority, path, query, fragment (RFC 3986, appendix B). Backslashes, spaces and control characters are left
# unmatched: parsers disagree about the host of such a URL, so nothing is certain about it. Letters and digits are those
# of ASCII, white space is all that Unicode has.
#
# Patterns as text: `re` compiles and caches them at the first realtime URL, so a process that opens none need not.
_PARTS = (
    r"(?s)(?ai:(?:ws|http)s?)://(?P<authority>[^/?#\\\s\x00-\x20]*)(?P<path>[^?#\\\s\x00-\x20]*)"
    r"(?:\?(?P<query>[^#]*))?(?:#.*)?"
)
_HOST_AND_PORT = r"(?ai)(?P<host>\[[0-9a-f:.]+\]|[^:\[\]]+)(?::\d*)?"
_HOST_NAME = r"\[[0-9a-f:.]+\]|[\w-]+(?:\.[\w-]+)*"
_NATIVE_HOST = r"(?:[a-z0-9](?:[a-z0-9-]*[a-z0-9])?\.)*api\.openai\.com"
_TRANSCRIPTION_MODEL = (
    r"(?a)(?:whisper-1|gpt-4o(?:-mini)?-transcribe(?:-diarize)?|gpt-(?:live-)?transcribe|gpt-realtime-whisper)"
    r"(?:-\d{4}-\d{2}-\d{2})?"
)

_NOT_REALTIME = "not a realtime URL"
_NOT_CERTAIN = "not certain to be a transcription session"


class Decision(NamedTuple):
    """What to do about one URL.

    Attributes:
        url: The URL to connect to; the same object that was given if nothing had to change.
        changed: Whether `url` differs from what was given.
        rule: The rule that applied.
        reason: The reason, as a clause for a log line.
        session: What a connection to `url` opens, as far as the URL tells. ``"transcription"`` is watched for every
            failure, ``"conversation"`` for refusals and transcription problems; ``"none"`` is not watched.
        native: Whether `url` is a realtime URL of OpenAI's own hosts, or of one that ``RTSTT_SHIM_HOSTS`` names.
    """

    url: str
    changed: bool
    rule: Rule
    reason: str
    session: SessionType
    native: bool = False

    @property
    def transcription(self) -> bool:
        """Whether a connection to `url` is a realtime transcription session, as far as the URL tells."""
        return self.session == "transcription"

    @property
    def watched(self) -> bool:
        """Whether a connection to `url` is watched."""
        return self.session != "none"

    def __repr__(self) -> str:
        """Return the fields, with the secrets of the URL masked: logs and error trackers show it."""
        from rtstt_core.redact import redact_url

        values = zip(self._fields, (redact_url(self.url), *self[1:]), strict=True)
        return f"Decision({', '.join(f'{name}={value!r}' for name, value in values)})"


@lru_cache(maxsize=8)
def _extra_hosts(setting: str) -> frozenset[str]:
    return frozenset(_split(setting))


def _split(setting: str) -> list[str]:
    names = (name.strip().rstrip(".").lower() for name in setting.split(","))
    return [name for name in names if name]


def _host(authority: str) -> str | None:
    """Return the host of a URL's authority, lower case and without a trailing dot; None for a malformed one."""
    match = re.fullmatch(_HOST_AND_PORT, authority.rpartition("@")[2])
    return match["host"].lower().removesuffix(".") if match else None


def _is_native_authority(authority: str) -> bool:
    host = _host(authority)
    if host is None:
        return False
    if re.fullmatch(_NATIVE_HOST, host):
        return True
    extra = os.environ.get("RTSTT_SHIM_HOSTS")
    return extra is not None and host in _extra_hosts(extra)


def invalid_hosts(setting: str) -> list[str]:
    """Return the entries of ``RTSTT_SHIM_HOSTS`` that are not host names, and so match no URL.

    Args:
        setting: The variable's value.
    """
    return [name for name in _split(setting) if not re.fullmatch(_HOST_NAME, name)]


def is_native(url: str) -> bool:
    """Return whether the URL's host is one of OpenAI's own, or named by ``RTSTT_SHIM_HOSTS``.

    Args:
        url: Any string.
    """
    parts = re.fullmatch(_PARTS, url)
    return parts is not None and _is_native_authority(parts["authority"])


def _session(path: str, keys: list[str], models: list[str], intents: list[str], native: bool) -> SessionType:
    """Return what a WebSocket with this URL opens, as far as the URL tells.

    An intent that is misspelt, a path that does not exist or a model that the endpoint does not know are mistakes in
    opening a transcription session where their names say so: the endpoint refuses them, and the refusal is worth a
    warning.
    """
    segments = path.split("/")
    if "realtime" not in segments:
        return "none"
    place = segments.index("realtime")
    below = [segment for segment in segments[place + 1 :] if segment]
    if "translations" in below:
        return "conversation" if native else "none"
    intents = [intent for intent in intents if intent]
    if any(intent.startswith("transcri") for intent in intents):
        return "transcription"
    if not native:
        # vLLM, LocalAI, LiteLLM and Azure serve the endpoint at these paths; other vendors have protocols of their own.
        return "conversation" if not below and segments[place - 1] in ("", "v1", "openai") else "none"
    if intents:
        return "conversation"
    if any("transcri" in name or "whisper" in name for name in map(str.lower, (*below, *models))):
        return "transcription"
    # A bare URL opens a transcription session under a transcription client secret (`ek_…`); the endpoint refuses it
    # with `missing_model` otherwise. With `call_id` it is the side channel of a call.
    return "conversation" if models or below or "call_id" in keys else "transcription"


def fix_url(url: str) -> Decision:
    """Decide how to change a realtime URL so that OpenAI's endpoint accepts the transcription session.

    Args:
        url: Any string; one that is not the URL of a realtime socket is kept.

    Returns:
        The decision. It never raises on a string, and applying it twice changes nothing more.
    """
    parts = re.fullmatch(_PARTS, url) if "realtime" in url else None
    if parts is None:
        return Decision(url, False, "keep", _NOT_REALTIME, "none")

    pairs = (parts["query"] or "").split("&")
    keys, values = [], []
    for pair in pairs:
        key, _, value = pair.partition("=")
        keys.append(unquote_plus(key))
        values.append(unquote_plus(value))
    models = [value for key, value in zip(keys, values, strict=True) if key == "model"]
    intents = [value.lower() for key, value in zip(keys, values, strict=True) if key == "intent"]
    native = _is_native_authority(parts["authority"])
    session = _session(parts["path"], keys, models, intents, native)

    if not parts["path"].endswith("/realtime"):
        return Decision(url, False, "keep", _NOT_REALTIME, session, native)
    if not native:
        reason = "not an OpenAI host: gateways route on `model`" if models else "not an OpenAI host"
        return Decision(url, False, "keep", reason, session)
    if not models:
        return Decision(url, False, "keep", "no `model` to drop", session, True)
    rule: Rule
    if intents and all(intent == "transcription" for intent in intents):
        rule, reason = "drop-model", "OpenAI refuses `model` beside intent=transcription"
    elif not intents and all(re.fullmatch(_TRANSCRIPTION_MODEL, model) for model in models):
        rule, reason = "set-intent", "OpenAI refuses a transcription model as the session model"
        place = keys.index("model")
        pairs[place], keys[place] = "intent=transcription", "intent"
    else:
        return Decision(url, False, "keep", _NOT_CERTAIN, session, True)

    kept = [pair for key, pair in zip(keys, pairs, strict=True) if key != "model"]
    fixed = url[: parts.start("query")] + "&".join(kept) + url[parts.end("query") :]
    return Decision(fixed, True, rule, reason, "transcription", True)
