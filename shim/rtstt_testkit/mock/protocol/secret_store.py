"""Ephemeral secrets (``ek_…``): ``POST /v1/realtime/client_secrets`` makes them, a handshake uses them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, NamedTuple

from rtstt_testkit.mock.protocol import errors
from rtstt_testkit.mock.protocol.config import SessionConfig, default_session, merge, validate
from rtstt_testkit.mock.protocol.errors import ApiError
from rtstt_testkit.mock.protocol.ids import Ids
from rtstt_testkit.mock.protocol.schema import EXPIRES_AFTER

__all__ = ["SecretStore"]

_LOOK_AT = 1024
_KEEP = 86_400  # seconds after a secret expired, in which it is refused as expired and not as unknown
_LIFETIME = 600  # seconds [types]; the client may ask for 10 to 7200


class _Secret(NamedTuple):
    expires_at: float
    session: dict[str, Any]


class SecretStore:
    """The secrets of one server.

    Args:
        ids: The source of identifiers.
        wall: Returns the time of day, in seconds since 1970.
    """

    def __init__(self, ids: Ids, wall: Callable[[], float]) -> None:
        self._ids = ids
        self._wall = wall
        self._secrets: dict[str, _Secret] = {}
        self._look_at = _LOOK_AT

    def create(self, body: Any) -> dict[str, Any] | ApiError:
        """Make a secret.

        Args:
            body: The decoded request.

        Returns:
            The response's body, or the error of an HTTP 400.
        """
        if not isinstance(body, dict):
            return errors.invalid_type("body", "an object", body)
        for name in body:
            if name not in {"session", "expires_after"}:
                return errors.unknown_parameter(name)
        expires_after = body.get("expires_after", {})
        if error := EXPIRES_AFTER.check(expires_after, "expires_after"):
            return error
        session = body.get("session", {"type": "realtime", "model": "gpt-realtime"})
        if not isinstance(session, dict) or session.get("type") not in ("transcription", "realtime"):
            return validate(session, "transcription", False) or errors.missing_parameter("session.type")
        kind = session["type"]
        if error := validate(session, kind, False):
            return error
        merged = merge(default_session(kind, session.get("model")), session)
        if isinstance(merged, ApiError):
            return merged
        now = self._wall()
        expires_at = int(now + expires_after.get("seconds", _LIFETIME))
        value = self._ids.new("ek")
        self._forget_expired(now)
        self._secrets[value] = _Secret(expires_at, session)
        # 0 until the session is opened [types].
        shown = {**SessionConfig(merged).shown(), "id": self._ids.new("sess"), "expires_at": 0}
        return {"value": value, "expires_at": expires_at, "session": shown}

    def find(self, value: str) -> dict[str, Any] | Literal["expired"] | None:
        """Return the session of a secret, ``expired``, or None for a secret of another server."""
        secret = self._secrets.get(value)
        now = self._wall()
        if secret is None or secret.expires_at <= now - _KEEP:
            return None
        return "expired" if secret.expires_at <= now else secret.session

    def _forget_expired(self, now: float) -> None:
        """Drop secrets that expired more than a day ago, so that a long-lived server does not grow.

        It examines all of them only when their number has doubled, so a secret costs the same however many are kept.
        """
        if len(self._secrets) >= self._look_at:
            kept = {value: secret for value, secret in self._secrets.items() if secret.expires_at > now - _KEEP}
            self._secrets = kept
            self._look_at = max(_LOOK_AT, 2 * len(kept))
