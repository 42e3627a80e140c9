"""The places of events and audio on the time axis, and the hints that the pace of the audio gives."""

import pytest

from rtstt_testkit.inspector.axis import Axis
from rtstt_testkit.inspector.hints import hints
from rtstt_testkit.mock.inspect.record import APPEND, Event

SECOND = 48_000
TRANSCRIPTION = "conversation.item.input_audio_transcription."


def audio(at: float, seconds: float, *, until: float | None = None, count: int = 1) -> Event:
    data = {"type": APPEND, "audio_bytes": round(seconds * SECOND)}
    return Event("client", at, APPEND, data, count, until=at if until is None else until)


def event(at: float, type_: str = "input_audio_buffer.committed") -> Event:
    return Event("server", at, type_, {"type": type_})


def axis(*events: Event) -> Axis:
    made = Axis()
    made.update(events, sum(one.data.get("audio_bytes", 0) for one in events))
    return made


def test_with_audio_in_real_time_the_axis_is_the_clock() -> None:
    seen = axis(event(0.0), audio(1.0, 2.0, until=2.9, count=20), event(2.95), audio(3.0, 1.0, until=3.9, count=10))
    assert [placed.x for placed in seen.placed] == pytest.approx([0.0, 0.9, 2.95, 2.9])
    assert seen.lag == 0.0
    assert seen.end == pytest.approx(3.9)


def test_audio_that_arrives_at_once_is_as_long_as_it_plays_and_events_follow_it() -> None:
    seen = axis(
        audio(0.01, 5.0, until=0.02, count=50), event(0.03), audio(0.04, 5.0, until=0.05, count=50), event(0.06)
    )
    assert [placed.x for placed in seen.placed] == pytest.approx([0.0, 5.0, 5.01, 10.01], abs=0.05)
    assert seen.lag == pytest.approx(9.95, abs=0.05)


def test_a_gap_in_the_audio_is_a_gap_on_the_axis() -> None:
    seen = axis(audio(0.1, 1.0, until=1.0, count=10), event(1.0), audio(6.0, 1.0, until=6.9, count=10))
    (first, *_), (second, *_) = seen.pieces
    assert second - (first + 1.0) == pytest.approx(4.9)


def test_audio_that_comes_steadily_and_too_slowly_is_spread_over_its_time() -> None:
    seen = axis(audio(0.0, 2.0, until=2.9, count=30), event(2.9), audio(3.0, 2.0, until=5.9, count=30))
    assert [(placed.x, placed.width) for placed in seen.placed] == [
        pytest.approx((-0.1, 3.0), abs=0.11),
        (2.9, 0.0),
        pytest.approx((2.9, 3.0), abs=0.11),
    ]
    assert seen.seconds == 4.0


def test_a_time_of_the_clock_has_a_place() -> None:
    seen = axis(event(0.0), audio(0.01, 5.0, until=0.02, count=50), event(0.03))
    assert seen.place_of(1.03) == pytest.approx(6.0, abs=0.05)
    assert axis().place_of(2.0) == 2.0


def test_a_run_of_appends_grows_in_its_place() -> None:
    seen = Axis()
    run = audio(0.0, 0.1)
    assert seen.update([event(0.0), run], 4800) == 0
    run.count, run.until, run.data["audio_bytes"] = 10, 0.9, SECOND
    assert seen.update([seen.placed[0].event, run], SECOND) == 1
    assert [placed.received for placed in seen.placed] == [0.0, 1.0]
    assert len(seen.pieces) == 1
    assert seen.update([seen.placed[0].event, run, event(1.0)], SECOND) == 1
    assert len(seen.placed) == 3


def test_events_that_were_forgotten_before_anyone_looked_leave_their_audio() -> None:
    seen = Axis()
    seen.update([audio(9.0, 1.0)], 10 * SECOND)
    assert seen.placed[0].received == pytest.approx(10.0)
    assert seen.time_of(10 * SECOND) == pytest.approx(10.0)


def test_times_and_positions_follow_the_format_of_the_audio() -> None:
    mu_law = {"type": "session.updated", "session": {"audio": {"input": {"format": {"type": "audio/pcmu"}}}}}
    late = Event("client", 2.0, APPEND, {"type": APPEND, "audio_bytes": 8000}, until=2.0)
    seen = axis(audio(0.0, 1.0), Event("server", 1.0, "session.updated", mu_law), late)
    assert seen.seconds == pytest.approx(2.0)
    assert seen.position(1.5) == SECOND + 4000
    assert seen.time_of(SECOND + 4000) == pytest.approx(1.5)


@pytest.mark.parametrize(("rate", "said"), [(16000, "16,000 Hz"), (8000, "8,000 Hz"), (48000, "48,000 Hz")])
def test_audio_of_another_rate_is_found_by_its_pace(rate: int, said: str) -> None:
    # A hundred milliseconds of 16-bit samples every hundred milliseconds.
    run = audio(0.0, 31 * rate / 10 / 24000, until=3.0, count=31)
    (sentence,) = hints(axis(run))
    assert said in sentence
    assert "24,000" in sentence


def test_there_is_no_hint_for_audio_in_real_time_or_all_at_once_or_too_short() -> None:
    assert hints(axis(audio(0.0, 3.1, until=3.0, count=31))) == []
    assert hints(axis(audio(0.0, 60.0, until=0.01, count=600))) == []
    assert hints(axis(audio(0.0, 0.7, until=1.0, count=11))) == []


def test_a_transcript_that_failed_beside_others_is_named() -> None:
    failed = {"type": f"{TRANSCRIPTION}failed", "error": {"code": "rate_limit_exceeded", "message": "Slow down."}}
    completed = {"type": f"{TRANSCRIPTION}completed", "transcript": "Hello."}
    events = [Event("server", 1.0, str(data["type"]), data) for data in (completed, failed)]
    assert hints(axis(*events)) == ["1 transcript failed: rate_limit_exceeded, Slow down."]
    assert hints(axis(events[1])) == []
