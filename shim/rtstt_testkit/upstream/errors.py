"""How the upstream kit ends badly; every message is one sentence naming the thing and the mend."""

from __future__ import annotations

__all__ = ["BadInput", "NotAffected", "UnknownShape", "UpstreamError", "VerificationFailed"]


class UpstreamError(Exception):
    """The kit was understood, and what it was asked to do failed."""


class BadInput(UpstreamError, ValueError):
    """The kit was given a folder, file or option it cannot work with."""


class UnknownShape(UpstreamError):
    """A source does not hold what a semantic patch looks for; nothing is written then."""


class NotAffected(UpstreamError):
    """A source does not need the patch: it is fixed already, or never had the fault."""


class VerificationFailed(UpstreamError):
    """A run that was to prove a patch did not prove it."""
