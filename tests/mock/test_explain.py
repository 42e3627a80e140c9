"""Explanations of sessions, their records, and the check of a strict script."""

import asyncio
import gc
import json
import re
import weakref
from contextlib import suppress
from functools import partial

import pytest
from talk import COMPLETED, DELTA, KEY, Talk, append, silence, tone, update
from test_server import client, receive, run, settled, transcribe
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from rtstt_testkit import Failure, Fault, RealtimeServer, Script, ScriptNotFollowed, ThreadedRealtimeServer, Transcript
from rtstt_testkit.mock.inspect.explain import explain
from rtstt_testkit.mock.inspect.record import Closed, SessionRecord
from rtstt_testkit.mock.inspect.verify import verify
from rtstt_testkit.mock.protocol.handshake import Request
from rtstt_testkit.mock.script.script import Item, ScriptCursor
from rtstt_testkit.mock.session.output import Close

TRANSCRIPTION = "/v1/realtime?intent=transcription"
COMMIT = {"type": "input_audio_buffer.commit"}


@pytest.mark.parametrize(
    ("target", "options", "explanation"),
    [
        (
            f"{TRANSCRIPTION}&model=gpt-4o-mini-transcribe",
            {},
            "the client sent `?model=gpt-4o-mini-transcribe` with intent=transcription: OpenAI answers `invalid_model` "
            "and closes 4000. Remove `model` from the URL; the transcription model goes into session.update, as "
            "session.audio.input.transcription.model.",
        ),
        (
            "/v1/realtime?model=whisper-1",
            {},
            "the client sent `?model=whisper-1` without intent=transcription: OpenAI accepts only realtime models "
            "there, answers `invalid_model` and closes 4000. For transcription, replace `model` by "
            "`intent=transcription` in the URL.",
        ),
        (
            "/v1/realtime",
            {},
            "the URL has neither `intent=transcription` nor `model`: OpenAI answers `missing_model` and closes 4000. "
            "Add `?intent=transcription` for transcription.",
        ),
        (
            TRANSCRIPTION,
            {"key": "sk-bad"},
            "the API key was refused (close 3000). The mock accepts any key that begins ",
        ),
        (
            TRANSCRIPTION,
            {"key": None},
            "the client sent no API key: OpenAI closes 3000. Send `Authorization: Bearer sk-…`.",
        ),
    ],
)
def test_a_refusal_is_explained_with_the_fix(target, options, explanation) -> None:
    (sentence,) = explain(Talk(target, **options).record)
    assert sentence.startswith(explanation)


def test_the_beta_header_is_explained() -> None:
    (sentence,) = explain(Talk(TRANSCRIPTION, ("OpenAI-Beta", "realtime=v1")).record)
    assert sentence.endswith("OpenAI has refused since 2026-05-12 (close 4000). Do not send it.")


def test_the_beta_subprotocol_is_explained() -> None:
    offered = ("Sec-WebSocket-Protocol", f"realtime, openai-insecure-api-key.{KEY}, openai-beta.realtime-v1")
    (sentence,) = explain(Talk(TRANSCRIPTION, offered, key=None).record)
    assert sentence.startswith("the client sent the subprotocol `openai-beta.realtime-v1`, which OpenAI has refused")


@pytest.mark.parametrize(
    ("account", "explanation"),
    [
        ("no-credit", "the account has no credit, as the mock's account setting says: OpenAI closes 1013, "),
        ("quota", "the account's quota is used up, as the mock's account setting says: OpenAI closes 1013, "),
        ("spend-limit", "the organization's spend limit is reached, as the mock's account setting says: "),
        ("no-model", "the key's project has no access to the model, as the mock's account setting says: "),
    ],
)
def test_an_account_that_is_refused_is_explained(account, explanation) -> None:
    (sentence,) = explain(Talk(TRANSCRIPTION, account=account).record)
    assert sentence.startswith(explanation)
    assert sentence.endswith("and retrying does not help.")


def course(*steps, script=(), **settings) -> str:
    talk = Talk(transcripts=script)
    for step in steps:
        talk.speak(step) if isinstance(step, bytes) else talk.send(step)
    return " ".join(explain(talk.record))


VAD, MANUAL = update(), update(turn_detection=None)


@pytest.mark.parametrize(
    ("steps", "explanation"),
    [
        ([VAD, tone(500), silence(300)], "1 transcript was completed."),
        ([VAD, tone(500), silence(300), tone(500), silence(300)], "2 transcripts were completed."),
        ([VAD], "the client sent no audio."),
        (
            [tone(500), silence(300)],
            "audio came, but no accepted session.update set session.audio.input.transcription (the client sent none), "
            "so no transcript can come.",
        ),
        (
            [update(bogus=1), tone(500), silence(300)],
            "the server answered with an error: Unknown parameter: 'session.audio.input.bogus'. A refused update is "
            "discarded whole. audio came, but no "
            "accepted session.update set session.audio.input.transcription, so no transcript can come.",
        ),
        (
            [MANUAL, tone(500)],
            "turn_detection is null and the client never sent input_audio_buffer.commit, so nothing was transcribed.",
        ),
        (
            [VAD, silence(500)],
            "all of the audio is silence: is the microphone muted, or the right one?",
        ),
        (
            [VAD, tone(500, loudness=0.01)],
            "nothing in the audio was loud enough, for long enough, to count as speech; is it 16-bit little-endian "
            "mono PCM?",
        ),
        (
            [VAD, tone(500)],
            "speech began and did not end: keep sending audio after it (200 ms of silence end a turn), or commit.",
        ),
        (
            [update(turn_detection={"type": "semantic_vad"}), tone(500)],
            "speech began and did not end: keep sending audio after it, or commit.",
        ),
    ],
)
def test_a_session_without_a_transcript_is_explained(steps, explanation) -> None:
    assert course(*steps) == explanation


@pytest.mark.parametrize(
    ("step", "fix"),
    [
        (
            {"type": "transcription_session.update", "session": {}},
            "That is the Beta's event; send session.update with `type: transcription`, and the audio settings under "
            "session.audio.input.",
        ),
        (
            update("gpt-live-transcribe", turn_detection={"type": "server_vad"}),
            "Set `turn_detection: null` and send input_audio_buffer.commit, or use a model with VAD. A refused "
            "update is discarded whole.",
        ),
        (
            update(None, transcription={"model": "gpt-realtime-whisper", "prompt": "x"}),
            "Leave it out, or use a model that supports it. A refused update is discarded whole.",
        ),
        (
            update(None, transcription={"model": "whisper-1", "prompt": "x" * 2000}),
            "Shorten the prompt to 1,024 characters. A refused update is discarded whole.",
        ),
        (
            update(None, transcription={"model": "gpt-live-transcribe", "keywords": ["<b>"]}),
            "Remove angle brackets and line breaks from the keywords. A refused update is discarded whole.",
        ),
        (
            update(None, transcription={"model": "gpt-live-transcribe", "language": "en", "languages": ["de"]}),
            "Send either `language` or `languages`. A refused update is discarded whole.",
        ),
        (
            update(None, transcription={"model": "gpt-live-transcribe", "languages": []}),
            "Name a language, or leave `languages` out. A refused update is discarded whole.",
        ),
        (
            update(format={"type": "audio/pcm"}),
            "Send `rate: 24000` with audio/pcm. A refused update is discarded whole.",
        ),
        (
            {"type": "session.update", "session": {}},
            "Send `type: transcription` in session.update. A refused update is discarded whole.",
        ),
        (
            {"type": "session.update", "session": {"type": "realtime"}},
            "The URL opens a transcription session; send `type: transcription` in session.update.",
        ),
        (
            update(format={"type": "audio/pcm", "rate": 16000}),
            "OpenAI accepts PCM at 24000 Hz only; resample, or send audio/pcmu or audio/pcma. A refused update "
            "is discarded whole.",
        ),
        (
            COMMIT,
            "Under server_vad the turn was committed already: do not commit by hand there; otherwise append 100 ms of "
            "audio or more before the commit.",
        ),
        ("{", "Each message is one JSON object in one TEXT frame."),
        (
            {"type": "input_audio_buffer.append", "audio": "%"},
            "`audio` is base64 of the raw samples, at most 15 MiB an append.",
        ),
    ],
)
def test_an_error_is_explained_with_the_fix(step, fix) -> None:
    talk = Talk()
    talk.send(step)
    text = " ".join(explain(talk.record))
    assert text.startswith("the server answered with an error: ")
    assert f". {fix}" in text
    assert text.endswith("the client sent no audio.")


def test_binary_audio_is_explained() -> None:
    talk = Talk()
    talk.session.receive_frame(b"\0" * 100, talk.now)
    talk.receive()
    assert "Send audio as base64 in input_audio_buffer.append, in TEXT frames." in " ".join(explain(talk.record))


def test_a_transcription_update_on_a_conversation_is_explained() -> None:
    talk = Talk("/v1/realtime?model=gpt-realtime")
    talk.send(update())
    assert "Without `intent=transcription` the URL opens a conversation; replace `model` by it." in " ".join(
        explain(talk.record)
    )


@pytest.mark.parametrize(
    "step",
    [
        {"type": f"auth {KEY}"},
        {"type": "auth", "key": KEY},
        {"type": "session.update", "session": {KEY: 1}},
        {"type": "nope", "padding": "x" * 70_000, "key": KEY},
        f"Bearer {KEY}",
    ],
    ids=["type", "field", "name", "long", "no JSON"],
)
def test_a_key_is_masked_wherever_the_client_puts_it(step) -> None:
    query = f"model=gpt-realtime&key={KEY}&x={KEY}&{KEY}=1"
    talk = Talk(f"/v1/realtime/?{query}", ("X-Auth", f"Token {KEY}"), ("Cookie", f"session={KEY}"))
    talk.send(step)
    record = SessionRecord(1, Request(f"/v1/{KEY}?{query}", [("X-Auth", f"Token {KEY}")]).record())
    everything = [
        talk.record.events,
        talk.record.timeline(),
        explain(talk.record),
        talk.record,
        record.handshake,
        record,
    ]
    assert KEY not in repr(everything)
    assert "sk-proj-****" in repr(everything)


def test_errors_are_counted_and_not_all_repeated() -> None:
    assert course(*[COMMIT] * 300).startswith("the server answered with an error 300 times: Error committing")
    many = course(*({"type": f"nope{number}"} for number in range(50)))
    assert many.count("the server answered with an error") == 5
    assert "45 other errors followed." in many


@pytest.mark.parametrize(
    ("beginning", "kind"), [(b"RIFF", "a WAV"), (b"OggS", "an Ogg"), (b"ID3\4", "an MP3"), (b"\x1aE\xdf\xa3", "a WebM")]
)
def test_a_file_sent_as_audio_is_explained(beginning, kind) -> None:
    explanation = course(VAD, beginning + silence(300))
    assert explanation.startswith(
        f"the audio begins like {kind} file: send its samples alone, without the file's header."
    )


def ended(*faults: Fault, close: Closed | None = None, steps=(VAD,)) -> str:
    talk = Talk(script=Script.of(["One"], faults))
    for step in steps:
        talk.speak(step) if isinstance(step, bytes) else talk.send(step)
    if close is not None:
        talk.session.closed(close)
    return explain(talk.record)[-1]


@pytest.mark.parametrize(
    ("close", "explanation"),
    [
        (Closed(1002, "", "server"), "the client broke the WebSocket protocol, so the server closed 1002."),
        (Closed(1007, "", "server"), "the client sent TEXT that is not UTF-8, so the server closed 1007."),
        (Closed(1009, "", "server"), "the client sent a message of more than 21 MiB, so the server closed 1009."),
        (
            Closed(1011, "keepalive ping timeout", "server"),
            "the client did not answer a PING within 20 s, so the server closed 1011: is its event loop blocked?",
        ),
        (Closed(1006, "", "client"), "the connection was lost without a CLOSE frame."),
        (Closed(1000, "", "client"), "the client sent no audio."),
        (Closed(1001, "", "server"), "the client sent no audio."),
    ],
)
def test_the_end_is_explained_where_it_is_the_cause(close, explanation) -> None:
    assert ended(close=close) == explanation


def test_an_end_by_the_script_is_distinguished_from_a_clients_mistake() -> None:
    assert ended(Fault("close", after="session.updated", code=4001, reason="gone")) == (
        "the server closed 4001 gone, as the script says."
    )
    assert ended(Fault("reset", after="session.updated")) == "the server cut the connection, as the script says."
    assert ended(Fault("expire", after="session.updated")) == (
        "the session reached its 60 minutes and was closed 1001; open a new one before that."
    )


def test_a_client_that_leaves_too_early_is_explained() -> None:
    pause = Fault("pause", before="delta", seconds=60)
    steps = [MANUAL, tone(300), COMMIT]
    assert ended(pause, steps=steps, close=Closed(1000, "", "client")) == (
        "the client closed before the transcript was sent (2 events dropped, among them the transcript 'One'): wait "
        "for `…completed` of the last item."
    )


def test_a_failed_transcription_and_one_that_is_pending() -> None:
    assert course(MANUAL, tone(500), COMMIT, script=[Failure()]) == "the transcription failed, as the script says."
    assert course(MANUAL, tone(500), COMMIT, script=[Transcript("x", delay=5)]) == "nothing was transcribed."


class TestEventsThatWereNotSent:
    """The record is what happened: what the connection's end dropped is no answer."""

    def left_early(self, answer: str | Failure = "Hello.") -> Talk:
        talk = Talk(transcripts=[answer])
        talk.send(MANUAL)
        talk.speak(tone(300))
        talk.session.receive_frame(json.dumps(COMMIT), talk.now)
        talk.session.closed(Closed(1000, "", "client"))
        assert talk.receive() == []
        return talk

    def test_they_are_recorded_as_dropped_and_not_as_sent(self) -> None:
        record = self.left_early().record
        assert record.types == ["session.created", "session.updated"]
        assert record.transcripts == []
        assert [event.type for event in record.dropped][-1] == COMPLETED
        assert {event.dropped for event in record.dropped} == {"close"}

    def test_the_explanation_and_the_timeline_name_them(self) -> None:
        record = self.left_early().record
        assert explain(record) == [
            "the client closed before the transcript was sent (6 events dropped, among them the transcript 'Hello.'): "
            "wait for `…completed` of the last item."
        ]
        assert record.timeline()[-2:] == [
            f"   0.000 s  × {COMPLETED}  'Hello.', 7 tokens (not sent: the connection ended before)",
            "            closed 1000 by the client",
        ]

    def test_a_strict_check_fails(self) -> None:
        talk = self.left_early()
        with pytest.raises(ScriptNotFollowed) as caught:
            verify(talk.cursor, [talk.record], 1, "scripted", [])
        assert str(caught.value).splitlines()[0] == (
            "1 of 1 transcripts were never sent: 'Hello.'. The connection ended first; wait for `…completed` of the "
            "last item before closing. Pass strict=False if the client may leave before."
        )

    def test_a_failure_that_was_not_sent_fails_it_too(self) -> None:
        talk = self.left_early(Failure())
        with pytest.raises(ScriptNotFollowed, match=r"^1 of 1 transcripts were never sent: a failure\. "):
            verify(talk.cursor, [talk.record], 1, "scripted", [])

    def test_what_the_script_drops_is_recorded_as_such_and_passes_the_check(self) -> None:
        for fault, dropped in (
            (Fault("drop", on="completed"), "fault"),
            (Fault("close", before="completed", code=4001), "end"),
            (Fault("stall", after="delta"), "end"),
            (Fault("truncate", on="completed"), "fault"),
        ):
            talk = Talk(script=Script.of(["Hello."], [fault]))
            talk.send(MANUAL)
            talk.speak(tone(300))
            talk.send(COMMIT)
            assert talk.record.transcripts == []
            assert [event.dropped for event in talk.record.dropped if event.type == COMPLETED] == [dropped]
            verify(talk.cursor, [talk.record], 1, "scripted", [])

    def test_outputs_that_could_not_be_written_are_recorded_as_dropped(self) -> None:
        talk = Talk(transcripts=["Hello."])
        talk.send(MANUAL)
        talk.speak(tone(300))
        talk.session.receive_frame(json.dumps(COMMIT), talk.now)
        outputs = talk.session.poll(talk.now)
        talk.session.unsent(outputs[-2:])
        assert talk.record.transcripts == []
        assert [event.type for event in talk.record.dropped][-1] == COMPLETED

    def test_the_record_of_a_client_that_commits_and_closes_at_once_is_what_it_received(self) -> None:
        async def scenario():
            received = []
            async with RealtimeServer(transcripts=["Hello."]) as server:
                async with client(server) as socket_:
                    await socket_.send(json.dumps(MANUAL))
                    received += [event["type"] for event in await receive(socket_, "session.updated")]
                    for event in (append(tone(300)), COMMIT):
                        socket_.protocol.send_text(json.dumps(event).encode())
                    socket_.protocol.send_close(1000)
                    socket_.transport.write(b"".join(socket_.protocol.data_to_send()))
                    with suppress(ConnectionClosed):
                        while True:
                            received.append(json.loads(await socket_.recv())["type"])
                await settled(server)
                assert server.sessions[0].types == received
                assert server.sessions[0].unsent_transcripts == ["Hello."]

        with pytest.raises(ScriptNotFollowed, match=r"1 of 1 transcripts were never sent: 'Hello\.'"):
            run(scenario)


STREAMING = update("gpt-live-transcribe", turn_detection=None)
LEFT = Closed(1000, "", "client")


class TestTranscriptsThatHadBegunToStream:
    """A streaming model's deltas come before the commit; without its ``completed`` the transcript was not sent."""

    def streamed(self, *answers: str | Failure | Transcript, **options) -> Talk:
        talk = Talk(transcripts=answers, **options)
        talk.send(STREAMING)
        talk.wait(1)
        talk.speak(tone(2500))
        assert DELTA in talk.record.types or isinstance(answers[0], Failure)
        return talk

    def problem(self, talk: Talk) -> str:
        with pytest.raises(ScriptNotFollowed) as caught:
            verify(talk.cursor, [talk.record], 1, "scripted", [])
        return str(caught.value).splitlines()[0]

    def test_a_client_that_leaves_before_its_commit_fails_the_check(self) -> None:
        talk = self.streamed("One two three.")
        talk.session.closed(LEFT)
        assert talk.record.transcripts == []
        assert talk.record.unsent_transcripts == ["One two three."]
        assert self.problem(talk) == (
            "1 of 1 transcripts were never sent: 'One two three.'. The connection ended first; wait for `…completed` "
            "of the last item before closing. Pass strict=False if the client may leave before."
        )

    def test_the_explanation_and_the_timeline_say_that_the_commit_is_missing(self) -> None:
        talk = self.streamed("One two three.")
        assert talk.record.dropped == []
        talk.session.closed(LEFT)
        assert explain(talk.record) == [
            "the client closed before the commit of the speech that was being transcribed ('One two three.'): send "
            "input_audio_buffer.commit and wait for `…completed`."
        ]
        assert talk.record.timeline()[-2].endswith(
            f"× {COMPLETED}  'One two three.' (not sent: the connection ended before the commit)"
        )
        for close, cause in (
            (Closed(1006, "", "client"), "the connection was lost without a CLOSE frame."),
            (Closed(1011, "internal error of the mock", "server"), "the server closed 1011"),
        ):
            talk = self.streamed("One two three.")
            talk.session.closed(close)
            before, after = explain(talk.record)
            assert before == (
                "the connection ended before the commit of the speech that was being transcribed ('One two three.')."
            )
            assert after.startswith(cause)

    def test_a_second_transcript_is_missed_although_the_first_was_sent(self) -> None:
        talk = self.streamed("One two three.", "Four five six.")
        talk.send(COMMIT)
        talk.speak(silence(300) + tone(2500))
        talk.session.closed(LEFT)
        assert talk.record.transcripts == ["One two three."]
        assert explain(talk.record) == [
            "1 transcript was completed.",
            "the client closed before the commit of the speech that was being transcribed ('Four five six.'): send "
            "input_audio_buffer.commit and wait for `…completed`.",
        ]
        assert self.problem(talk).startswith("1 of 2 transcripts were never sent: 'Four five six.'.")

    def test_a_client_that_leaves_between_its_commit_and_completed_fails_the_check(self) -> None:
        talk = self.streamed("One two three.", latency="capture")
        talk.send(COMMIT)
        talk.wait(0.3)
        talk.session.closed(LEFT)
        assert {event.dropped for event in talk.record.dropped} == {"close"}
        assert self.problem(talk).startswith("1 of 1 transcripts were never sent: 'One two three.'.")

    @pytest.mark.parametrize("commits", [False, True])
    def test_a_session_that_the_client_closes_by_an_event_has_not_sent_it_either(self, commits) -> None:
        talk = self.streamed("One two three.", latency="capture")
        if commits:
            talk.send(COMMIT)
        talk.send({"type": "session.close"})
        talk.wait(0.2)
        self.assert_not_sent(talk)

    @pytest.mark.parametrize("commits", [False, True])
    def test_a_session_that_expires_has_not_sent_it_either(self, commits) -> None:
        talk = self.streamed("One two three.", latency="capture", max_duration=10)
        talk.wait(9.9)
        if commits:
            talk.send(COMMIT)
        talk.wait(0.2)
        self.assert_not_sent(talk)

    def assert_not_sent(self, talk: Talk) -> None:
        assert isinstance(talk.close, Close)
        talk.session.closed(Closed(talk.close.code, talk.close.reason, "server"))
        assert talk.record.transcripts == []
        assert self.problem(talk).startswith("1 of 1 transcripts were never sent: 'One two three.'.")

    def test_a_failure_counts_too(self) -> None:
        talk = self.streamed(Failure())
        talk.session.closed(LEFT)
        assert self.problem(talk).startswith("1 of 1 transcripts were never sent: a failure.")

    def test_a_fault_that_ends_the_session_is_what_the_script_says(self) -> None:
        for fault in (
            Fault("reset", after="delta"),
            Fault("close", before="delta", code=4001),
            Fault("stall", after="delta"),
        ):
            talk = Talk(script=Script.of(["One two three."], [fault]))
            talk.send(STREAMING)
            talk.session.append_audio([tone(2500)], talk.now)
            talk.receive()
            talk.session.closed(LEFT)
            verify(talk.cursor, [talk.record], 1, "scripted", [])

    @pytest.mark.parametrize(
        "discard",
        [
            {"type": "input_audio_buffer.clear"},
            update(None, format={"type": "audio/pcmu"}),
        ],
        ids=["clear", "another format"],
    )
    def test_speech_that_is_discarded_leaves_its_transcript_to_the_next_item(self, discard) -> None:
        talk = self.streamed(Transcript("One two three.", item=1), "Four five six.")
        talk.send(discard)
        assert [unused.text for unused in talk.cursor.unused] == ["One two three.", "Four five six."]
        talk.send(update(None, format={"type": "audio/pcm", "rate": 24000}))
        talk.speak(silence(300) + tone(2500))
        talk.send(COMMIT)
        assert talk.record.transcripts == ["One two three."]
        assert talk.cursor.items == 1
        talk.session.closed(LEFT)
        assert self.problem(talk).startswith("1 of 2 transcripts were not used: 'Four five six.'.")

    def test_a_real_client_that_leaves_after_the_first_delta_fails_its_test(self) -> None:
        async def scenario():
            async with RealtimeServer(transcripts=["One two three."]) as server:
                async with client(server) as socket_:
                    await socket_.send(json.dumps(STREAMING))
                    for _ in range(5):
                        await socket_.send(json.dumps(append(tone(500))))
                    await receive(socket_, DELTA)
                await settled(server)

        with pytest.raises(ScriptNotFollowed) as caught:
            run(scenario)
        assert "the client closed before the commit of the speech that was being transcribed" in str(caught.value)

    def test_a_frame_that_was_not_written_to_its_end_was_not_sent(self) -> None:
        async def scenario():
            fault = Fault("trickle", on="completed", seconds=3600)
            async with RealtimeServer(transcripts=["One two three."], faults=[fault]) as server:
                async with client(server, close_timeout=0.1) as socket_:
                    for event in (MANUAL, append(tone(500)), COMMIT):
                        await socket_.send(json.dumps(event))
                    await server.wait_for(COMPLETED, timeout=60)
                    socket_.transport.abort()
                await settled(server)
                assert server.sessions[0].unsent_transcripts == ["One two three."]

        with pytest.raises(ScriptNotFollowed, match="1 of 1 transcripts were never sent"):
            run(scenario)


class TestUnusedTranscripts:
    def test_one_that_is_put_back_has_its_old_place(self) -> None:
        one, two = Transcript("One"), Transcript("Two")
        cursor = ScriptCursor(Script.of([one, two, one]))
        taken = [cursor.take(Item(1, "whisper-1")) for _ in range(3)]
        assert taken == [one, two, one]
        for transcript in (two, one, Transcript(), one, one):
            cursor.put_back(transcript)
        assert cursor.unused == [one, two, one]
        assert cursor.items == 0

    def test_one_of_a_script_that_was_replaced_is_not_put_back(self) -> None:
        cursor = ScriptCursor(Script.of(["One"]))
        taken = cursor.take(Item(1, "whisper-1"))
        cursor.load(Script.of(["Two"]))
        cursor.put_back(taken)
        assert [unused.text for unused in cursor.unused] == ["Two"]


def test_a_timeline_shows_texts_codes_and_durations() -> None:
    talk = Talk(transcripts=["Hello."])
    talk.send(VAD)
    talk.speak(silence(300) + tone(500) + silence(300))
    talk.send({"type": "nope"})
    talk.session.closed(Closed(1001, "going away", "client"))
    lines = [line.partition(" s  ")[2] or line.strip() for line in talk.record.timeline()]
    assert "→ input_audio_buffer.append × 7  0.350 s of audio" in lines
    assert "← input_audio_buffer.speech_started  audio_start_ms 0" in lines
    assert f"← {COMPLETED}  'Hello.', 14 tokens" in lines
    assert any(line.startswith("← error  invalid_value, Invalid value: 'nope'.") for line in lines)
    assert lines[-1] == "closed 1001 going away by the client"


def test_a_session_that_ended_is_freed_without_the_garbage_collector() -> None:
    gc.collect()
    gc.disable()
    try:
        talk = Talk(transcripts=["Hello."])
        talk.send(update(turn_detection={"type": "server_vad", "idle_timeout_ms": 5000}))
        talk.speak(silence(300) + tone(500) + silence(300) + tone(300))
        talk.session.closed(Closed(1000, "", "client"))
        session, record = weakref.ref(talk.session), weakref.ref(talk.record)
        del talk
        assert session() is None
        assert record() is None
    finally:
        gc.enable()


def test_the_server_explains_every_session() -> None:
    async def scenario():
        async with RealtimeServer() as server:
            assert server.explain() == f"No client has connected to {server.url}."
            await transcribe(server)
            with pytest.raises(InvalidStatus):
                await connect(f"ws://127.0.0.1:{server.port}/v2/realtime", additional_headers={"Authorization": KEY})
            assert server.explain() == (
                "Session 1: 1 transcript was completed.\n"
                "Session 2: the upgrade of /v2/realtime was refused with HTTP 403: No WebSocket endpoint at "
                "/v2/realtime; the mock serves /v1/realtime."
            )

    run(scenario)


class TestStrict:
    def test_unused_transcripts_fail_with_what_happened(self) -> None:
        async def scenario():
            async with RealtimeServer(
                transcripts=["One", "Two", Failure(), Transcript("Vier", language="de")]
            ) as server:
                await transcribe(server)

        with pytest.raises(ScriptNotFollowed) as caught:
            run(scenario)
        assert str(caught.value) == (
            "3 of 4 transcripts were not used: 'Two', a failure, 'Vier' (for language='de'). Each answers one "
            "committed item with speech; 1 came. Pass strict=False if some may stay unused.\n"
            "What happened:\n"
            "  <session 1 /v1/realtime?intent=transcription closed 1000>: 1 transcript was completed."
        )

    def test_many_unused_ones_are_not_all_listed(self) -> None:
        server = ThreadedRealtimeServer(transcripts="abcdefghi")
        with pytest.raises(ScriptNotFollowed, match=r"^9 of 9 transcripts were not used: 'a', 'b', 'c', 'd', 'e', …\."):
            server.verify()

    def test_an_unexpected_connection_fails(self) -> None:
        async def scenario():
            async with RealtimeServer(connections=1) as server:
                await transcribe(server)
                await transcribe(server)

        with pytest.raises(ScriptNotFollowed) as caught:
            run(scenario)
        assert str(caught.value) == (
            "2 clients connected where connections=1 allows 1. Raise it, or leave it out to allow as many as the "
            "script has transcripts for.\n"
            "What happened:\n"
            "  <session 1 /v1/realtime?intent=transcription closed 1000>: 1 transcript was completed.\n"
            "  <session 2 /v1/realtime?intent=transcription closed 1000>: 1 transcript was completed."
        )

    def test_without_a_number_a_client_is_expected_while_the_script_has_an_answer_left(self) -> None:
        async def scenario(**options):
            async with RealtimeServer(transcripts=["One"], **options) as server:
                await transcribe(server)
                await transcribe(server)
                await settled(server)

        with pytest.raises(ScriptNotFollowed) as caught:
            run(scenario)
        assert str(caught.value).splitlines()[0] == (
            "Connection 2 of 2 was not expected: none of the 1 transcripts was left for it. Add one, or pass "
            "connections=N to allow N clients, connections=None to allow any number."
        )
        for relaxed in (2, None):
            run(partial(scenario, connections=relaxed))

    def test_a_fault_that_was_not_applied_fails(self) -> None:
        async def scenario(*faults, **options):
            async with RealtimeServer(faults=faults, **options) as server:
                await transcribe(server)

        never = Fault("close", after="cleared"), Fault("drop", on="delta", nth=9), Fault("error", before="delta")
        with pytest.raises(ScriptNotFollowed) as caught:
            run(partial(scenario, *never))
        assert str(caught.value).splitlines()[0] == (
            "2 of 3 faults were not applied: close after cleared, drop on delta (number 9). No such event came on a "
            "connection that they are for. Pass strict=False if some need not be."
        )
        run(partial(scenario, *never, strict=False))
        run(partial(scenario, Fault("drop", on="delta", probability=0)))

    def test_a_reconnect_storm_is_counted_in_one_line(self, monkeypatch) -> None:
        # However long the machine takes from one attempt to the next.
        monkeypatch.setattr("rtstt_testkit.mock.inspect.findings.reconnecting._STORM_PAUSE", 1000)

        async def scenario():
            fault = Fault("http", on="connect", first=50, message="Overloaded.")
            async with RealtimeServer(transcripts=["One", "Two"], faults=[fault]) as server:
                for _ in range(50):
                    with pytest.raises(InvalidStatus):
                        await connect(server.url + "?intent=transcription", additional_headers={"Authorization": KEY})
                await transcribe(server)
                storm, course, finding = server.explain().splitlines()
                assert re.fullmatch(
                    r"Sessions 1 to 50 \(50 attempts in \d+\.\d s, at the shortest \d+\.\d\d s apart\): the upgrade of "
                    r"/v1/realtime was refused with HTTP 503: Overloaded\.",
                    storm,
                )
                assert course == "Session 51: 1 transcript was completed."
                assert finding.startswith("Finding reconnect_storm: The client reconnected again and again")

        with pytest.raises(ScriptNotFollowed) as caught:
            run(scenario)
        happened = str(caught.value).splitlines()[1:]
        assert len(happened) == 3
        assert "<session 1 /v1/realtime?intent=transcription HTTP 503> and 49 like it (50 attempts in" in happened[1]

    def test_it_can_be_relaxed_and_does_not_hide_another_failure(self) -> None:
        async def relaxed():
            async with RealtimeServer(transcripts=["One"], strict=False) as server:
                assert server.cursor.unused

        run(relaxed)

        async def failing():
            async with RealtimeServer(transcripts=["One"]):
                raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            run(failing)


def test_a_threaded_server_is_controlled_like_the_other() -> None:
    with ThreadedRealtimeServer(strict=False) as server:
        server.load(Script.of(["One"]))
        assert [unused.text for unused in server.cursor.unused] == ["One"]
        server.reset()
        assert server.explain() == f"No client has connected to {server.url}."
        with pytest.raises(ScriptNotFollowed):
            server.verify()


def test_what_is_read_of_a_record_is_a_snapshot() -> None:
    """Another thread reads it while the loop goes on, which no iteration may notice."""
    talk = Talk(script=Script.of(["Hello."], [Fault("drop", on="session.updated")]))
    record = talk.record
    talk.send(VAD)
    talk.speak(tone(500) + silence(300))
    record.add_ping(0.0)
    for name in ("events", "sent", "received", "dropped", "types", "transcripts", "pings", "faults"):
        whole = list(getattr(record, name))
        assert whole, name
        seen = []
        for entry in getattr(record, name):
            seen.append(entry)
            record.add("server", 0.0, {"type": COMPLETED, "transcript": "x"}, dropped="fault")
            record.add("server", 0.0, {"type": COMPLETED, "transcript": "x"})
            record.add("client", 0.0, {"type": "x"})
            record.add_ping(0.0)
            record.add_fault(0.0, "drop", "x")
        assert seen == whole, name


def test_old_sessions_are_dropped_beyond_the_limit() -> None:
    async def scenario():
        async with RealtimeServer(keep_sessions=2) as server:
            async with client(server) as kept:
                await receive(kept, "session.created")
                for _ in range(3):
                    await transcribe(server)
            assert [session.number for session in server.sessions][:1] == [1]
            assert len(server.sessions) <= 3

    run(scenario)


def test_an_observer_sees_every_event(monkeypatch) -> None:
    monkeypatch.setattr("rtstt_testkit.mock.server.observing._END_SECONDS", 60)

    async def scenario():
        seen = []
        async with RealtimeServer(observer=lambda record, event: seen.append((record.number, event.type))) as server:
            await transcribe(server)
        assert seen[:2] == [(1, "session.created"), (1, "session.update")]

    run(scenario)


def test_fragmented_messages_are_received_in_order() -> None:
    import json

    async def scenario():
        async with RealtimeServer() as server, client(server) as socket_:
            text = json.dumps(update())
            await socket_.send([text[:10], text[10:50], text[50:]])
            await socket_.send(json.dumps(append(tone(300) + silence(300))))
            events = await receive(socket_, "conversation.item.input_audio_transcription.completed")
            assert [event["type"] for event in events[:3]] == [
                "session.created",
                "session.updated",
                "input_audio_buffer.speech_started",
            ]

    run(scenario)


def test_waiting_ends_when_the_server_does() -> None:
    async def scenario():
        server = RealtimeServer()
        await server.start()
        waiting = asyncio.ensure_future(server.wait_for("session.created", timeout=60))
        await asyncio.sleep(0)
        await server.stop()
        with pytest.raises(TimeoutError, match="no client has connected"):
            await waiting

    run(scenario)
