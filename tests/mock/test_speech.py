"""The bundled recordings, and the mock that knows them when it hears them."""

import array
import random
import wave

import pytest
from talk import COMPLETED, DELTA, Talk, g711, silence, tone, update

from rtstt_testkit import Transcript, speech

COMMIT = {"type": "input_audio_buffer.commit"}
NAMES = list(speech.recordings())


def noisy(pcm: bytes, deviation: float, seed: int = 1) -> bytes:
    dice = random.Random(seed)
    samples = (int(sample + dice.gauss(0, deviation)) for sample in array.array("h", pcm))
    return array.array("h", [max(-32768, min(32767, sample)) for sample in samples]).tobytes()


def resampled(pcm: bytes, rate: int, to: int) -> bytes:
    samples = array.array("h", pcm)
    return array.array("h", [samples[index * rate // to] for index in range(len(samples) * to // rate)]).tobytes()


def listening(model: str = "gpt-4o-transcribe", transcripts=(), **audio_input) -> Talk:
    talk = Talk(transcripts=transcripts)
    talk.send(update(model, **audio_input))
    return talk


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(("before_ms", "chunk_ms"), [(0, 50), (513, 37), (1207, 1000)])
def test_a_recording_is_known_wherever_it_starts_and_whatever_the_chunks(name, before_ms, chunk_ms) -> None:
    talk = listening()
    talk.say(silence(before_ms) + speech.load(name).pcm + silence(400), chunk_ms)
    assert talk.record.transcripts == [speech.load(name).text]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("deviation", [0, 100, 250])
def test_turns_in_noise_are_found_within_100_ms(name, deviation) -> None:
    recording = speech.load(name)
    talk = listening()
    quiet = silence(700)
    events = talk.say(noisy(quiet + recording.pcm + quiet + recording.pcm + quiet, deviation))
    length = recording.seconds * 1000
    starts = [event["audio_start_ms"] + 300 for event in events if "audio_start_ms" in event]
    ends = [event["audio_end_ms"] - 200 for event in events if "audio_end_ms" in event]
    assert starts == pytest.approx([700, 1400 + length], abs=100)
    assert ends == pytest.approx([700 + length, 1400 + 2 * length], abs=100)
    assert talk.record.transcripts == [recording.text] * 2


@pytest.mark.parametrize("name", ["audio/pcmu", "audio/pcma"])
def test_it_is_known_over_the_telephone(name) -> None:
    talk = listening(format={"type": name})
    pcm = resampled(speech.load("coffee").pcm, 24000, 8000)
    talk.say(g711(silence(300, 8000) + pcm + silence(300, 8000), name), 20, 8000, 1)
    assert talk.record.transcripts == [speech.load("coffee").text]


def test_it_is_known_after_resampling() -> None:
    talk = listening()
    pcm = resampled(resampled(speech.load("weather").pcm, 24000, 16000), 16000, 24000)
    talk.say(silence(300) + pcm + silence(300))
    assert talk.record.transcripts == [speech.load("weather").text]


def test_it_is_known_after_a_manual_commit() -> None:
    talk = listening(turn_detection=None)
    talk.say(silence(300) + speech.load("hello").pcm)
    assert talk.send(COMMIT)[-1]["transcript"] == speech.load("hello").text


@pytest.mark.parametrize("name", NAMES)
def test_a_streaming_model_knows_it_from_its_beginning(name) -> None:
    talk = listening("gpt-live-transcribe", turn_detection=None)
    early = talk.say(silence(200) + speech.load(name).pcm)
    late = talk.send(COMMIT)
    deltas = [event["delta"] for event in early + late if event["type"] == DELTA]
    assert early
    assert "".join(deltas) == speech.load(name).text == late[-1]["transcript"]


def test_other_audio_gets_the_default_text() -> None:
    talk = listening()
    backwards = array.array("h", reversed(array.array("h", speech.load("hello").pcm))).tobytes()
    for audio in (tone(1500), tone(100), backwards, speech.load("hello").pcm[:30_000]):
        talk.say(silence(300) + audio + silence(300))
    assert set(talk.record.transcripts) == {"Hello from the mock."}


def test_a_script_comes_first_and_may_ask_for_a_recording() -> None:
    talk = listening(transcripts=[Transcript("The weather!", recording="weather"), "Anything."])
    for name in ("hello", "coffee", "weather"):
        talk.say(speech.load(name).pcm + silence(300))
    assert talk.record.transcripts == ["Anything.", speech.load("coffee").text, "The weather!"]


def test_an_unknown_recording_is_named() -> None:
    with pytest.raises(KeyError, match="no recording 'goodbye'; there are hello, coffee, weather"):
        speech.load("goodbye")


def test_silence_and_length() -> None:
    assert speech.silence(0.5) == bytes(24000)
    assert speech.load().seconds == pytest.approx(1.51, abs=0.01)


def test_the_audio_of_a_session_is_saved_as_wav(tmp_path) -> None:
    talk = listening(format={"type": "audio/pcmu"})
    talk.say(g711(tone(500, 8000), "audio/pcmu"), 20, 8000, 1)
    talk.record.save_wav(tmp_path / "heard.wav")
    with wave.open(str(tmp_path / "heard.wav")) as file:
        assert (file.getframerate(), file.getsampwidth(), file.getnframes()) == (8000, 2, 4000)


def test_completed_is_not_sent_before_the_commit() -> None:
    talk = listening("gpt-realtime-whisper", turn_detection=None)
    assert COMPLETED not in [event["type"] for event in talk.say(speech.load("coffee").pcm)]
