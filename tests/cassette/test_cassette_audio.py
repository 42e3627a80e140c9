"""Strict replay compares sound: the same speech passes in whatever form it is sent, other speech does not."""

from __future__ import annotations

import base64
import re
from array import array
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cassettes import ITEM, TRANSCRIPTION, append, frame, record, update

from rtstt_core.cli import main
from rtstt_testkit import speech
from rtstt_testkit.cassette.follower import Follower, Mismatch
from rtstt_testkit.cassette.lines import parsed
from rtstt_testkit.cassette.player import Player, Replay
from rtstt_testkit.mock.audio.formats import encode_g711

COFFEE = speech.load("coffee").pcm
FREE = ("session.audio.input.format",)
PCMU, PCMA = {"type": "audio/pcmu"}, {"type": "audio/pcma"}


def talk_of(path: Path, pcm: bytes, format_: dict[str, Any] | None = None) -> Path:
    """Record a session in which audio is committed."""
    frames = [
        (0.1, "server", frame(type="session.created", session={"type": "transcription"})),
        (0.2, "client", session_update(format_)),
        *((0.3, "client", append(pcm[at : at + 4800])) for at in range(0, len(pcm), 4800)),
        (0.4, "client", frame(type="input_audio_buffer.commit")),
        (0.5, "server", frame(type=f"{TRANSCRIPTION}.completed", item_id=ITEM, transcript="Coffee.")),
    ]
    return record(path, frames)


def session_update(format_: dict[str, Any] | None) -> bytes:
    audio = {"input": {"turn_detection": None, **({} if format_ is None else {"format": format_})}}
    return frame(type="session.update", session={"type": "transcription", "audio": audio})


def follow(path: Path, **replay: Any) -> Follower:
    player = Player(Replay(path, **replay))
    (session,) = player.cassette.sessions
    follower = player.follow(session, 1)
    follower.start()
    return follower


def commit(follower: Follower, audio: bytes, chunk: int = 960, format_: dict[str, Any] | None = None) -> list[str]:
    """Send audio and commit it; return what the server sends then."""
    follower.receive(parsed(session_update(format_)))
    for at in range(0, len(audio), chunk):
        follower.append(audio[at : at + chunk])
    steps = follower.receive({"type": "input_audio_buffer.commit"})
    return [step.frame.type for step in steps if step.frame is not None]


# -- the same speech


def samples(pcm: bytes) -> array[int]:
    return array("h", pcm)


def at_gain(gain: float) -> Callable[[bytes], bytes]:
    return lambda pcm: array("h", [max(-32768, min(32767, int(one * gain))) for one in samples(pcm)]).tobytes()


def resampled(pcm: bytes) -> bytes:
    """To 16 kHz and back, by linear interpolation, as simple clients do."""

    def convert(values: array[int], step: float) -> array[int]:
        found = array("h")
        for index in range(int((len(values) - 1) / step)):
            at = index * step
            left = int(at)
            found.append(int(values[left] + (values[left + 1] - values[left]) * (at - left)))
        return found

    return convert(convert(samples(pcm), 1.5), 2 / 3).tobytes()


def as_g711(name: str) -> Callable[[bytes], bytes]:
    def encoded(pcm: bytes) -> bytes:
        values = samples(pcm)
        narrow = array("h", [sum(values[at : at + 3]) // 3 for at in range(0, len(values) - 2, 3)])
        return encode_g711(narrow.tobytes(), name)

    return encoded


def without_a_tenth_of_a_second(pcm: bytes) -> bytes:
    return pcm[:48_000] + pcm[52_800:]


@pytest.mark.parametrize(
    ("change", "format_"),
    [
        (lambda pcm: pcm, None),
        (at_gain(0.5), None),
        (at_gain(0.1), None),
        (at_gain(2.0), None),
        (resampled, None),
        (lambda pcm: bytes(48 * 213) + pcm, None),
        (lambda pcm: pcm[48 * 107 :], None),
        (without_a_tenth_of_a_second, None),
        (as_g711("audio/pcmu"), PCMU),
        (as_g711("audio/pcma"), PCMA),
        (lambda pcm: as_g711("audio/pcmu")(at_gain(0.3)(pcm)), PCMU),
    ],
)
@pytest.mark.parametrize("chunk", [960, 4098])
def test_the_same_speech_passes(tmp_path: Path, change: Any, format_: dict[str, Any] | None, chunk: int) -> None:
    follower = follow(talk_of(tmp_path / "a.rtstt.jsonl", COFFEE), ignore=FREE)
    assert commit(follower, change(COFFEE), chunk, format_) == [f"{TRANSCRIPTION}.completed"]
    assert follower.unfinished is None


def test_speech_that_was_recorded_as_g711_passes_as_pcm(tmp_path: Path) -> None:
    path = talk_of(tmp_path / "a.rtstt.jsonl", as_g711("audio/pcmu")(COFFEE), PCMU)
    assert commit(follow(path, ignore=FREE), COFFEE) == [f"{TRANSCRIPTION}.completed"]


# -- other speech


def disguised(pcm: bytes, like: bytes) -> bytes:
    """Return speech as long and as loud as other speech."""
    pcm = (pcm * 3)[: len(like)]
    return at_gain(sum(map(abs, samples(like))) / sum(map(abs, samples(pcm))))(pcm)


@pytest.mark.parametrize("name", sorted(set(speech.recordings()) - {"coffee"}))
def test_another_sentence_of_the_same_length_and_loudness_is_a_difference(tmp_path: Path, name: str) -> None:
    follower = follow(talk_of(tmp_path / "a.rtstt.jsonl", COFFEE))
    with pytest.raises(
        Mismatch, match=r"^before input_audio_buffer.commit \(line \d+\) the client's audio is not the "
    ):
        commit(follower, disguised(speech.load(name).pcm, COFFEE))


def test_the_difference_says_where_and_how_it_differs(tmp_path: Path) -> None:
    follower = follow(talk_of(tmp_path / "a.rtstt.jsonl", COFFEE))
    with pytest.raises(Mismatch) as caught:
        commit(follower, disguised(speech.load("train").pcm, COFFEE))
    assert str(caught.value).startswith(
        "before input_audio_buffer.commit (line 34) the client's audio is not the recorded audio from 0.0 s to "
    )
    assert "on average its loudness is " in str(caught.value)
    assert " octaves off (loudness recorded " in str(caught.value)


def test_one_word_that_differs_is_found_where_it_is(tmp_path: Path) -> None:
    pause = bytes(19_200)
    words = [speech.load(name).pcm for name in ("coffee", "hello", "train")]
    path = talk_of(tmp_path / "a.rtstt.jsonl", pause.join(words))
    words[1] = disguised(speech.load("hold").pcm, words[1])
    begin = (len(words[0]) + len(pause)) / 48_000
    with pytest.raises(Mismatch) as caught:
        commit(follow(path), pause.join(words))
    start, end = (float(one) for one in str(caught.value).split(" from ")[1].split(" s: ")[0].split(" s to "))
    assert begin - 1 < start < end < begin + len(words[1]) / 48_000 + 1


def test_silence_is_not_speech(tmp_path: Path) -> None:
    path = talk_of(tmp_path / "a.rtstt.jsonl", COFFEE)
    with pytest.raises(Mismatch, match=r"0\.000 s of the client's audio are loud, and 2\.\d+ s of the recorded audio"):
        commit(follow(path), bytes(len(COFFEE)))


# -- the audio of an item


def item(pcm: bytes, **fields: Any) -> bytes:
    part = {"type": "input_audio", "audio": base64.b64encode(pcm).decode(), **fields}
    message = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Listen."}, part]}
    return frame(type="conversation.item.create", item=message)


def item_of(path: Path, pcm: bytes, format_: dict[str, Any] | None = None) -> Path:
    """Record a session in which the client sends audio as an item."""
    frames = [
        (0.1, "client", session_update(format_)),
        (0.2, "client", item(pcm)),
        (0.3, "server", frame(type="conversation.item.added", item={"type": "message"})),
    ]
    return record(path, frames)


def send(follower: Follower, payload: bytes, format_: dict[str, Any] | None = None) -> list[str]:
    """Send an item; return what the server sends then."""
    follower.receive(parsed(session_update(format_)))
    return [step.frame.type for step in follower.receive(parsed(payload)) if step.frame is not None]


@pytest.mark.parametrize(
    ("change", "format_"),
    [
        (lambda pcm: pcm, None),
        (at_gain(0.3), None),
        (resampled, None),
        (lambda pcm: bytes(48 * 213) + pcm, None),
        (as_g711("audio/pcmu"), PCMU),
        (as_g711("audio/pcma"), PCMA),
    ],
)
def test_the_same_speech_in_an_item_passes(tmp_path: Path, change: Any, format_: dict[str, Any] | None) -> None:
    path = item_of(tmp_path / "a.rtstt.jsonl", COFFEE)
    assert send(follow(path, ignore=FREE), item(change(COFFEE)), format_) == ["conversation.item.added"]
    path = item_of(tmp_path / "b.rtstt.jsonl", change(COFFEE), format_)
    assert send(follow(path, ignore=FREE), item(COFFEE)) == ["conversation.item.added"]


ITEM_DIFFERS = r"^conversation\.item\.create differs from line 5 of the recording: item\.content\.1\.audio: "


@pytest.mark.parametrize(
    ("pcm", "words"),
    [
        (
            disguised(speech.load("train").pcm, COFFEE),
            r"the client's audio is not the recorded audio from 0\.0 s to \d\.\d s: on average its loudness is "
            r"\d+\.\d dB and its pitch \d\.\d octaves off \(loudness recorded \S+, received \S+\)$",
        ),
        (COFFEE[:48_000], r"the client sent 1\.000 s of audio, and 2\.\d+ s are recorded$"),
        (bytes(len(COFFEE)), r"0\.000 s of the client's audio are loud, and 2\.\d+ s of the recorded audio$"),
    ],
)
def test_other_speech_in_an_item_is_a_difference_that_is_described(tmp_path: Path, pcm: bytes, words: str) -> None:
    path = item_of(tmp_path / "a.rtstt.jsonl", COFFEE)
    with pytest.raises(Mismatch, match=ITEM_DIFFERS + words):
        send(follow(path), item(pcm))
    free = ("item.content.*.audio",)
    assert send(follow(path, ignore=free), item(pcm)) == ["conversation.item.added"]


def test_the_other_fields_of_an_item_with_audio_are_compared(tmp_path: Path) -> None:
    path = item_of(tmp_path / "a.rtstt.jsonl", COFFEE)
    with pytest.raises(Mismatch, match=r"item\.content\.1\.transcript: recorded nothing, received 'Coffee\.'$"):
        send(follow(path), item(COFFEE, transcript="Coffee."))


def test_what_is_no_audio_is_compared_as_it_is(tmp_path: Path) -> None:
    path = item_of(tmp_path / "a.rtstt.jsonl", COFFEE)
    with pytest.raises(Mismatch, match=r"item\.content\.1\.audio: recorded '.*…, received '\(no base64\)'$"):
        send(follow(path), item(COFFEE, audio="(no base64)"))


def test_an_item_whose_audio_was_redacted_is_compared_by_its_length(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = item_of(tmp_path / "a.rtstt.jsonl", COFFEE)
    assert main(["cassette", "redact", str(path), "--silence"]) == 0
    assert send(follow(path), item(COFFEE)) == ["conversation.item.added"]
    with pytest.raises(Mismatch, match=ITEM_DIFFERS + r"the client sent 1\.000 s of audio"):
        send(follow(path), item(COFFEE[:48_000]))


def test_an_item_of_which_a_trace_has_the_length_alone_is_compared_by_it(tmp_path: Path) -> None:
    path = item_of(tmp_path / "a.rtstt.jsonl", COFFEE)
    text = path.read_text("utf-8")
    path.write_text(re.sub(r',"wav":"a\.1\.client\.wav","audio_start":0', "", text), "utf-8")
    assert send(follow(path), item(COFFEE)) == ["conversation.item.added"]
    with pytest.raises(Mismatch, match=ITEM_DIFFERS + r"the client sent 1\.000 s of audio"):
        send(follow(path), item(COFFEE[:48_000]))


# -- where nobody commits


def vad(path: Path, pcm: bytes) -> Path:
    ids = {"item_id": ITEM}
    end = len(pcm) // 48
    frames = [
        (0.0, "server", frame(type="session.created", session={"type": "transcription"})),
        (0.1, "client", append(pcm)),
        (0.2, "server", frame(type="input_audio_buffer.speech_started", audio_start_ms=0, **ids)),
        (0.3, "client", append(bytes(24_000))),
        (0.4, "server", frame(type="input_audio_buffer.speech_stopped", audio_end_ms=end, **ids)),
        (0.5, "server", frame(type=f"{TRANSCRIPTION}.completed", transcript="Coffee.", **ids)),
    ]
    return record(path, frames)


def test_at_the_end_of_a_turn_that_the_server_found_the_audio_is_compared(tmp_path: Path) -> None:
    path = vad(tmp_path / "a.rtstt.jsonl", COFFEE)
    steps = follow(path).append(at_gain(0.7)(COFFEE) + bytes(24_000))
    assert [step.frame.type for step in steps if step.frame is not None][-1] == f"{TRANSCRIPTION}.completed"
    with pytest.raises(
        Mismatch, match=r"^before input_audio_buffer.speech_stopped \(line 8\) the client's audio is not"
    ):
        follow(path).append(disguised(speech.load("train").pcm, COFFEE) + bytes(24_000))


def test_audio_that_nothing_answers_is_compared_at_the_end(tmp_path: Path) -> None:
    frames = [(0.1, "client", update()), (0.2, "client", append(COFFEE))]
    path = record(tmp_path / "a.rtstt.jsonl", frames)

    def left(audio: bytes) -> str | None:
        follower = follow(path)
        follower.receive(parsed(update()))
        follower.append(audio)
        return follower.unfinished

    assert left(at_gain(0.7)(COFFEE)) is None
    found = left(disguised(speech.load("train").pcm, COFFEE))
    assert found is not None
    assert found.startswith(
        "after the last event that is recorded the client's audio is not the recorded audio from 0.0 s"
    )


def test_a_recording_whose_audio_was_redacted_is_replayed_by_its_length(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = talk_of(tmp_path / "a.rtstt.jsonl", COFFEE)
    assert main(["cassette", "redact", str(path), "--silence"]) == 0
    assert commit(follow(path), COFFEE) == [f"{TRANSCRIPTION}.completed"]
    with pytest.raises(Mismatch, match=r"the client sent 1\.000 s of audio"):
        commit(follow(path), COFFEE[:48_000])
