"""Turns in noise are found where somebody speaks, to 100 ms, and no others."""

import array
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from noises import NOISES, RATE, Scene, resampled, scene
from talk import Talk, cut, g711, silence, tone, turns, update

from rtstt_testkit import speech
from rtstt_testkit.mock.audio.formats import FORMATS

PCM = FORMATS["audio/pcm"]
SOME = ("hello", "coffee", "train", "bread", "order")
OTHERS = ("weather", "meeting", "hold", "shortly")
#: In the babble of voices the soft ends of words are lost at 5 dB, for a detector that knows no voices.
CELLS = [(noise, snr) for noise in NOISES for snr in (20, 10, 5) if (noise, snr) != ("babble", 5)]
HARDEST = {noise: (noise, snr) for noise, snr in CELLS}.values()


def listening(silence_ms: int = 400, **audio_input) -> Talk:
    talk = Talk()
    turns = {"type": "server_vad", "silence_duration_ms": silence_ms}
    talk.send(update("gpt-4o-transcribe", turn_detection=turns, **audio_input))
    return talk


def reported_turns(events, silence_ms: int = 400) -> list[tuple[float, float]]:
    """Return the reported turns without their padding and silence."""
    starts = [event["audio_start_ms"] + 300 for event in events if event["type"].endswith("speech_started")]
    ends = [event["audio_end_ms"] - silence_ms for event in events if event["type"].endswith("speech_stopped")]
    return list(zip(starts, ends, strict=True))


def assert_found(found: list[tuple[float, float]], scene: Scene) -> None:
    assert len(found) == len(scene.turns)
    for turn, true in zip(found, scene.turns, strict=True):
        assert turn == pytest.approx(true, abs=100)


@pytest.mark.parametrize(
    "names", [pytest.param(SOME, id="some"), pytest.param(OTHERS, id="others", marks=pytest.mark.heavy)]
)
@pytest.mark.parametrize(
    ("noise", "snr"),
    [
        (noise, snr) if (noise, snr) in HARDEST else pytest.param(noise, snr, marks=pytest.mark.heavy)
        for noise, snr in CELLS
    ],
)
def test_turns_in_noise_are_found_to_100_ms_and_their_words_recognized(noise, snr, names) -> None:
    mixed_scene = scene(names, noise, snr)
    talk = listening()
    assert_found(reported_turns(talk.speak(mixed_scene.pcm, 20)), mixed_scene)
    known = [text == speech.load(name).text for text, name in zip(talk.record.transcripts, names, strict=True)]
    assert all(known) or snr < 10


@pytest.mark.parametrize("name", ["audio/pcmu", pytest.param("audio/pcma", marks=pytest.mark.heavy)])
@pytest.mark.parametrize("noise", list(NOISES))
def test_turns_in_noise_are_found_over_the_telephone(noise, name) -> None:
    mixed_scene = scene(SOME, noise, 10)
    talk = listening(format={"type": name})
    events = talk.speak(g711(resampled(mixed_scene.pcm, RATE, 8000), name), 20, 8000, 1)
    assert_found(reported_turns(events), mixed_scene)
    assert talk.record.transcripts == [speech.load(sentence).text for sentence in SOME]


@pytest.mark.parametrize(
    "chunk_ms", [3.5, *(pytest.param(chunk_ms, marks=pytest.mark.heavy) for chunk_ms in (50, 20_000))]
)
def test_turns_in_noise_are_the_same_for_every_chunking(chunk_ms) -> None:
    mixed_scene = scene(OTHERS, "pink", 10)
    events = listening().speak(mixed_scene.pcm, chunk_ms)
    assert reported_turns(events) == reported_turns(listening().speak(mixed_scene.pcm, 20))


@pytest.mark.parametrize("lead_ms", [150, pytest.param(400, marks=pytest.mark.heavy)])
@pytest.mark.parametrize("noise", ["white", "pink", "hum"])
def test_a_little_noise_before_the_first_word_is_enough_to_measure_it(noise, lead_ms) -> None:
    mixed_scene = scene(("weather", "train"), noise, 10, lead_ms=lead_ms)
    found = reported_turns(listening().speak(mixed_scene.pcm))
    assert len(found) == 2
    padded = min(mixed_scene.turns[0][0], 300)
    assert_found([(found[0][0] - 300 + padded, found[0][1]), found[1]], mixed_scene)


@pytest.mark.parametrize("name", list(speech.recordings()))
def test_a_stream_may_begin_with_speech(name) -> None:
    """The noise level is unknown then; that of a quiet room is assumed."""
    mixed_scene = scene((name,), "white", 40, lead_ms=0)
    [(start, end)] = reported_turns(listening().speak(mixed_scene.pcm))
    assert start == 300  # from the first sample on, so there is no padding
    assert end == pytest.approx(mixed_scene.turns[0][1], abs=100)


@pytest.mark.parametrize("noise", list(NOISES))
def test_noise_alone_is_no_speech(noise) -> None:
    dice = random.Random(3)
    samples = list(NOISES[noise](6 * RATE, dice))
    factor = 1500 / (sum(map(abs, samples)) / len(samples))
    pcm = array.array("h", [max(-32768, min(32767, round(sample * factor))) for sample in samples]).tobytes()
    assert listening().speak(pcm) == []


def test_noise_that_begins_in_the_middle_is_a_turn_of_a_few_seconds_at_most() -> None:
    dice = random.Random(4)
    noise = array.array("h", [round(dice.gauss(0, 1000)) for _ in range(10 * RATE)]).tobytes()
    talk = listening()
    [(start, end)] = reported_turns(talk.speak(silence(1000) + noise))
    assert start == pytest.approx(1000, abs=10)
    assert end < 5000
    spoken = speech.load("weather").pcm
    mixed = [a + b for a, b in zip(array.array("h", spoken), array.array("h", noise), strict=False)]
    pcm = array.array("h", [max(-32768, min(32767, sample)) for sample in mixed]).tobytes()
    assert len(reported_turns(talk.speak(pcm + noise[:48_000]))) == 1


def test_noise_that_is_muted_and_comes_back_is_still_noise() -> None:
    dice = random.Random(5)
    noise = array.array("h", [round(dice.gauss(0, 800)) for _ in range(2 * RATE)]).tobytes()
    assert listening().speak(noise + silence(1500) + noise) == []


def test_a_loud_steady_sound_is_speech_however_long_it_lasts() -> None:
    [(start, end)] = reported_turns(listening().speak(silence(500) + tone(8000) + silence(500)))
    assert (start, end) == (500, 8500)


def test_a_short_quiet_sound_is_speech_although_the_stream_begins_with_it() -> None:
    [(_, end)] = reported_turns(listening().speak(tone(505, loudness=0.02) + silence(500)))
    assert end == 505


PIECES = st.lists(
    st.tuples(st.sampled_from(["noise", "quiet noise", "tone", "silence"]), st.integers(1, 700)),
    min_size=1,
    max_size=8,
)
NOISE = array.array("h", [round(random.Random(6).gauss(0, 900)) for _ in range(RATE)]).tobytes()
QUIET = array.array("h", [sample // 6 for sample in array.array("h", NOISE)]).tobytes()


@settings(max_examples=100)
@given(PIECES, st.lists(st.integers(1, 9000), min_size=1, max_size=20))
def test_noise_is_detected_in_the_same_places_for_every_chunking(pieces, sizes) -> None:
    sounds = {"noise": NOISE, "quiet noise": QUIET, "tone": tone(700), "silence": silence(700)}
    audio = b"".join(sounds[kind][: ms * 48] for kind, ms in pieces)
    assert turns(cut(audio, sizes)) == turns([audio])
