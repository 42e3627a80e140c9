"""What the mock says: transcripts, in the order in which the items come."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from rtstt_testkit.mock.protocol.events import Failure, Segment
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
        failure: The transcription fails instead.
        languages: Codes that a language-detecting model reports.
        segments: Parts by speaker, for the diarizing model.
        logprob: The log probability shown for every token when the client asked for them.
        model: Answer only items of this transcription model.
        language: Answer only items of sessions with this language.
        connection: Answer only items of the nth connection, counted from 1.
        item: Answer only the nth item of a connection that wants a transcript, counted from 1.
        recording: Answer only items in which this bundled recording is heard.
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

    def spoken(self, default: str) -> str:
        """The transcript's text."""
        if self.text is not None:
            return self.text
        return "".join(self.deltas) if self.deltas is not None else default

    def answers(self, item: Item) -> bool:
        """Whether its conditions hold for the item."""
        return (
            self.model in (None, item.model)
            and self.language in (None, item.language)
            and self.connection in (None, item.connection)
            and self.item in (None, item.number)
            and (self.recording is None or self.recording == item.recording)
        )


class Item:
    """A piece of audio that wants a transcript; what a script's conditions look at.

    Args:
        connection: The number of the connection.
        model: The transcription model.
        language: The session's language, or None.
        number: Which item of the connection it is, counted from 1.
        listen: Names the bundled recording that the audio is; called once, and only when somebody asks.
    """

    def __init__(
        self,
        connection: int,
        model: str,
        language: str | None = None,
        listen: Callable[[], str | None] = lambda: None,
        number: int = 1,
    ) -> None:
        self.connection = connection
        self.number = number
        self.model = model
        self.language = language
        self._listen = listen

    @cached_property
    def recording(self) -> str | None:
        """The bundled recording that was heard, None for other audio."""
        return self._listen()


@dataclass(frozen=True)
class Script:
    """What a server says on all its connections.

    Attributes:
        transcripts: Used one an item, in order; the first whose conditions hold.
        default: The text when no transcript is left and the audio is no bundled recording.
        faults: What goes wrong.
    """

    transcripts: Sequence[Transcript] = ()
    default: str = DEFAULT_TEXT
    faults: Sequence[Fault] = ()

    @classmethod
    def of(cls, transcripts: Iterable[str | Transcript | Failure] = (), faults: Iterable[Fault] = ()) -> Script:
        """A script of these answers: a text, a `Transcript`, or a `Failure`; and of what goes wrong."""
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
    """Hands out a script's transcripts to the items of every connection."""

    script: Script = field(default_factory=Script)

    def __post_init__(self) -> None:
        self.load(self.script)

    def load(self, script: Script) -> None:
        """Say this from now on, from its beginning."""
        self.script = script
        self._left = list(script.transcripts)
        self._happened: set[int] = set()
        self.items = 0

    @property
    def left(self) -> list[Transcript]:
        """The transcripts that no item has used yet."""
        return list(self._left)

    def faults(self, connection: int, chance: Callable[[], float]) -> FaultPlan:
        """What goes wrong on the nth connection.

        Args:
            connection: Its number.
            chance: Gives numbers from 0 up to 1.
        """
        return FaultPlan(self.script.faults, connection, chance, self._happened)

    @property
    def unmatched_faults(self) -> list[Fault]:
        """The faults that were certain to happen and have not."""
        return [
            fault
            for index, fault in enumerate(self.script.faults)
            if fault.probability is None and index not in self._happened
        ]

    def expects(self, connection: int) -> bool:
        """Whether there is still something to say on the nth connection: always, for a script that says nothing."""
        return not self.script.transcripts or any(left.connection in (None, connection) for left in self._left)

    def peek(self, item: Item) -> Transcript:
        """The transcript that the item would get now."""
        return next(
            (candidate for candidate in self._left if candidate.recording is None and candidate.answers(item)),
            Transcript(),
        )

    def take(self, item: Item) -> Transcript:
        """The transcript for the item; it is used up."""
        self.items += 1
        for index, candidate in enumerate(self._left):
            if candidate.answers(item):
                return self._left.pop(index)
        if item.recording is not None:
            return Transcript(load(item.recording).text)
        return Transcript()


def split_deltas(text: str) -> list[str]:
    """A text in the pieces in which it streams; joined they are the text."""
    return _TOKENS.findall(text)
