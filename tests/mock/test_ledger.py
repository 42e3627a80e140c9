"""The audio ledger: what of a recording arrived, to the millisecond."""

import asyncio
import json
import re
import sys

import pytest
from talk import KEY, append, update
from websockets.asyncio.client import connect

np = pytest.importorskip("numpy")

from rtstt_testkit import AudioIncomplete, RealtimeServer, ThreadedRealtimeServer  # noqa: E402
from rtstt_testkit.mock.audio.formats import FORMATS, encode_g711  # noqa: E402
from rtstt_testkit.mock.inspect.align import Received, align  # noqa: E402
from rtstt_testkit.speech import load, recordings, silence  # noqa: E402

PCM = FORMATS["audio/pcm"]
COFFEE = load("coffee")
SPEECH = COFFEE.pcm


EVERY = [pytest.param(name, marks=[] if name == "coffee" else pytest.mark.heavy) for name in recordings()]


def cut(start: float, end: float | None = None, pcm: bytes = SPEECH) -> bytes:
    return pcm[2 * round(start * 24000) : None if end is None else 2 * round(end * 24000)]


def ledger(*sessions: bytes, pcm: bytes = SPEECH, format_: str = "audio/pcm"):
    received = [Received(number, audio, FORMATS[format_]) for number, audio in enumerate(sessions, 1)]
    return align("coffee", pcm, 24000, received)


def samples(pcm: bytes):
    return np.frombuffer(pcm, "<i2").astype(float)


def pcm16(values) -> bytes:
    return np.clip(np.round(values), -32768, 32767).astype("<i2").tobytes()


def resampled(values, rate: int, to: int):
    """Resample as a client with a simple interpolator does."""
    count = int(len(values) * to / rate)
    return np.interp(np.arange(count) * rate / to, np.arange(len(values)), values)


@pytest.mark.parametrize(
    ("sessions", "text"),
    [
        ([SPEECH], "All of 'coffee' arrived."),
        ([cut(0, 1), cut(1)], "All of 'coffee' arrived."),
        ([cut(0.32)], "First 320 ms missing."),
        ([cut(0, -0.2)], "Last 200 ms missing."),
        ([cut(0, 1) + cut(1.08)], "80 ms lost at 1.000 s."),
        ([cut(0, 1) + cut(1.005)], "5 ms lost at 1.000 s."),
        ([cut(0, 1) + silence(0.3) + cut(1.3)], "300 ms lost at 1.000 s."),
        ([cut(0, 1.2), cut(1.5)], "300 ms lost at the reconnect at 1.200 s."),
        ([cut(0, 1.5) + cut(1.1)], "400 ms sent twice, from 1.100 s on."),
        ([cut(0, 1.2), cut(0.8)], "400 ms sent twice, from 0.800 s on."),
        (
            [cut(0.32, 1.2), cut(1.5, 2), cut(1.8)],
            "First 320 ms missing; 300 ms lost at the reconnect at 1.200 s; 200 ms sent twice, from 1.800 s on.",
        ),
        ([], "Nothing of 'coffee' arrived."),
        ([b""], "Nothing of 'coffee' arrived."),
        ([silence(2)], "Nothing of 'coffee' arrived."),
    ],
)
def test_it_names_what_arrived_to_the_millisecond(sessions, text) -> None:
    assert str(ledger(*sessions)) == text


@pytest.mark.parametrize("name", list(recordings()))
@pytest.mark.parametrize("lost", [0.08, 0.137, 0.4])
def test_the_place_and_the_length_of_a_loss_are_right(name, lost) -> None:
    pcm = load(name).pcm
    found = ledger(silence(0.31) + cut(0, 0.5, pcm) + cut(0.5 + lost, None, pcm) + silence(0.7), pcm=pcm)
    (span,) = found.missing
    assert span.seconds == pytest.approx(lost, abs=0.001)
    assert span.start == pytest.approx(0.5, abs=0.001 + span.uncertain)


@pytest.mark.parametrize(
    "change",
    [
        lambda values: values * 0.03,
        lambda values: np.clip(values * 3, -32768, 32767),
        lambda values: resampled(resampled(values, 24000, 16000), 16000, 24000),
        lambda values: resampled(resampled(values, 24000, 44100), 44100, 24000),
        lambda values: values + 300,
        lambda values: values + np.random.default_rng(1).normal(0, 300, len(values)),
    ],
    ids=["quiet", "clipped", "16 kHz", "44.1 kHz", "offset", "noise"],
)
def test_gain_resampling_and_noise_change_nothing(change) -> None:
    changed = pcm16(change(samples(SPEECH)))
    found = ledger(cut(0.32, 1.2, changed), cut(1.5, None, changed))
    assert [round(span.seconds, 2) for span in found.missing] == [0.32, 0.3]
    assert found.missing[1].reconnect
    assert not found.doubled
    assert not found.doubts


def test_chunks_that_are_resampled_one_by_one_are_no_loss() -> None:
    pcm = silence(0.5).join(load(name).pcm for name in recordings())
    values = samples(pcm)
    chunks = [resampled(values[at : at + 2400], 2400, 2402) for at in range(0, len(values) - 2400, 2400)]
    found = ledger(pcm16(np.concatenate(chunks)), pcm=pcm)
    assert all(span.sound < 0.05 for span in found.missing if span.end < found.seconds)
    assert found.arrived > found.seconds - 0.15


@pytest.mark.parametrize("name", ["audio/pcmu", "audio/pcma"])
def test_g711_is_decoded(name) -> None:
    audio = encode_g711(pcm16(samples(SPEECH).reshape(-1, 3).mean(axis=1)), name)
    assert str(ledger(audio[800:], format_=name)) == "First 100 ms missing."


def test_silence_that_is_missing_is_no_loss() -> None:
    pcm = SPEECH + silence(2) + load("hello").pcm + silence(1)
    assert not ledger(SPEECH + silence(0.4) + load("hello").pcm, pcm=pcm).missing


def test_a_loss_in_silence_has_an_uncertain_place() -> None:
    pcm = SPEECH + silence(2) + load("hello").pcm
    found = ledger(cut(0, 2.5) + cut(4, None, pcm), pcm=pcm)
    (span,) = found.missing
    assert span.seconds == pytest.approx(1.5, abs=0.001)


def test_other_sound_is_counted() -> None:
    found = ledger(load("train").pcm + SPEECH)
    assert found.unknown > 1
    assert not found.missing
    assert str(ledger(load("train").pcm)).endswith(
        "Most of the sound that arrived is not in the recording, or was changed beyond recognition."
    )


@pytest.mark.parametrize(
    ("rate", "sentence"),
    [
        (8000, "the audio plays 3 times as fast as the recording: 8 kHz samples sent as 24 kHz"),
        (16000, "the audio plays 1.5 times as fast as the recording: 16 kHz samples sent as 24 kHz"),
        (22050, "the audio plays 1.09 times as fast as the recording: 22.05 kHz samples sent as 24 kHz"),
        (44100, "the audio plays 0.544 times as fast as the recording: 44.1 kHz samples sent as 24 kHz"),
        (
            48000,
            "the audio plays half as fast as the recording: 48 kHz samples sent as 24 kHz, or two channels sent as one",
        ),
    ],
)
@pytest.mark.parametrize("name", EVERY)
def test_a_wrong_rate_is_named(name, rate, sentence) -> None:
    pcm = load(name).pcm
    found = ledger(pcm16(resampled(samples(pcm), 24000, rate)), pcm=pcm)
    assert str(found) == f"In session 1 {sentence}."
    with pytest.raises(AudioIncomplete, match=re.escape(sentence)):
        found.check(10)
    inverted = ledger(pcm16(-0.1 * resampled(samples(pcm), 24000, rate)), pcm=pcm)
    assert inverted.speeds == found.speeds


def test_a_wrong_rate_of_g711_is_named() -> None:
    audio = encode_g711(pcm16(samples(SPEECH)), "audio/pcmu")
    assert str(ledger(audio, format_="audio/pcmu")) == (
        "In session 1 the audio plays 0.333 times as fast as the recording: 24 kHz samples sent as 8 kHz."
    )


def test_two_channels_sent_as_one_play_half_as_fast() -> None:
    assert "or two channels sent as one" in str(ledger(pcm16(np.repeat(samples(SPEECH), 2))))


def test_the_sessions_of_the_right_rate_are_told_from_those_of_a_wrong_one() -> None:
    found = ledger(cut(0, 1.2), pcm16(resampled(samples(cut(1.2)), 24000, 16000)))
    assert [(speed.session, speed.recorded) for speed in found.speeds] == [(2, 16000)]
    assert [(piece.session, round(piece.end, 2)) for piece in found.pieces] == [(1, 1.2)]
    assert found.unknown == 0


@pytest.mark.parametrize("name", EVERY)
@pytest.mark.parametrize("seed", range(4))
def test_the_right_rate_is_never_named_a_wrong_one(name, seed) -> None:
    dice = np.random.default_rng(seed)
    values = samples(load(name).pcm) * dice.choice([-1, 1]) * dice.uniform(0.05, 1)
    values += dice.normal(0, 0.02 * np.abs(values).max(), len(values))
    size = int(dice.integers(480, 4800))  # resampled by the client, chunk by chunk
    chunks = [values[at : at + size] for at in range(0, len(values), size)]
    changed = np.concatenate([resampled(resampled(chunk, 24000, 48000), 48000, 24000) for chunk in chunks])
    found = ledger(pcm16(changed), pcm=load(name).pcm)
    assert not found.speeds
    found.check(0.05)


@pytest.mark.parametrize("name", EVERY)
def test_inverted_polarity_changes_nothing(name) -> None:
    pcm = load(name).pcm
    for sessions in ([cut(0.32, 1, pcm), cut(1.2, None, pcm)], [pcm], [load("train").pcm + silence(4) + pcm]):
        inverted = [pcm16(-samples(audio)) for audio in sessions]
        assert str(ledger(*inverted, pcm=pcm)) == str(ledger(*sessions, pcm=pcm))


def test_audio_that_was_not_kept_is_a_doubt() -> None:
    found = align("coffee", SPEECH, 24000, [Received(1, cut(1), PCM, 48000)])
    assert "The first 1.0 s of session 1 were not kept; raise keep_audio." in str(found)


@pytest.mark.parametrize("rate", [8000, 16000, 44100])
def test_a_recording_of_another_rate_is_taken(rate) -> None:
    given = pcm16(resampled(samples(SPEECH), 24000, rate))
    found = align("given", given, rate, [Received(1, cut(0.32), PCM)])
    assert [round(span.seconds, 2) for span in found.missing] == [0.32]


def test_the_check_has_a_tolerance() -> None:
    found = ledger(cut(0, 1) + cut(1.04))
    found.check(0.05)
    with pytest.raises(AudioIncomplete, match=r"40 ms lost at 1\.000 s\. Each gap may have 20 ms; raise tolerance_ms"):
        found.check(0.02)
    with pytest.raises(AudioIncomplete, match="Nothing of 'coffee' arrived"):
        ledger().check(10)


def test_long_recordings_with_repeated_words_are_aligned() -> None:
    names = list(recordings())
    dice = np.random.default_rng(3)
    parts = []
    for _ in range(60):
        parts += [load(names[dice.integers(len(names))]).pcm, silence(float(dice.uniform(0.3, 1)))]
    pcm = b"".join(parts)
    found = ledger(cut(0.32, 40, pcm), cut(41.2, 80, pcm) + cut(79.6, None, pcm), pcm=pcm)
    assert [round(span.seconds, 3) for span in found.missing] == [0.32, 1.2]
    assert [round(span.seconds, 3) for span in found.doubled] == [0.4]


# -- servers


def run(scenario):
    return asyncio.run(asyncio.wait_for(scenario(), 100))


async def send(server, audio: bytes) -> None:
    address = server.url + "?intent=transcription"
    async with connect(address, additional_headers={"Authorization": f"Bearer {KEY}"}) as socket_:
        await socket_.send(json.dumps(update()))
        for at in range(0, len(audio), 2400):
            await socket_.send(json.dumps(append(audio[at : at + 2400])))
        await socket_.send(json.dumps({"type": "input_audio_buffer.clear"}))
        message = {"type": ""}
        while message["type"] != "input_audio_buffer.cleared":
            message = json.loads(await socket_.recv())


def test_a_server_has_the_ledger_of_its_sessions() -> None:
    async def scenario():
        async with RealtimeServer() as server:
            await send(server, cut(0.32, 1.2))
            await send(server, cut(1.5))
            expected = "First 320 ms missing; 300 ms lost at the reconnect at 1.200 s."
            assert str(server.audio_ledger("coffee")) == expected
            assert str(server.audio_ledger()) == expected
            assert str(server.audio_ledger(COFFEE)) == expected
            with pytest.raises(AudioIncomplete, match="First 320 ms missing"):
                server.assert_audio_complete()
            server.assert_audio_complete(tolerance_ms=400)
            assert {"audio_lost", "leading_audio_lost"} == {each.name for each in server.findings(recording="coffee")}
            with pytest.raises(KeyError, match="no recording 'tea'"):
                server.audio_ledger("tea")

    run(scenario)


def test_a_server_names_a_wrong_rate() -> None:
    audio = pcm16(resampled(samples(SPEECH), 24000, 16000))
    with ThreadedRealtimeServer() as server:
        asyncio.run(send(server, audio))
        with pytest.raises(AudioIncomplete, match=r"plays 1\.5 times as fast as the recording: 16 kHz .* as 24 kHz\.$"):
            server.assert_audio_complete("coffee")
        arrived = server.audio_ledger()
        assert (arrived.recording, len(arrived.speeds)) == ("coffee", 1)
        found = {finding.name: finding for finding in server.findings(recording="coffee")}
        assert not {"audio_lost", "leading_audio_lost"} & set(found)
        number = found["wrong_sample_rate"].evidence[0].event
        assert number is not None
        types = [event.type for event in server.sessions[0].events]
        assert types.index("input_audio_buffer.append") == number - 1


def test_a_threaded_server_has_it() -> None:
    with ThreadedRealtimeServer() as server:
        asyncio.run(send(server, SPEECH))
        server.assert_audio_complete("coffee")
    assert server.audio_ledger().recording == "coffee"


def test_without_numpy_the_error_names_the_extra(monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "numpy", None)
    monkeypatch.delitem(sys.modules, "rtstt_testkit.mock.inspect.align")
    with (
        ThreadedRealtimeServer() as server,
        pytest.raises(RuntimeError, match=r"needs numpy; install it with: pip install 'rtstt-shim\[exam\]'"),
    ):
        server.audio_ledger("coffee")
