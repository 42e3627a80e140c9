"""What the mock answers: the transcripts of a script, in the order in which items are committed."""

from __future__ import annotations

import re
from bisect import insort
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from operator import itemgetter
from typing import Any

from rtstt_testkit.mock.protocol.admission import Account
from rtstt_testkit.mock.protocol.events import Failure, Segment
from rtstt_testkit.mock.script.delays import Delays
from rtstt_testkit.mock.script.faults import Fault, FaultPlan
from rtstt_testkit.speech import load

__all__ = ["DEFAULT_TEXT", "Item", "Script", "ScriptCursor", "Transcript", "split_deltas"]

DEFAULT_TEXT = "Hello from the mock."
_TOKENS = re.compile(r"\s*\w+(?:['’]\w+)*|\s*[^\w\s]|\s+")


@dataclass(frozen=True)
class Transcript:
    """The answer to one committed item.

    Attributes:
        text: The transcript; left out, the deltas joined, or the default text.
        deltas: How it streams; left out, word by word, or at once for a model that does so.
        delay: Seconds that this answer comes later than the latency profile says.
        pace: Seconds between deltas.
        failure: Send ``….failed`` instead of a transcript.
        languages: The codes that a language-detecting model reports.
        segments: Parts by speaker, for the diarizing model.
        logprob: The log probability of every token, when the client includes logprobs.
        model: Answer only items of this transcription model.
        language: Answer only items of sessions with this language.
        connection: Answer only items of the nth connection, counted from 1.
        item: Answer only the nth item of a connection that is transcribed, counted from 1.
        recording: Answer only items in which this bundled recording is recognized.
    """

    text: str | None = None
    deltas: Sequence[str] | None = None
    delay: float = 0.0
    pace: float | None = None
    failure: Failure | None = None
    languages: Sequence[str] = ()
    segments: Sequence[Segment] = ()
    logprob: float = -0.01
    model: str | None = None
    language: str | None = None
    connection: int | None = None
    recording: str | None = None
    item: int | None = None

    def full_text(self, default: str) -> str:
        """Return the transcript's text.

        Args:
            default: The text of a transcript that gives none.
        """
        if self.text is not None:
            return self.text
        return "".join(self.deltas) if self.deltas is not None else default

    def answers(self, item: Item) -> bool:
        """Return whether its conditions hold for the item."""
        return (
            self.model in (None, item.model)
            and self.language in (None, item.language)
            and self.connection in (None, item.connection)
            and self.item in (None, item.number)
            and (self.recording is None or self.recording == item.recording)
        )


class Item:
    """An item to be transcribed, as a script's conditions see it.

    Args:
        connection: The number of the connection.
        model: The transcription model.
        language: The session's language, or None.
        recognize: Returns the name of the bundled recording in the audio; called at most once, when it is needed.
        number: Which item of the connection it is, counted from 1.
    """

    def __init__(
        self,
        connection: int,
        model: str,
        language: str | None = None,
        recognize: Callable[[], str | None] = lambda: None,
        number: int = 1,
    ) -> None:
        self.connection = connection
        self.number = number
        self.model = model
        self.language = language
        self._recognize = recognize

    @cached_property
    def recording(self) -> str | None:
        """The bundled recording that was recognized, or None."""
        return self._recognize()


@dataclass(frozen=True)
class Script:
    """What a server answers on all its connections.

    Attributes:
        transcripts: One is used for each item, in order: the first whose conditions hold.
        default: The text when no transcript is left and the audio is no bundled recording.
        faults: What goes wrong.
        account: The state of the account, in which every session is refused after the handshake; None for a good one.
        latency: Response times that take the place of the server's, None for none.
    """

    transcripts: Sequence[Transcript] = ()
    default: str = DEFAULT_TEXT
    faults: Sequence[Fault] = ()
    account: Account | None = None
    latency: Delays | None = None

    @classmethod
    def of(cls, transcripts: Iterable[str | Transcript | Failure] = (), faults: Iterable[Fault] = ()) -> Script:
        """Return a script.

        Args:
            transcripts: Texts, `Transcript` and `Failure` objects.
            faults: What goes wrong.

        Raises:
            TypeError: A transcript is of another type.
        """
        return cls(tuple(_as_transcript(answer) for answer in transcripts), faults=tuple(faults))


def _as_transcript(answer: Any) -> Transcript:
    if isinstance(answer, str):
        return Transcript(answer)
    if isinstance(answer, Failure):
        return Transcript(failure=answer)
    if isinstance(answer, Transcript):
        return answer
    raise TypeError(f"a transcript is a str, a Transcript or a Failure, not {type(answer).__name__}: {answer!r}")


@dataclass
class ScriptCursor:
    """A position in a script, shared by all connections of a server.

    Attributes:
        script: The script.
        items: How many items were transcribed.
    """

    script: Script = field(default_factory=Script)

    def __post_init__(self) -> None:
        self.load(self.script)

    def load(self, script: Script) -> None:
        """Replace the script and start at its beginning."""
        self.script = script
        self._unused = list(enumerate(script.transcripts))
        self._applied: set[int] = set()
        self.items = 0

    @property
    def unused(self) -> list[Transcript]:
        """The transcripts that no item has used yet."""
        return [transcript for _, transcript in self._unused]

    def faults(self, connection: int, chance: Callable[[], float]) -> FaultPlan:
        """Return the faults of the nth connection.

        Args:
            connection: Its number.
            chance: Returns random numbers from 0 up to 1.
        """
        return FaultPlan(self.script.faults, connection, chance, self._applied)

    @property
    def unmatched_faults(self) -> list[Fault]:
        """The faults without a probability that were never applied."""
        return [
            fault
            for index, fault in enumerate(self.script.faults)
            if fault.probability is None and index not in self._applied
        ]

    def expects(self, connection: int) -> bool:
        """Return whether a transcript is left for the nth connection; always true for a script without transcripts."""
        return not self.script.transcripts or any(unused.connection in (None, connection) for unused in self.unused)

    def peek(self, item: Item) -> Transcript:
        """Return the transcript that the item would get now."""
        return next(
            (candidate for candidate in self.unused if candidate.recording is None and candidate.answers(item)),
            Transcript(),
        )

    def take(self, item: Item) -> Transcript:
        """Return the transcript for the item and mark it as used."""
        self.items += 1
        for place, (_, candidate) in enumerate(self._unused):
            if candidate.answers(item):
                del self._unused[place]
                return candidate
        if item.recording is not None:
            return Transcript(load(item.recording).text)
        return Transcript()

    def put_back(self, transcript: Transcript) -> None:
        """Make a transcript unused again, because its item was discarded.

        Args:
            transcript: What `take` returned.
        """
        self.items = max(self.items - 1, 0)
        unused = {index for index, _ in self._unused}
        for index, candidate in enumerate(self.script.transcripts):
            if candidate is transcript and index not in unused:
                insort(self._unused, (index, candidate), key=itemgetter(0))
                return


def split_deltas(text: str) -> list[str]:
    """Split a text into the pieces in which it streams; joined they are the text again."""
    return _TOKENS.findall(text)
