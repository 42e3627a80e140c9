"""Which session of a recording answers which client, and whether the clients did what was recorded."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from rtstt_core.masking import mask_json
from rtstt_testkit.cassette.compare import differences
from rtstt_testkit.cassette.follower import Course, Follower, Matching, Mode
from rtstt_testkit.cassette.format import CassetteError
from rtstt_testkit.cassette.ids import each_id
from rtstt_testkit.cassette.model import Cassette, RecordedSession
from rtstt_testkit.cassette.reader import load_cassette
from rtstt_testkit.mock.protocol.handshake import Handshake
from rtstt_testkit.mock.protocol.ids import Ids

__all__ = ["CassetteMismatch", "Player", "Replay", "Timing"]

Timing = Literal["instant", "recorded"]

_SECRETS = "/client_secrets"
_BETA = "openai-beta.realtime-v1"


class CassetteMismatch(AssertionError):
    """A client did not do what the recorded one did."""


@dataclass(frozen=True)
class Replay:
    """A recording, and how it is replayed.

    Attributes:
        path: The file.
        mode: ``strict``: what a client sends is compared with the recording by its meaning, and a difference ends the
            session. ``loose``: events are answered by their position, and nothing is compared.
        timing: ``instant``, or ``recorded``: the server's events come as long after their cause as they did. With
            ``virtual_time`` that is virtual time.
        ignore: Fields of the client's events that are not compared, such as ``session.audio.input.noise_reduction``;
            ``*`` stands for one name.
        tolerance: How many seconds shorter or longer the audio before a commit may be.
        repeat: Whether to begin again after the last session, so that any number of clients may connect.
    """

    path: str | Path
    mode: Mode = "strict"
    timing: Timing = "instant"
    ignore: tuple[str, ...] = ()
    tolerance: float = 0.25
    repeat: bool = False


class Player:
    """A recording that is replayed.

    Args:
        replay: The recording, and how it is replayed.

    Attributes:
        replay: The recording, and how it is replayed.
        mismatches: What the clients did that was not recorded, in sentences.

    Raises:
        CassetteError: The recording cannot be read, has no session, or is not complete.
        ValueError: A setting is unknown.
    """

    def __init__(self, replay: Replay) -> None:
        if replay.mode not in ("strict", "loose"):
            raise ValueError(f"unknown mode {replay.mode!r}; choose strict or loose")
        if replay.timing not in ("instant", "recorded"):
            raise ValueError(f"unknown timing {replay.timing!r}; choose instant or recorded")
        self.replay = replay
        self.mismatches: list[str] = []
        self._cassette = load_cassette(replay.path)
        # A session without a response was a failure of the network, which a fault makes.
        self._sessions = [session for session in self._cassette.sessions if session.http_status]
        if not self._sessions and not self._cassette.exchanges:
            raise CassetteError(f"{replay.path} has no session to replay; record one with `rtstt-shim record`")
        dropped = [problem for problem in self._cassette.problems if "lines are missing" in problem]
        if dropped and replay.mode == "strict":
            raise CassetteError(f"{replay.path} is not complete: {dropped[0]}")
        self._courses: dict[int, Course] = {}
        self._waiting: list[RecordedSession] = []
        self._exchange = 0
        self._followers: list[tuple[int, Follower]] = []
        self._connected = 0
        self.reset()

    @property
    def cassette(self) -> Cassette:
        """The recording."""
        return self._cassette

    def reset(self) -> None:
        """Restart the recording."""
        self.mismatches = []
        self._waiting = list(self._sessions)
        self._exchange = 0
        self._followers = []
        self._connected = 0

    # -- sessions

    def choose(self, handshake: Handshake) -> RecordedSession | None:
        """Return the session for a client: the first that is left with the same request, else the first that is left.

        Args:
            handshake: The client's request, secrets masked.

        Returns:
            The session; None if none is left.
        """
        if not self._waiting and self.replay.repeat:
            self._waiting = list(self._sessions)
        self._connected += 1
        if not self._waiting:
            self.mismatches.append(
                f"client {self._connected} connected, and the recording has {len(self._sessions)} sessions"
            )
            return None
        chosen = next((one for one in self._waiting if not request_differences(one, handshake)), self._waiting[0])
        self._waiting.remove(chosen)
        return chosen

    def has(self, handshake: Handshake) -> bool:
        """Return whether a session with the same request is left, or a client secret.

        Args:
            handshake: The client's request, secrets masked.
        """
        if handshake.path.endswith(_SECRETS):
            return self._exchange < len(self._cassette.exchanges)
        return any(not request_differences(one, handshake) for one in self._waiting)

    def follow(self, session: RecordedSession, number: int) -> Follower:
        """Return a position at the beginning of a session.

        Args:
            session: The session.
            number: The number of the client, for sentences.
        """
        replay = self.replay
        course = self._courses.get(session.number)
        if course is None:
            course = self._courses[session.number] = Course(self._cassette, session)
        follower = Follower(course, Matching(replay.mode, replay.ignore, replay.tolerance))
        self._followers.append((number, follower))
        return follower

    def request_mismatch(self, session: RecordedSession, handshake: Handshake) -> str | None:
        """Return how a client's request differs from the recorded one, in words; None if it does not.

        Args:
            session: The session.
            handshake: The client's request, secrets masked.
        """
        found = [] if self.replay.mode == "loose" else request_differences(session, handshake)
        if not found:
            return None
        return f"the request differs from line {session.line} of the recording: {'; '.join(found)}"

    # -- client secrets

    def exchange(self, body: Any, ids: Ids, wall: float) -> tuple[int, Any] | None:
        """Return the status and the body of the response to a request for a client secret; None if none is recorded.

        Args:
            body: The request's body, decoded.
            ids: The source of the secret.
            wall: The time of day, in seconds since 1970.
        """
        exchanges = self._cassette.exchanges
        if not exchanges:
            return None
        if self._exchange >= len(exchanges):
            if not self.replay.repeat:
                self.mismatches.append(
                    f"a client asked for secret {self._exchange + 1}, and {len(exchanges)} are recorded"
                )
                return None
            self._exchange = 0
        exchange = exchanges[self._exchange]
        self._exchange += 1
        if self.replay.mode == "strict":
            found = list(differences(exchange.request, mask_json(body), self.replay.ignore))
            if found:
                text = f"the request for a client secret differs from line {exchange.line}: {found[0]}"
                self.mismatches.append(text)
                return 400, {"error": {"message": text, "type": "cassette_mismatch", "code": None, "param": None}}
        shift = wall - float(self._cassette.header.get("time", wall))
        return exchange.status, refreshed(exchange.response, lambda name: ids.new(name.partition("_")[0]), ids, shift)

    # -- the end

    def verify(self) -> None:
        """Check that the clients did everything that was recorded.

        Raises:
            CassetteMismatch: They did not; the message has a sentence for each difference.
        """
        __tracebackhide__ = True
        problems = list(self.mismatches)
        if self.replay.mode == "strict" and not problems:
            for number, follower in self._followers:
                if (left := follower.unfinished) is not None:
                    problems.append(f"session {number}: {left}")
            if self._waiting and not self.replay.repeat:
                problems.append(f"{len(self._waiting)} of {len(self._sessions)} recorded sessions were not replayed")
        if problems:
            raise CassetteMismatch(
                "\n".join(
                    [
                        *problems,
                        f"The recording is {self.replay.path}. Record it again if the client is meant to differ, name "
                        "fields that may differ in `ignore`, or pass mode='loose'.",
                    ]
                )
            )


def request_differences(session: RecordedSession, handshake: Handshake) -> list[str]:
    """Return how a request differs from a recorded one in what decides about the session.

    Keys, headers and the values of unknown parameters may differ.

    Args:
        session: The recorded session.
        handshake: The request.
    """
    found = []
    if session.path != handshake.path:
        found.append(f"path: recorded {session.path!r}, received {handshake.path!r}")
    for name in sorted({*session.query, *handshake.query}):
        mine, theirs = session.query.get(name), handshake.query.get(name)
        masked = any("*" in value for value in [*(mine or []), *(theirs or [])])
        if mine != theirs and not (masked and mine and theirs):
            found.append(f"?{name}=: recorded {_values(mine)}, received {_values(theirs)}")
    mine_beta, theirs_beta = ("openai-beta" in one.headers or _BETA in one.subprotocols for one in (session, handshake))
    if mine_beta != theirs_beta:
        found.append(f"the Beta header: recorded {mine_beta}, received {theirs_beta}")
    return found


def _values(values: list[str] | None) -> str:
    return "nothing" if values is None else ", ".join(map(repr, values))


def refreshed(data: Any, new_id: Callable[[str], str], ids: Ids, shift: float) -> Any:
    """Return recorded JSON data as an endpoint would send it now.

    Args:
        data: The data.
        new_id: Returns the identifier for a placeholder.
        ids: The source of secrets.
        shift: Seconds between the recording and now, which are added to times.
    """
    made: dict[str, str] = {}

    def text(value: str) -> str:
        if value.startswith("ek_") and "*" in value:
            return made.setdefault(value, ids.new("ek"))
        return value

    return moved_times(each_id(data, lambda field, value: new_id(value), text), shift)


def moved_times(data: Any, shift: float) -> Any:
    """Return JSON data with its times of day moved.

    Args:
        data: The data.
        shift: Seconds to add.
    """
    if isinstance(data, list):
        return [moved_times(value, shift) for value in data]
    if not isinstance(data, dict):
        return data
    return {
        name: int(value + shift)
        if name in ("expires_at", "created_at") and isinstance(value, int | float) and value > 1e9
        else moved_times(value, shift)
        for name, value in data.items()
    }
