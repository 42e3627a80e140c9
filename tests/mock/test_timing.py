"""When answers come: drawn from a script's distributions, measured by `session.timing`; and word error rates."""

import asyncio
import statistics
import sys

import pytest
from talk import COMPLETED, DELTA, Talk, silence, tone, update
from test_server import transcribe

from rtstt_testkit import Delays, Fault, Percentiles, RealtimeServer, Script, Transcript, word_error_rate
from rtstt_testkit.mock.protocol.ids import Ids
from rtstt_testkit.mock.script.file import ScriptError, parse_script
from rtstt_testkit.speech import load

COMMIT = {"type": "input_audio_buffer.commit"}


def chance(seed: int):
    return Ids(seed).chance("test")


@pytest.mark.parametrize(("p50", "p95"), [(0.3, 0.9), (1.0, 1.0), (0.05, 2.0)])
def test_a_distribution_has_its_percentiles(p50, p95) -> None:
    random = chance(1)
    drawn = [Percentiles(p50, p95).draw(random) for _ in range(20_000)]
    cuts = statistics.quantiles(drawn, n=20)
    assert cuts[9] == pytest.approx(p50, rel=0.05)
    assert cuts[18] == pytest.approx(p95, rel=0.1)
    assert min(drawn) > 0


def test_no_delay_stays_none() -> None:
    assert Percentiles(0, 0).draw(chance(1)) == 0
    assert Percentiles(0.3, 0.9).draw(lambda: 0.0) > 0


@pytest.mark.parametrize(
    ("delays", "message"),
    [
        ({"first_delta": Percentiles(0.9, 0.3)}, "first_delta has p50 0.9 and p95 0.3; p95 must not be below p50"),
        ({"completed": Percentiles(0, 1)}, "completed has p50 0 and p95 1; a median of 0 leaves only zeros"),
        ({"updated": -1}, "updated is -1; it must be 0 or more"),
    ],
)
def test_delays_that_cannot_be_are_refused(delays, message) -> None:
    with pytest.raises(ValueError, match=message):
        Delays(**delays)


@pytest.mark.parametrize(
    ("text", "format_"),
    [
        ("latency: {first_delta: {p50: 0.3, p95: 0.9}, updated: 0.1}", "yaml"),
        ("[latency]\nfirst_delta = {p50 = 0.3, p95 = 0.9}\nupdated = 0.1", "toml"),
        ('{"latency": {"first_delta": {"p50": 0.3, "p95": 0.9}, "updated": 0.1}}', "json"),
    ],
)
def test_a_script_file_has_distributions(text, format_) -> None:
    assert parse_script(text, "s", format_).latency == Delays(first_delta=Percentiles(0.3, 0.9), updated=0.1)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("latency: {final: 1}", "s, line 1: `latency.final` is not known here; choose from updated, speech_started, "),
        ("latency: {updated: {p50: 1}}", "`latency.updated` is {'p50': 1}; it must be a number of seconds, or a table"),
        ("latency: {updated: {p50: 2, p95: 1}}", "`latency` does not fit: updated has p50 2 and p95 1; p95 must not "),
        ("latency: 1", "`latency` is 1; it must be a table"),
    ],
)
def test_a_mistake_in_a_script_file_is_named(text, message) -> None:
    with pytest.raises(ScriptError) as caught:
        parse_script(text, "s", "yaml")
    assert message in str(caught.value)


def answered(delays: Delays, turns: int = 1, latency: str = "instant", **audio_input) -> Talk:
    talk = Talk(script=Script(latency=delays), latency=latency)
    talk.send(update(**audio_input))
    pass_time(talk, 1)
    for _ in range(turns):
        talk.speak(tone(500) + silence(300))
        pass_time(talk, 8)
    return talk


def pass_time(talk: Talk, seconds: float) -> None:
    """Let time pass in small steps: the session is polled at each."""
    for _ in range(round(seconds / 0.01)):
        talk.wait(0.01)


def test_the_times_of_a_script_take_the_place_of_the_servers() -> None:
    times = Delays(updated=0.5, speech_started=0.0, committed=0.1, first_delta=1.0, completed=3.0)
    timing = answered(times, latency="capture").record.timing
    assert timing.updated is not None
    assert timing.updated.lag == pytest.approx(0.5, abs=0.02)
    (turn,) = timing.turns
    lags = [moment.lag for moment in (turn.committed, turn.first_delta, turn.final) if moment]
    assert lags == pytest.approx([0.1, 1.0, 3.0], abs=0.02)


def test_completed_never_comes_before_the_first_delta() -> None:
    talk = answered(Delays(first_delta=2.0, completed=0.5), turns=3)
    for turn in talk.record.timing.turns:
        assert turn.first_delta is not None
        assert turn.final is not None
        assert turn.first_delta.at <= turn.final.at


def test_every_turn_is_drawn_and_a_seed_makes_them_the_same() -> None:
    def lags():
        talk = answered(Delays(first_delta=Percentiles(0.3, 0.9)), turns=8)
        return [turn.first_delta.lag for turn in talk.record.timing.turns if turn.first_delta]

    first = lags()
    assert len(set(first)) == 8
    assert first == lags()


def test_each_moment_has_the_audio_that_had_arrived() -> None:
    talk = Talk()
    talk.wait(0.5)
    talk.send(update(turn_detection=None))
    talk.speak(tone(1000))
    talk.wait(2.0)
    talk.send(COMMIT)
    timing = talk.record.timing
    assert timing.created is not None
    assert timing.created.audio == 0
    assert timing.first_delta is not None
    assert timing.first_delta.audio == pytest.approx(1.0)
    assert timing.first_delta.lag == pytest.approx(2.0)
    assert timing.final is not None
    assert timing.final.lag == pytest.approx(2.0)


def test_a_delta_before_the_commit_has_a_negative_lag() -> None:
    talk = Talk(transcripts=["One two three."])
    talk.send(update("gpt-live-transcribe", turn_detection=None))
    for _ in range(20):
        talk.speak(tone(100))
        talk.wait(0.1)
    talk.send(COMMIT)
    delta = talk.record.timing.first_delta
    assert delta is not None
    assert delta.lag is not None
    assert delta.lag < -0.5


def test_what_was_not_sent_is_not_timed() -> None:
    talk = Talk(script=Script([Transcript("Hello.")], faults=[Fault("drop", on="completed")]))
    talk.send(update())
    talk.speak(tone(500) + silence(300))
    assert talk.record.timing.first_delta is not None
    assert talk.record.timing.final is None
    assert Talk().record.timing.turns == []


def test_a_server_draws_too_and_times_the_handshake() -> None:
    async def scenario():
        script = Script(
            latency=Delays(completed=Percentiles(0.01, 0.02)), faults=[Fault("delay", on="connect", seconds=0.2)]
        )
        async with RealtimeServer(script=script, seed=1) as server:
            events = await transcribe(server)
            (session,) = server.sessions
            assert session.timing.connect >= 0.2
            assert session.timing.final is not None
            assert {DELTA, COMPLETED} <= {event["type"] for event in events}

    asyncio.run(asyncio.wait_for(scenario(), 100))


@pytest.mark.parametrize(
    ("transcript", "recording", "rate"),
    [
        (load("coffee").text, "coffee", 0),
        ("i would like TWO coffees, and a glass of water", "coffee", 0),
        ("I would like two coffees and a glass", "coffee", 2 / 10),
        ("", "coffee", 1),
        ([load("hold").text, load("shortly").text], "hold+shortly", 0),
        (load("coffee").text, load("coffee"), 0),
    ],
)
def test_the_word_error_rate_counts_words(transcript, recording, rate) -> None:
    pytest.importorskip("jiwer")
    assert word_error_rate(transcript, recording) == pytest.approx(rate)


def test_without_jiwer_the_error_names_the_extra(monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "jiwer", None)
    with pytest.raises(RuntimeError, match=r"need jiwer; install it with: pip install 'rtstt-shim\[exam\]'"):
        word_error_rate("", "coffee")
