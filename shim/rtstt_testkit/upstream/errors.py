"""The exceptions of the upstream kit; each message is one sentence that names the thing and the fix."""

from __future__ import annotations

__all__ = ["BadInput", "NotAffected", "UnknownShape", "UpstreamError", "VerificationFailed"]


class UpstreamError(Exception):
    """The base class of these exceptions."""


class BadInput(UpstreamError, ValueError):
    """A folder, file or option cannot be used."""


class UnknownShape(UpstreamError):
    """A source does not contain what a semantic patch looks for; nothing is written."""


class NotAffected(UpstreamError):
    """A source does not need the patch: it is fixed already, or never had the bug."""


class VerificationFailed(UpstreamError):
    """A verification did not prove a patch."""
