"""The bundled recordings, and their recognition by the mock."""

import array
import random
import shutil
import subprocess
import wave

import pytest
from noises import scene
from talk import COMPLETED, DELTA, Talk, g711, silence, tone, update

import make_speech
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
def test_a_recording_is_recognized_wherever_it_starts_and_whatever_the_chunks(name, before_ms, chunk_ms) -> None:
    talk = listening()
    talk.speak(silence(before_ms) + speech.load(name).pcm + silence(400), chunk_ms)
    assert talk.record.transcripts == [speech.load(name).text]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("deviation", [0, 100, 250])
def test_turns_in_noise_are_found_within_100_ms(name, deviation) -> None:
    recording = speech.load(name)
    talk = listening()
    quiet = silence(700)
    events = talk.speak(noisy(quiet + recording.pcm + quiet + recording.pcm + quiet, deviation))
    length = recording.seconds * 1000
    starts = [event["audio_start_ms"] + 300 for event in events if "audio_start_ms" in event]
    ends = [event["audio_end_ms"] - 200 for event in events if "audio_end_ms" in event]
    assert starts == pytest.approx([700, 1400 + length], abs=100)
    assert ends == pytest.approx([700 + length, 1400 + 2 * length], abs=100)
    assert talk.record.transcripts == [recording.text] * 2


@pytest.mark.parametrize("name", ["audio/pcmu", "audio/pcma"])
def test_it_is_recognized_over_the_telephone(name) -> None:
    talk = listening(format={"type": name})
    pcm = resampled(speech.load("coffee").pcm, 24000, 8000)
    talk.speak(g711(silence(300, 8000) + pcm + silence(300, 8000), name), 20, 8000, 1)
    assert talk.record.transcripts == [speech.load("coffee").text]


def test_it_is_recognized_after_resampling() -> None:
    talk = listening()
    pcm = resampled(resampled(speech.load("weather").pcm, 24000, 16000), 16000, 24000)
    talk.speak(silence(300) + pcm + silence(300))
    assert talk.record.transcripts == [speech.load("weather").text]


def test_it_is_recognized_after_a_manual_commit() -> None:
    talk = listening(turn_detection=None)
    talk.speak(silence(300) + speech.load("hello").pcm)
    assert talk.send(COMMIT)[-1]["transcript"] == speech.load("hello").text


@pytest.mark.parametrize("name", NAMES)
def test_a_streaming_model_recognizes_it_from_its_beginning(name) -> None:
    talk = listening("gpt-live-transcribe", turn_detection=None)
    early = talk.speak(silence(200) + speech.load(name).pcm)
    late = talk.send(COMMIT)
    deltas = [event["delta"] for event in early + late if event["type"] == DELTA]
    assert early
    assert "".join(deltas) == speech.load(name).text == late[-1]["transcript"]


def test_other_audio_gets_the_default_text() -> None:
    talk = listening()
    backwards = array.array("h", reversed(array.array("h", speech.load("hello").pcm))).tobytes()
    for audio in (tone(1500), tone(100), backwards, speech.load("hello").pcm[:30_000]):
        talk.speak(silence(300) + audio + silence(300))
    assert set(talk.record.transcripts) == {"Hello from the mock."}


def test_a_script_comes_first_and_may_ask_for_a_recording() -> None:
    talk = listening(transcripts=[Transcript("The weather!", recording="weather"), "Anything."])
    for name in ("hello", "coffee", "weather"):
        talk.speak(speech.load(name).pcm + silence(300))
    assert talk.record.transcripts == ["Anything.", speech.load("coffee").text, "The weather!"]


def test_an_unknown_recording_is_named() -> None:
    with pytest.raises(KeyError, match="no recording 'goodbye'; there are hello, coffee, weather"):
        speech.load("goodbye")


def test_recordings_are_shown_without_their_samples() -> None:
    assert repr(speech.load("hello")) == "<recording hello 1.51 s 'Hello from the gateway probe.'>"
    assert len(repr(speech.recordings())) < 1500


def test_silence_and_length() -> None:
    assert speech.silence(0.5) == bytes(24000)
    assert speech.load().seconds == pytest.approx(1.51, abs=0.01)


def test_the_audio_of_a_session_is_saved_as_wav(tmp_path) -> None:
    talk = listening(format={"type": "audio/pcmu"})
    talk.speak(g711(tone(500, 8000), "audio/pcmu"), 20, 8000, 1)
    talk.record.save_wav(tmp_path / "received.wav")
    with wave.open(str(tmp_path / "received.wav")) as file:
        assert (file.getframerate(), file.getsampwidth(), file.getnframes()) == (8000, 2, 4000)


def test_completed_is_not_sent_before_the_commit() -> None:
    talk = listening("gpt-realtime-whisper", turn_detection=None)
    assert COMPLETED not in [event["type"] for event in talk.speak(speech.load("coffee").pcm)]


@pytest.mark.parametrize("silence_ms", [200, 1000])
def test_pauses_longer_than_the_silence_that_ends_a_turn_split_the_text_and_shorter_ones_do_not(silence_ms) -> None:
    pair = speech.load("hold+shortly")
    talk = listening(turn_detection={"type": "server_vad", "silence_duration_ms": silence_ms})
    talk.speak(silence(400) + pair.pcm + silence(1200))
    parts = [speech.load("hold").text, speech.load("shortly").text]
    assert talk.record.transcripts == (parts if silence_ms < 1000 * speech.PAUSE else [" ".join(parts)])
    assert pair.text == " ".join(parts)


@pytest.mark.parametrize("chunk_ms", [20, 5000])
def test_a_manual_commit_of_several_with_silence_around_has_all_their_words(chunk_ms) -> None:
    talk = listening(turn_detection=None)
    row = speech.load("hello+train+bread+weather")
    talk.speak(silence(800) + row.pcm + silence(1300), chunk_ms)
    assert talk.send(COMMIT)[-1]["transcript"] == row.text


def test_several_in_noise_are_recognized_one_by_one_in_a_manual_commit() -> None:
    noisy_row = scene(("meeting", "order", "coffee"), "pink", 15)
    talk = listening(turn_detection=None)
    talk.speak(noisy_row.pcm)
    assert talk.send(COMMIT)[-1]["transcript"] == speech.load("meeting+order+coffee").text


def test_a_recording_beside_unknown_audio_is_not_the_whole_of_it() -> None:
    talk = listening(turn_detection=None)
    talk.speak(speech.load("hello").pcm + silence(500) + tone(900))
    assert talk.send(COMMIT)[-1]["transcript"] == "Hello from the mock."


@pytest.mark.parametrize("delay", ["minimal", "low", "medium", "high", "xhigh"])
@pytest.mark.parametrize("name", NAMES)
def test_a_streaming_model_names_the_words_at_every_delay(name, delay) -> None:
    talk = Talk()
    transcription = {"model": "gpt-live-transcribe", "delay": delay}
    talk.send(update(None, transcription=transcription, turn_detection=None))
    early = talk.speak(noisy(silence(300) + speech.load(name).pcm[:72_000], 100))
    text = "".join(event["delta"] for event in early)
    assert speech.load(name).text.startswith(text)
    assert text or (delay == "xhigh" and speech.load(name).seconds < 1.45)  # it is over before the first delta is due


@pytest.mark.parametrize("rate", [8000, 16000, 44100, 48000])
@pytest.mark.parametrize("name", NAMES)
def test_it_is_recognized_after_conversion_to_another_rate(name, rate) -> None:
    pcm = speech.load(name).pcm
    there = array.array("h", pcm)
    there = array.array("h", [there[at * 24000 // rate] for at in range(len(there) * rate // 24000)])
    back = array.array("h", [there[at * rate // 24000] for at in range(len(there) * 24000 // rate)])
    talk = listening()
    talk.speak(silence(300) + back.tobytes() + silence(300))
    assert talk.record.transcripts == [speech.load(name).text]


@pytest.mark.parametrize("gain", [0.25, 2])
def test_it_is_recognized_at_another_volume(gain) -> None:
    samples = (round(sample * gain) for sample in array.array("h", speech.load("order").pcm))
    quieter = array.array("h", [max(-32768, min(32767, sample)) for sample in samples]).tobytes()
    talk = listening()
    talk.speak(silence(300) + quieter + silence(300))
    assert talk.record.transcripts == [speech.load("order").text]


def test_a_very_long_commit_of_unknown_audio_is_not_searched() -> None:
    talk = listening(turn_detection=None)
    talk.speak((tone(700) + silence(300)) * 61, 1000)
    assert talk.send(COMMIT)[-1]["transcript"] == "Hello from the mock."


def test_the_words_of_a_recording_made_of_several_name_the_one_that_is_missing() -> None:
    with pytest.raises(KeyError, match="no recording 'nobody'; there are hello"):
        speech.load("hello+nobody")


@pytest.mark.skipif(shutil.which("espeak-ng") is None, reason="needs espeak-ng")
def test_the_recordings_are_what_the_script_makes(tmp_path) -> None:
    version = subprocess.run(["espeak-ng", "--version"], capture_output=True, text=True, check=True).stdout
    if make_speech.ESPEAK not in version:
        pytest.skip(f"the recordings were made with espeak-ng {make_speech.ESPEAK}")
    for name, recording in speech.recordings().items():
        assert make_speech.synthesize(recording.text, *make_speech.VOICES[name]).tobytes() == recording.pcm


def test_every_recording_has_a_voice_and_all_are_small() -> None:
    assert set(make_speech.VOICES) == set(NAMES)
    assert sum(len(recording.pcm) for recording in speech.recordings().values()) < 1_000_000
    for recording in speech.recordings().values():
        samples = array.array("h", recording.pcm)
        assert abs(samples[0]) >= make_speech.EDGE <= abs(samples[-1])
