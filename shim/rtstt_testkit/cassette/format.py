"""The name and the version of the format, and the error of a file that cannot be used."""

from __future__ import annotations

import re
from pathlib import Path

__all__ = ["FORMAT", "MAX_LINE", "VERSION", "CassetteError", "stem_of"]

FORMAT = "rtstt-trace"
"""The name of the format, in the first line of a file. A recording is a trace that can be replayed."""

VERSION = 1
"""The version of the format, which changes when a reader of the version before would misread a file."""

MAX_LINE = 24 * 1024 * 1024
"""The largest line, in bytes: an event of 15 MiB of audio in base64, and room around it."""


class CassetteError(ValueError):
    """A recording that cannot be used; the message is one sentence that names the file, the place and the fix."""


def stem_of(path: Path) -> str:
    """Return the beginning of the names of a recording's WAV files: ``talk`` for ``talk.rtstt.jsonl``."""
    return re.sub(r"(\.rtstt)?\.jsonl$", "", path.name)
