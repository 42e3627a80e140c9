"""Findings: each is triggered by a planted bug, and by nothing that a good client does."""

import asyncio
import json
import re
from importlib.resources import files
from pathlib import Path
from urllib.request import urlopen

import pytest
from talk import COMPLETED, FAILED, KEY, Talk, silence, tone, update
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from rtstt_testkit import Fault, Finding, NotResilient, Outcome, RealtimeServer, ThreadedRealtimeServer, Transcript
from rtstt_testkit.inspector.page import report_page
from rtstt_testkit.inspector.routes import ROUTES
from rtstt_testkit.mock.inspect.examine import examine
from rtstt_testkit.mock.inspect.findings.clients import group_clients
from rtstt_testkit.mock.inspect.findings.finding import Observation
from rtstt_testkit.mock.inspect.findings.table import FINDINGS, find
from rtstt_testkit.mock.inspect.ledger import AudioLedger, Piece, Speed
from rtstt_testkit.mock.inspect.record import APPEND, Closed, SessionRecord
from rtstt_testkit.mock.protocol.errors import NO_CREDIT, ApiError
from rtstt_testkit.mock.protocol.handshake import Request

TARGET = "/v1/realtime?intent=transcription"
SECOND = 48_000  # bytes
RESET, LEFT = Closed(1006, "", "server"), Closed(1000, "", "client")
EXPIRED = Closed(1001, "Your session hit the maximum duration of 60 minutes.", "server")
SERVER_ERROR, REFUSED = Closed(1011, "", "server"), Closed(3000, "invalid_request_error.invalid_api_key", "server")


class Course:
    """The sessions of a client, written down event by event."""

    def __init__(self) -> None:
        self.sessions: list[SessionRecord] = []
        self.at = 0.0

    def session(self, opened: float, close: Closed | None = LEFT, seconds: float = 1.0, status: int = 101) -> "Course":
        record = SessionRecord(len(self.sessions) + 1, Request(TARGET, [("User-Agent", "test")]).record())
        record.opened_at, record.http_status, record.close = opened, status, close if status == 101 else None
        record.closed_at = seconds if close is not None or status != 101 else None
        record.kind = "transcription"
        self.sessions.append(record)
        self.at = 0.0
        return self

    @property
    def last(self) -> SessionRecord:
        return self.sessions[-1]

    def client(self, type_: str, **fields) -> "Course":
        self.at += 0.01
        self.last.add("client", self.at, {"type": type_, **fields})
        return self

    def pause(self, seconds: float) -> "Course":
        self.at += seconds
        return self

    def audio(self, seconds: float = 1.0) -> "Course":
        self.at += 0.01
        self.last.add_audio(self.at, bytes(round(seconds * SECOND)))
        return self

    def server(self, type_: str, dropped=None, **fields) -> "Course":
        self.at += 0.01
        self.last.add("server", self.at, {"type": type_, **fields}, dropped)
        return self

    def configured(self) -> "Course":
        return self.server("session.created").client("session.update").server("session.updated")

    def turn(self, text: str, item: str = "item_1", seconds: float = 1.0) -> "Course":
        self.audio(seconds).server("input_audio_buffer.committed", item_id=item)
        return self.completed(text, item)

    def completed(self, text: str, item: str = "item_1") -> "Course":
        return self.server(COMPLETED, item_id=item, transcript=text)

    def fault(self, action: str) -> "Course":
        self.last.add_fault(self.at, action, "delta")
        return self

    def findings(self, **options) -> dict[str, Finding]:
        options = {"now": 1000.0, "finished": True, **options}
        return {finding.name: finding for finding in find(Observation(self.sessions, **options))}


def attempts(times, status=503, close=None) -> Course:
    course = Course()
    for time in times:
        course.session(time, close, 0.0, status if close is None else 101)
    return course


def worked(course: Course, opened: float) -> Course:
    return course.session(opened).configured().turn("Fine")


def interrupted(opened: float, course: Course | None = None, close: Closed = SERVER_ERROR, text="Fine") -> Course:
    return (course or Course()).session(opened, close).configured().turn(text).audio()


def printed(text: str = "", *transcript: str, code: int | None = 0, timed_out: bool = False) -> dict:
    return {"outcome": Outcome(transcript, text, code, timed_out)}


ORDERED = (
    Course()
    .session(0)
    .configured()
    .audio()
    .server("input_audio_buffer.committed", item_id="a")
    .audio()
    .server("input_audio_buffer.committed", item_id="b")
    .completed("Second", "b")
    .completed("First", "a")
)
FAILURE = Course().session(0).configured().audio().server(FAILED, item_id="a", error={"message": "429."})

LOGGED = 'Traceback (most recent call last):\n  File "client.py", line 1, in read\nOSError: no microphone\n'
WITH_MODEL = Course().session(0, Closed(4000, "invalid_request_error.invalid_model", "server"))
WITH_MODEL.last.refusal = ApiError("You must not provide a model parameter.", "invalid_model", close=4000)
WITHOUT_CREDIT = Course().session(0, Closed(1013, "insufficient_quota", "server"))
WITHOUT_CREDIT.last.refusal = NO_CREDIT

BAD = [
    ("request_refused", WITH_MODEL, printed("invalid_model", code=1)),
    ("retried_fatal", attempts([0, 1, 2, 3], 401), {}),
    ("retried_fatal", attempts([0, 0.1, 0.2], close=REFUSED), {}),
    ("retried_fatal", attempts([0, 1, 3, 7, 15, 31], 403), {}),
    ("reconnect_storm", worked(attempts([at / 50 for at in range(20)]), 1), {}),
    ("no_backoff", worked(attempts([0, 1, 2, 3, 4]), 5), {}),
    ("reconnect_storm", worked(attempts([0, 0.01, 0.02, 0.03]), 5), {}),
    ("gave_up_too_early", attempts([0]), {}),
    ("gave_up_too_early", attempts([0, 1]), {}),
    ("gave_up_too_early", interrupted(0), {}),
    ("gave_up_too_early", interrupted(0, close=Closed(1001, "Your session hit the maximum duration.", "server")), {}),
    ("gave_up_too_early", interrupted(0), {"finished": False}),
    ("budget_not_reset", interrupted(4, interrupted(2, interrupted(0))), {}),
    (
        "session_update_missing_after_reconnect",
        interrupted(0).session(2).server("session.created").audio(),
        {},
    ),
    ("audio_before_updated", Course().session(0).server("session.created").audio().client("session.update"), {}),
    (
        "refused_update_ignored",
        Course()
        .session(0)
        .client("session.update")
        .server("error", error={"param": "session.audio.input.prompt", "message": "No."})
        .audio()
        .pause(1.0)
        .audio(),
        {},
    ),
    ("closed_before_completed", Course().session(0).configured().audio().server(COMPLETED, "close", transcript=""), {}),
    ("failed_ignored", FAILURE, printed()),
    ("silent_failure", Course().session(0, REFUSED).server("error", error={"message": "Bad key."}), printed()),
    ("out_of_order_mixed_up", ORDERED, printed("", "Second", "First")),
    ("transcript_lost", Course().session(0).configured().turn("Hello there."), printed("", "Hello")),
    ("transcript_doubled", Course().session(0).configured().turn("Hello."), printed("", "Hello", "hello.")),
    ("crashed", worked(Course(), 0), printed("Traceback (most recent call last):\nValueError: x", "Fine", code=1)),
    ("crashed", worked(Course(), 0), printed(f"error: one\n{LOGGED}\n{LOGGED}", "Fine", code=1)),
    ("crashed", worked(Course(), 0), printed("", "Fine", code=-11)),
    ("hung", worked(Course(), 0), printed("", "Fine", code=None, timed_out=True)),
    ("never_connected", Course(), printed("cannot read the file")),
    ("never_connected", Course(), printed(code=None, timed_out=False)),
]

GOOD = [
    worked(Course(), 0),
    # One further attempt may be caution.
    attempts([0, 1], 401),
    worked(attempts([0, 0.5, 1.5, 3.5, 7.5]), 16),
    # Constant pauses that load nobody.
    worked(attempts([0, 30, 60, 90, 120]), 150),
    # Gave up after two retries.
    attempts([0, 1, 3]),
    # Sessions without speech, each of which lasted to its limit.
    worked(attempts([0, 1, 2, 3, 4], close=EXPIRED), 5),
    worked(interrupted(4, interrupted(2, interrupted(0))), 6),
    # A client that had finished.
    Course().session(0, Closed(1001, "", "server")).configured().turn("Fine"),
    # An ephemeral secret holds the settings.
    Course().session(0).server("session.created").audio(),
    # A client that leaves a silent connection, and goes on in the next.
    worked(Course().session(0).configured().audio().server(COMPLETED, "close", transcript="").fault("stall"), 2),
    Course().session(0, Closed(1006, "", "client")).configured().audio().server(COMPLETED, "close", transcript=""),
    # A client whose limit a message exceeded.
    Course().session(0, Closed(1009, "", "client")).configured().audio().server(COMPLETED, "close", transcript=""),
    Course().session(0, None).configured().audio(),
    # A client that had recorded much when its update was refused, and stopped.
    Course().session(0).client("session.update").server("error", error={"param": "session.type"}).audio(2),
    # A refused update that was corrected.
    Course()
    .session(0)
    .client("session.update")
    .server("error", error={"param": "session.type", "message": "No."})
    .configured()
    .audio(2),
]


@pytest.mark.parametrize(("name", "course", "options"), BAD, ids=[f"{row[0]}-{at}" for at, row in enumerate(BAD)])
def test_a_planted_bug_is_found_and_no_other(name, course, options) -> None:
    found = course.findings(**options)
    assert list(found) == [name]
    assert found[name].evidence
    assert f"{name}: " in str(found[name])


@pytest.mark.parametrize("course", GOOD, ids=range(len(GOOD)))
def test_a_good_client_has_no_finding(course) -> None:
    assert course.findings() == {}


@pytest.mark.parametrize(
    ("course", "options"),
    [
        (FAILURE, printed("transcription failed")),
        (FAILURE, printed(code=1)),
        (WITHOUT_CREDIT, printed(code=1)),
        (Course().session(0, SERVER_ERROR).session(1, SERVER_ERROR).session(3, SERVER_ERROR), printed("reconnecting")),
        (Course().session(0, REFUSED), printed("Unauthorized")),
        (Course().session(0, REFUSED), printed(code=2)),
        (ORDERED, printed("", "First", "Second")),
        (worked(Course(), 0), printed("", "FINE!")),
        (interrupted(0).session(2).configured().turn("Fine"), printed("", "Fine", "fine")),
        (worked(Course(), 0), printed("error: no microphone", "Fine", code=1)),
        (worked(Course(), 0), printed(f"{LOGGED}ended: no microphone\n", "Fine", code=1)),
    ],
)
def test_a_program_that_reports_has_no_finding(course, options) -> None:
    assert course.findings(**options) == {}


def test_a_client_that_is_silent_for_a_moment_has_not_given_up() -> None:
    course = interrupted(0)
    assert course.findings(finished=False, now=5.0) == {}
    assert list(course.findings(finished=False, now=60.0)) == ["gave_up_too_early"]


def test_a_ping_that_is_not_answered_is_found() -> None:
    course = worked(Course(), 0)
    course.last.close = Closed(1011, "keepalive ping timeout", "server")
    course.last.closed_at = 41.0
    course.last.add_ping(1.0)
    course.last.add_pong(1.1)
    course.last.add_ping(21.0)
    (evidence,) = course.findings()["ping_ignored"].evidence
    assert str(evidence) == "session 1 at 21.000 s: a PING was not answered in 20.0 s"


def test_the_evidence_names_session_event_and_time() -> None:
    course = Course().session(0).server("session.created").audio(0.5).client("session.update")
    (evidence,) = course.findings()["audio_before_updated"].evidence
    assert str(evidence) == (
        "session 1, event 2 at 0.020 s: audio came before the first session.update (event 3 at 0.030 s): 0.500 s"
    )
    assert evidence.as_json()["event"] == 2


def test_clients_that_overlap_or_differ_are_distinguished() -> None:
    course = Course().session(0, seconds=5).session(1, seconds=1).session(5.5).session(3)
    course.last.handshake.headers["user-agent"] = "another"
    assert [[record.number for record in client] for client in group_clients(course.sessions)] == [[1, 3], [2], [4]]


def test_many_clients_at_once_are_distinguished_in_reasonable_time() -> None:
    course = Course()
    for number in range(3_000):
        course.session(number / 1_000, seconds=5 + number / 1_000)
    clients = group_clients(course.sessions)
    assert [len(client) for client in clients] == [1] * 3_000


# -- audio


def ledger(*pieces: Piece, seconds: float = 4.0) -> dict:
    return {"ledger": AudioLedger("test", seconds, pieces, voiced=b"\1" * round(seconds * 100))}


def cut_off(heard: float, sent: float) -> Course:
    """A client of which a session transcribed some of its audio before it was cut off, and a second session."""
    course = Course().session(0, SERVER_ERROR).configured()
    course.turn("One", seconds=heard).audio(sent - heard)
    return course.session(2).configured().turn("Two", seconds=4)


@pytest.mark.parametrize(
    ("name", "course", "pieces"),
    [
        ("leading_audio_lost", worked(Course(), 0), [Piece(1, 0.0, 0.32, 4.0)]),
        ("audio_lost", worked(Course(), 0), [Piece(1, 0.0, 0.0, 1.0), Piece(1, 1.0, 2.0, 4.0)]),
        ("audio_lost", worked(Course(), 0), [Piece(1, 0.0, 0.0, 3.0)]),
        # What a session had not transcribed when it was cut off was not sent again.
        ("audio_lost", cut_off(1.0, 2.0), [Piece(1, 0.0, 0.0, 2.0), Piece(2, 0.0, 2.0, 4.0)]),
        ("audio_doubled", cut_off(2.0, 2.0), [Piece(1, 0.0, 0.0, 2.0), Piece(2, 0.0, 1.0, 4.0)]),
    ],
)
def test_audio_that_was_not_transcribed_once_is_found(name, course, pieces) -> None:
    assert list(course.findings(**ledger(*pieces))) == [name]


@pytest.mark.parametrize(
    ("course", "pieces"),
    [
        (worked(Course(), 0), [Piece(1, 0.0, 0.0, 4.0)]),
        (worked(Course(), 0), []),
        # What was not transcribed was sent again.
        (cut_off(1.0, 2.0), [Piece(1, 0.0, 0.0, 2.0), Piece(2, 0.0, 1.0, 4.0)]),
        (cut_off(1.0, 1.0), [Piece(1, 0.0, 0.0, 1.0), Piece(2, 0.0, 1.0, 4.0)]),
    ],
)
def test_audio_that_was_transcribed_once_is_no_finding(course, pieces) -> None:
    assert course.findings(**ledger(*pieces)) == {}


def test_audio_of_a_wrong_rate_is_found_at_its_first_append() -> None:
    heard = AudioLedger("test", 4.0, speeds=[Speed(1, 16000, 24000)], voiced=b"\1" * 400)
    (finding,) = worked(Course(), 0).findings(ledger=heard).values()
    assert finding.name == "wrong_sample_rate"
    assert [str(evidence) for evidence in finding.evidence] == [
        "session 1, event 4 at 0.040 s: "
        "the audio plays 1.5 times as fast as the recording: 16 kHz samples sent as 24 kHz"
    ]


# -- the table and its document


def test_every_finding_has_a_section_and_a_test() -> None:
    text = files("rtstt_testkit.mock.inspect.findings").joinpath("FINDINGS.md").read_text("utf-8")
    names = [row.name for row in FINDINGS]
    assert re.findall(r"^## (\w+)$", text, re.M) == names
    here = Path(__file__).read_text("utf-8")
    assert all(f'"{name}"' in here for name in names)
    for row in FINDINGS:
        assert row.meaning in text
        assert row.fix in text


# -- servers


def run(scenario):
    return asyncio.run(asyncio.wait_for(scenario(), 100))


async def talk(server, *, key: str = KEY) -> None:
    address = server.url + "?intent=transcription"
    async with connect(address, additional_headers={"Authorization": f"Bearer {key}"}) as socket_:
        await socket_.send(json.dumps(update()))
        message = {"type": ""}
        while message["type"] != "session.updated":
            message = json.loads(await socket_.recv())


def test_a_server_reports_what_its_clients_did_wrong() -> None:
    async def scenario():
        fault = Fault("http", on="connect", code=401, nth=None)
        async with RealtimeServer(faults=[fault], strict=False) as server:
            for _ in range(4):
                with pytest.raises(InvalidStatus):
                    await talk(server)
            (finding,) = server.findings()
            assert finding.name == "retried_fatal"
            assert "4 attempts in" in finding.evidence[0].text
            assert f"\nFinding {finding}" in server.explain()
            with pytest.raises(NotResilient, match="retried_fatal: The client kept retrying") as caught:
                server.assert_resilient()
            assert str(caught.value).endswith("To allow it: except_=['retried_fatal']")
            server.assert_resilient(except_=["retried_fatal"])
            server.assert_resilient(except_="retried_fatal")
            with pytest.raises(ValueError, match="unknown finding 'nope'; there are never_connected, "):
                server.assert_resilient(except_=["nope"])
        assert [finding.name for finding in server.findings()] == ["retried_fatal"]

    run(scenario)


def test_a_threaded_server_reports_findings_while_it_runs_and_after() -> None:
    with ThreadedRealtimeServer(strict=False) as server:
        assert server.findings() == []
        asyncio.run(talk(server))
        server.assert_resilient()
    server.assert_resilient()
    assert server.findings(outcome=Outcome(log="", exit_code=0)) == []


def test_a_session_in_capture_latency_has_no_finding() -> None:
    session = Talk(latency="capture")
    session.send(update())
    session.speak(tone(500) + silence(400))
    session.wait(5)
    session.record.close, session.record.closed_at = LEFT, 5.0
    assert session.record.transcripts
    assert examine([session.record], 10.0, finished=True) == []


def test_a_transcript_in_flight_is_found() -> None:
    session = Talk(transcripts=[Transcript("Late", delay=3.0)])
    session.send(update())
    session.speak(tone(500) + silence(400))
    session.session.closed(LEFT)
    session.record.closed_at = 1.0
    (finding,) = examine([session.record], 10.0)
    assert finding.name == "closed_before_completed"
    assert APPEND in [event.type for event in session.record.events]


def test_the_control_api_and_the_inspector_show_findings() -> None:
    async def scenario(server):
        for _ in range(4):
            with pytest.raises(InvalidStatus):
                await talk(server)
        await talk(server, key=KEY + "2")

    def get(path: str):
        address = f"http://127.0.0.1:{server.port}/_mock/{path}"
        return json.loads(urlopen(address, timeout=60).read())

    fault = Fault("http", on="connect", code=403, first=4)
    with ThreadedRealtimeServer(faults=[fault], strict=False, control=True, routes=ROUTES) as server:
        asyncio.run(scenario(server))
        (finding,) = get("findings")["findings"]
        assert finding["name"] == "retried_fatal"
        assert finding["evidence"][0]["session"] == 1
        view = get("sessions/1/view")
        assert view["suspicious"]
        (shown,) = view["findings"]
        assert shown["name"] == "retried_fatal"
        assert shown["evidence"][0]["x"] == 0.0
        assert not get("sessions/5/view")["suspicious"]
        assert not get("sessions/5/view")["findings"]
        assert "The client kept retrying although the refusal was final." in report_page(server.sessions, "test")
