"""The two ways a command ends badly; each carries one sentence naming the thing and the mend."""

from __future__ import annotations

__all__ = ["CommandError", "UsageError"]


class CommandError(Exception):
    """The command was understood, and what it was asked to do failed (exit code 1)."""

    exit_code = 1


class UsageError(CommandError):
    """The command was given something it cannot work with (exit code 2)."""

    exit_code = 2
