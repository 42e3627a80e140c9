"""What the inspector sends to a browser and to other programs."""

import asyncio
import gc
import gzip
import io
import json
import math
import struct
import time
import urllib.error
import urllib.request
import wave
import weakref

import pytest
from hypothesis import given
from hypothesis import strategies as st
from talking import CANARY, COMPLETED, HELLO, KEY, TIMEOUT, append, client, get, page_url, refused, server, talk, update

from rtstt_testkit import Fault
from rtstt_testkit.inspector import peaks as peaks_module
from rtstt_testkit.inspector.axis import Axis
from rtstt_testkit.inspector.peaks import RATE, Peaks
from rtstt_testkit.inspector.stream import changes
from rtstt_testkit.inspector.view import observed, work_out
from rtstt_testkit.mock.audio.formats import FORMATS, AudioFormat, encode_g711, to_pcm16
from rtstt_testkit.mock.inspect.record import SessionRecord
from rtstt_testkit.mock.protocol.handshake import Request
from rtstt_testkit.speech import silence


def record(*audio: bytes, keep: int | None = None) -> SessionRecord:
    made = SessionRecord(1, Request("/v1/realtime?intent=transcription").record(), keep)
    for at, piece in enumerate(audio):
        made.add_audio(float(at), piece)
    return made


def peaks(made: SessionRecord) -> Peaks:
    axis = Axis()
    axis.update(made.events, made.audio_received)
    return Peaks(made, axis)


# -- the waveform


def test_the_waveform_has_a_byte_for_every_hundredth_of_a_second() -> None:
    made = record(silence(1.0), b"\x00\x40" * 24000)
    found = peaks(made).read_now()
    assert len(found) == 2 * RATE
    assert set(found[:RATE]) == {0}
    assert set(found[RATE:]) == {round(255 * 0.5**0.5)}  # half of full scale


def test_the_waveform_is_continued_and_not_computed_again(monkeypatch: pytest.MonkeyPatch) -> None:
    made = record(HELLO)
    seen = peaks(made)
    before = seen.read_now()
    made.add_audio(9.0, HELLO)
    asked = []
    original = made.slice_audio
    monkeypatch.setattr(made, "slice_audio", lambda start, end: asked.append(start) or original(start, end))
    assert seen.read_now()[: len(before)] == before
    assert min(asked) >= len(HELLO) // 480 * 480


def test_audio_that_is_not_kept_is_silence_in_its_place() -> None:
    loud = b"\x00\x40" * 24000
    made = record(loud, loud, loud, loud, keep=len(loud))
    found = peaks(made).read_now()
    assert len(found) == 4 * RATE
    assert found[0] == 0
    assert found[-1] > 0


def test_the_waveform_of_an_hour_is_whole_although_its_audio_is_not_kept() -> None:
    ten_seconds = b"".join(struct.pack("<h", level) * 4800 for level in range(0, 25_000, 500))
    hour = SessionRecord(1, Request("/v1/realtime?intent=transcription").record(), 1024 * 1024)
    hour.before_drop = work_out
    for at in range(360):
        hour.add_audio(10.0 * at, ten_seconds)
    assert hour.audio_received - hour.audio_dropped < 1.5 * 1024 * 1024
    seen = observed(hour)
    seen.update()
    assert seen.peaks.read_now() == peaks(record(ten_seconds)).read_now() * 360
    assert len(seen.peaks.read_now()) == 3600 * RATE


def test_sessions_share_the_audio_that_is_kept() -> None:
    with server(keep_audio=48_000, share_audio=480_000) as mock:
        for _ in range(12):
            talk(mock, HELLO + silence(5.0))
        kept = [(one.audio_received - one.audio_dropped) / 48_000 for one in mock.sessions]
    assert kept[0] > 6
    assert 3 < kept[2] < 4.5
    assert kept[11] < 1.3  # up to a quarter more than its share


def test_sessions_do_not_wait_for_a_long_waveform() -> None:
    made = record(HELLO * 300)
    seen = peaks(made)

    async def turns_of_others() -> int:
        task = asyncio.ensure_future(seen.read())
        turns = 0
        while not task.done():
            await asyncio.sleep(0)
            turns += 1
        return turns

    assert asyncio.run(turns_of_others()) > len(made.audio) / 480_000  # one for every ten seconds of audio


@given(st.binary(max_size=2500), st.sampled_from(list(FORMATS.values())))
def test_a_peak_is_the_loudest_of_the_samples_that_are_looked_at(audio: bytes, format_: AudioFormat) -> None:
    found = peaks_module._peaks(audio, format_)
    samples = to_pcm16(audio[: len(audio) // format_.width * format_.width], format_.name)
    loudness = [abs(sample) for (sample,) in struct.iter_unpack("<h", samples)]
    window = format_.rate // RATE
    assert len(found) == len(audio) // (window * format_.width)
    for index, peak in enumerate(found):
        loudest = max(loudness[index * window + place] for place in peaks_module._places(window))
        assert abs(peak - 255 * (loudest / 32768) ** 0.5) <= (6 if loudest > 512 else 24)


@pytest.mark.parametrize("format_", FORMATS.values(), ids=list(FORMATS))
def test_no_tone_is_missed(format_: AudioFormat) -> None:
    rate = format_.rate
    for hertz in range(100, min(int(rate * 0.45), 8000) + 1, 100):
        tone = [int(16_384 * math.sin(2 * math.pi * hertz * at / rate + 0.1)) for at in range(rate // 10)]
        pcm = struct.pack(f"<{len(tone)}h", *tone)
        found = peaks_module._peaks(pcm if format_.width == 2 else encode_g711(pcm, format_.name), format_)
        assert min(found) > 0.97 * 255 * (0.7 * 0.5) ** 0.5, f"{hertz} Hz"


def test_what_was_worked_out_goes_with_the_session() -> None:
    made = record(HELLO)
    seen = observed(made)
    seen.view()
    seen.peaks.read_now()
    gone = weakref.ref(made)
    gc.disable()
    try:
        del made
        assert gone() is None
    finally:
        gc.enable()


# -- the stream


def test_sessions_are_streamed_once_and_again_when_they_changed() -> None:
    one, two = record(), record()
    two.number = 2
    sessions = [one]

    async def run() -> list[tuple[list[int], list[int]]]:
        stream = changes(lambda: sessions)
        found = []

        async def following() -> None:
            text = (await anext(stream)).decode()
            data = json.loads(text.split("data: ")[1])
            found.append(([session["number"] for session in data["sessions"]], data["gone"]))

        await following()
        sessions.append(two)
        await following()
        one.add("client", 1.0, {"type": "session.update"})
        await following()
        sessions.remove(one)
        await following()
        await stream.aclose()
        return found

    assert asyncio.run(run()) == [([1], []), ([2], []), ([1], []), ([], [1])]


def test_a_browser_that_leaves_costs_nothing_more() -> None:
    with server() as mock:
        response = urllib.request.urlopen(page_url(mock, "events"), timeout=TIMEOUT)
        assert response.headers["content-type"].startswith("text/event-stream")
        response.readline()
        response.close()
        talk(mock, HELLO)
        assert mock.sessions[0].transcripts
    # and the mock ends although a browser listens
    with server() as mock:
        response = urllib.request.urlopen(page_url(mock, "events"), timeout=TIMEOUT)
        response.readline()
    response.close()


# -- a session


def test_the_view_has_events_places_and_words_and_can_be_continued() -> None:
    with server() as mock:
        talk(mock, HELLO)
        view = json.loads(get(mock, "sessions/1/view"))
        types = [entry["type"] for entry in view["list"]]
        assert types[0] == "session.created"
        assert COMPLETED in types
        assert view["explanation"] == ["1 transcript was completed."]
        assert view["audio"] == pytest.approx(len(HELLO) / 48000, abs=0.01)
        places = [entry["x"] for entry in view["list"] if entry["sender"] == "server"]
        assert places == sorted(places)
        rest = json.loads(get(mock, "sessions/1/view?after=5"))
        assert rest["first"] == 5
        assert rest["list"] == view["list"][5:]


def test_pings_stand_on_the_axis_with_the_time_to_their_answer() -> None:
    with server(ping_interval=0.05) as mock, client(mock) as one:
        one.wait("session.created")
        pings: list[tuple[float, float | None]] = []
        until = time.monotonic() + TIMEOUT
        while len(pings) < 3 and time.monotonic() < until:
            pings = json.loads(get(mock, "sessions/1/view"))["pings"]
    assert [place for place, _ in pings] == sorted(place for place, _ in pings)
    assert len(pings) >= 3
    assert all(answered is not None and answered >= 0 for _, answered in pings[:-1])  # one after the other


def test_faults_and_what_they_dropped_are_in_the_view() -> None:
    with server(faults=[Fault("drop", on="session.updated")]) as mock:
        with client(mock) as one:
            one.send(update())
            one.audio(HELLO)
            one.wait(COMPLETED)
        view = json.loads(get(mock, "sessions/1/view"))
    assert [(action, event) for _, action, event in view["faults"]] == [("drop", "session.updated")]
    assert [entry["type"] for entry in view["list"] if entry["dropped"] == "fault"] == ["session.updated"]


def test_a_long_answer_is_compressed_where_the_browser_takes_it() -> None:
    with server() as mock:
        talk(mock, HELLO)
        plain = get(mock, "sessions/1/view")
        request = urllib.request.Request(page_url(mock, "sessions/1/view"), headers={"Accept-Encoding": "gzip"})
        with urllib.request.urlopen(request, timeout=TIMEOUT) as response:
            body = response.read()
            assert response.headers["content-encoding"] == "gzip"
        assert len(body) < len(plain) / 2
        assert json.loads(gzip.decompress(body))["list"] == json.loads(plain)["list"]


def test_a_clip_begins_where_it_is_asked_to() -> None:
    with server() as mock:
        with client(mock) as one:
            one.send(update())
            one.wait("session.updated")
            one.audio(silence(1.0) + b"\x00\x40" * 24000)
            one.send({"type": "input_audio_buffer.clear"})
            one.wait("input_audio_buffer.cleared")
        with wave.open(io.BytesIO(get(mock, "sessions/1/clip.wav?from=1.0"))) as file:
            assert (file.getframerate(), file.getnframes()) == (24000, 24000)
            assert file.readframes(24000) == b"\x00\x40" * 24000


@pytest.mark.parametrize("path", ["view", "peaks", "clip.wav", "report.html", "har", "jsonl"])
def test_an_unknown_session_is_an_error_that_names_it(path: str) -> None:
    with server() as mock, pytest.raises(urllib.error.HTTPError) as refused_:
        get(mock, f"sessions/9/{path}")
    with refused_.value as answer:
        assert answer.code == 404
        assert json.loads(answer.read())["error"]["message"] == "There is no session 9; 0 are known."


def test_a_number_in_the_query_that_is_none_counts_as_left_out() -> None:
    with server() as mock:
        talk(mock, HELLO)
        assert json.loads(get(mock, "sessions/1/view?after=-1e9x"))["first"] == 0


def test_har_has_the_messages_both_ways_with_their_audio() -> None:
    began = time.time()
    with server() as mock:
        talk(mock, HELLO)
        log = json.loads(get(mock, "sessions/1/har"))["log"]
    assert log["version"] == "1.2"
    (entry,) = log["entries"]
    assert entry["_resourceType"] == "websocket"
    assert entry["request"]["url"].startswith("ws://127.0.0.1:")
    assert entry["request"]["queryString"] == [{"name": "intent", "value": "transcription"}]
    assert entry["response"]["status"] == 101
    messages = entry["_webSocketMessages"]
    assert {message["type"] for message in messages} == {"send", "receive"}
    assert [message["time"] for message in messages] == sorted(message["time"] for message in messages)
    assert began - 1 <= messages[0]["time"] <= time.time() + 1
    sent = [json.loads(message["data"]) for message in messages if message["type"] == "send"]
    assert append(HELLO[:9600])["audio"][:1000] in "".join(event.get("audio", "") for event in sent)
    assert COMPLETED in [json.loads(message["data"])["type"] for message in messages]


def test_json_lines_have_the_handshake_the_events_and_the_end() -> None:
    with server() as mock:
        refused(mock)
        lines = [json.loads(line) for line in get(mock, "sessions/1/jsonl").splitlines()]
    assert lines[0] == {"format": "rtstt-trace", "version": 1, "source": "mock"}
    assert lines[1]["handshake"]["query"] == {"intent": ["transcription"], "model": ["gpt-4o-mini-transcribe"]}
    assert lines[2]["event"]["error"]["code"] == "invalid_model"
    assert lines[-1]["close"]["code"] == 4000


@pytest.mark.parametrize("path", ["view", "report.html", "har", "jsonl"])
def test_no_key_leaves_the_inspector(path: str) -> None:
    with server() as mock:
        with client(mock, f"?intent=transcription&api_key={CANARY}&x={CANARY}", key=CANARY) as one:
            one.send(update(transcription={"model": "gpt-4o-mini-transcribe", "prompt": f"“{CANARY}”\n{CANARY}"}))
            one.send({"type": CANARY, "event_id": CANARY})
            one.audio(HELLO)
            one.wait(COMPLETED)
        assert b"Canary7Canary7" not in get(mock, f"sessions/1/{path}")


def test_the_page_is_served_with_a_policy_that_names_no_other_place() -> None:
    with server() as mock, urllib.request.urlopen(page_url(mock), timeout=TIMEOUT) as response:
        policy = response.headers["content-security-policy"]
        body = response.read().decode()
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "http" not in policy
    assert KEY not in body


def test_the_page_is_not_served_without_the_control_api() -> None:
    with server(control=False) as mock, pytest.raises(urllib.error.HTTPError) as refused_:
        get(mock, "")
    with refused_.value as answer:
        assert answer.code == 404


@pytest.mark.parametrize("path", ["", "events", "sessions/1/view"])
def test_pages_of_other_sites_and_rebound_names_get_nothing(path: str) -> None:
    with server() as mock:
        refused(mock)
        for header in ({"Host": "attacker.example"}, {"Origin": "https://attacker.example"}):
            request = urllib.request.Request(page_url(mock, path), headers=header)
            with pytest.raises(urllib.error.HTTPError) as refusal:
                urllib.request.urlopen(request, timeout=TIMEOUT)
            with refusal.value as answer:
                assert answer.code == 403


def test_with_a_token_nothing_is_shown_without_it() -> None:
    with server(token="hunter2") as mock:
        refused(mock)
        for path in ("", "sessions/1/view?after=0", "events"):
            with pytest.raises(urllib.error.HTTPError) as refusal:
                get(mock, path)
            with refusal.value as answer:
                assert answer.code == 401
        assert json.loads(get(mock, "sessions/1/view?token=hunter2"))["code"] == "invalid_model"
        request = urllib.request.Request(page_url(mock, "reset?token=hunter2"), data=b"")
        with pytest.raises(urllib.error.HTTPError) as refusal:
            urllib.request.urlopen(request, timeout=TIMEOUT)  # what changes something takes the header alone
        refusal.value.close()
