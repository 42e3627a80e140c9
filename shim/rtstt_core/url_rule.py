"""The URL rule: which realtime URLs OpenAI's endpoint refuses for certain, and what they have to become.

Pure: no I/O, no client library. The same vectors (``tests/vectors/url_rule.json``) test this rule and its Node twin.

Where the facts come from:

* ``intent=transcription`` with any ``model`` is refused (``invalid_model``, close 4000): livekit/agents-js#1756,
  openai/openai-python#2253 and #2652. An empty ``model=`` counts as present.
* a transcription model without ``intent`` is refused: maximhq/bifrost#6095.
* gateways route on ``model``; so only OpenAI's own hosts, regional ones included, are ever touched.
"""

from __future__ import annotations

import os
import re
from functools import lru_cache
from typing import NamedTuple
from urllib.parse import unquote_plus

__all__ = ["Decision", "fix_url", "is_native"]

# scheme, authority, path, query, fragment (RFC 3986, appendix B). Backslashes, spaces and control characters are left
# unmatched: parsers disagree about the host of such a URL, so nothing is certain about it. Letters and digits are those
# of ASCII, white space is all that Unicode has.
#
# Text, which `re` compiles at the first realtime URL and remembers: a process that opens none does without.
_PARTS = (
    r"(?s)(?ai:(?:ws|http)s?)://(?P<authority>[^/?#\\\s\x00-\x20]*)(?P<path>[^?#\\\s\x00-\x20]*)"
    r"(?:\?(?P<query>[^#]*))?(?:#.*)?"
)
_HOST_AND_PORT = r"(?ai)(?P<host>\[[0-9a-f:.]+\]|[^:\[\]]+)(?::\d*)?"
_NATIVE_HOST = r"(?:[a-z0-9](?:[a-z0-9-]*[a-z0-9])?\.)*api\.openai\.com"
_TRANSCRIPTION_MODEL = (
    r"(?a)(?:whisper-1|gpt-4o(?:-mini)?-transcribe(?:-diarize)?|gpt-(?:live-)?transcribe|gpt-realtime-whisper)"
    r"(?:-\d{4}-\d{2}-\d{2})?"
)

_NOT_REALTIME = "not a realtime URL"
_NOT_TRANSCRIPTION = "not a transcription session"


class Decision(NamedTuple):
    """What the rule says about one URL.

    Attributes:
        url: The URL to connect to; the very object that was given when nothing had to change.
        changed: Whether `url` differs from what was given.
        rule: ``"drop-model"``, ``"set-intent"`` or ``"keep"``.
        reason: One clause saying why, fit for a log line.
        transcription: Whether a connection to `url` is a realtime transcription session, and so worth watching.
    """

    url: str
    changed: bool
    rule: str
    reason: str
    transcription: bool

    def __repr__(self) -> str:
        """As a named tuple has it, with the secrets of the URL masked: it ends up in logs and in error trackers."""
        from rtstt_core.redact import redact_url

        values = zip(self._fields, (redact_url(self.url), *self[1:]), strict=True)
        return f"Decision({', '.join(f'{name}={value!r}' for name, value in values)})"


@lru_cache(maxsize=8)
def _extra_hosts(setting: str) -> frozenset[str]:
    names = (name.strip().rstrip(".").lower() for name in setting.split(","))
    return frozenset(filter(None, names))


def _host(authority: str) -> str | None:
    """The host of a URL's authority, lower case and without a trailing dot; `None` for a malformed one."""
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


def is_native(url: str) -> bool:
    """Whether the URL's host is one of OpenAI's own, or named by ``RTSTT_SHIM_HOSTS``.

    Args:
        url: Any string.
    """
    parts = re.fullmatch(_PARTS, url)
    return parts is not None and _is_native_authority(parts["authority"])


def fix_url(url: str) -> Decision:
    """Decide what a realtime URL has to become so that OpenAI's endpoint accepts the transcription session.

    Args:
        url: Any string; one that is not the URL of a realtime socket is kept.

    Returns:
        The decision. It never raises on a string, and applying it twice changes nothing more.
    """
    if "realtime" not in url:
        return Decision(url, False, "keep", _NOT_REALTIME, False)
    parts = re.fullmatch(_PARTS, url)
    if parts is None or not parts["path"].endswith("/realtime"):
        return Decision(url, False, "keep", _NOT_REALTIME, False)

    pairs = (parts["query"] or "").split("&")
    keys, values = [], []
    for pair in pairs:
        key, _, value = pair.partition("=")
        keys.append(unquote_plus(key))
        values.append(value)
    models = [unquote_plus(value) for key, value in zip(keys, values, strict=True) if key == "model"]
    intents = [unquote_plus(value).lower() for key, value in zip(keys, values, strict=True) if key == "intent"]
    transcription = bool(intents) and all(intent == "transcription" for intent in intents)

    if not _is_native_authority(parts["authority"]):
        reason = "not an OpenAI host: gateways route on `model`" if models else "not an OpenAI host"
        return Decision(url, False, "keep", reason, transcription)
    if not models:
        # Without `intent` this is a transcription session only under a transcription client secret (`ek_…`); the
        # endpoint refuses it with `missing_model` otherwise, which is worth a warning too.
        return Decision(url, False, "keep", "no `model` to drop", transcription or not intents)
    if transcription:
        rule, reason = "drop-model", "OpenAI refuses `model` beside intent=transcription"
    elif not intents and all(re.fullmatch(_TRANSCRIPTION_MODEL, model) for model in models):
        rule, reason = "set-intent", "OpenAI refuses a transcription model as the session model"
        place = keys.index("model")
        pairs[place], keys[place] = "intent=transcription", "intent"
    else:
        return Decision(url, False, "keep", _NOT_TRANSCRIPTION, False)

    kept = [pair for key, pair in zip(keys, pairs, strict=True) if key != "model"]
    fixed = url[: parts.start("query")] + "&".join(kept) + url[parts.end("query") :]
    return Decision(fixed, True, rule, reason, True)
