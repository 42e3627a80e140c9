"""The name and the version of the format, which are those of a trace, and the error for an unusable file."""

from __future__ import annotations

import re
from pathlib import Path

from rtstt_core.trace.file import FORMAT, VERSION

__all__ = ["FORMAT", "MAX_LINE", "VERSION", "CassetteError", "stem_of"]

MAX_LINE = 24 * 1024 * 1024
"""The largest line, in bytes: an event of 15 MiB of audio in base64, and room around it."""


class CassetteError(ValueError):
    """A recording that cannot be used; the message is one sentence that names the file, the place and the fix."""


def stem_of(path: Path) -> str:
    """Return the beginning of the names of a recording's WAV files: ``talk`` for ``talk.rtstt.jsonl``."""
    return re.sub(r"(\.rtstt)?\.jsonl$", "", path.name)
