"""Word error rates."""

from __future__ import annotations

import re
from collections.abc import Sequence

from rtstt_testkit.speech import Recording, load

__all__ = ["word_error_rate"]


def word_error_rate(transcript: str | Sequence[str], recording: str | Recording) -> float:
    """Return the share of words that are wrong: substituted, left out or added; case and punctuation do not count.

    Args:
        transcript: The transcript, or several that belong together.
        recording: What was spoken: a bundled recording by its name, such as ``hold+shortly``, or a `Recording`.

    Raises:
        KeyError: No recording has that name.
        RuntimeError: jiwer is not installed.
    """
    try:
        import jiwer
    except ModuleNotFoundError:
        raise RuntimeError("word error rates need jiwer; install it with: pip install 'rtstt-shim[exam]'") from None
    spoken = load(recording) if isinstance(recording, str) else recording
    text = transcript if isinstance(transcript, str) else " ".join(transcript)
    return float(jiwer.wer(_words(spoken.text), _words(text)))


def _words(text: str) -> str:
    return " ".join(re.findall(r"\w+(?:['’]\w+)*", text.casefold()))
