"""A transcription session from ``session.created`` to the transcript: PROTOCOL.md, sections 3 to 6."""

import re

import pytest
from talk import (
    COMPLETED,
    DELTA,
    FAILED,
    SEGMENT,
    WALL,
    Talk,
    append,
    g711,
    silence,
    tone,
    types,
    update,
)

from rtstt_testkit.mock.protocol.errors import ApiError
from rtstt_testkit.mock.protocol.events import Failure, Segment
from rtstt_testkit.mock.protocol.ids import Ids
from rtstt_testkit.mock.protocol.secret_store import SecretStore
from rtstt_testkit.mock.script.script import Transcript

SPEECH = silence(500) + tone(1000) + silence(500)
COMMIT = {"type": "input_audio_buffer.commit"}
ITEM = ["input_audio_buffer.committed", "conversation.item.added", "conversation.item.done"]


def ready(model: str = "gpt-4o-mini-transcribe", *, turns: bool = False, **options) -> Talk:
    talk = Talk(**options)
    settings = {} if turns else {"turn_detection": None}
    assert types(talk.send(update(model, **settings))) == ["session.updated"]
    return talk


class TestSessionObject:
    def test_created_has_the_captured_shape(self) -> None:
        (created,) = Talk().opening
        assert re.fullmatch(r"event_[0-9A-Za-z]{21}", created.pop("event_id"))
        assert re.fullmatch(r"sess_[0-9A-Za-z]{21}", created["session"].pop("id"))
        assert created == {
            "type": "session.created",
            "session": {
                "type": "transcription",
                "object": "realtime.transcription_session",
                "expires_at": WALL + 3600,
                "audio": {
                    "input": {
                        "format": {"type": "audio/pcm", "rate": 24000},
                        "transcription": None,
                        "noise_reduction": None,
                        "turn_detection": {
                            "type": "server_vad",
                            "threshold": 0.5,
                            "prefix_padding_ms": 300,
                            "silence_duration_ms": 200,
                        },
                    }
                },
                "include": None,
            },
        }

    def test_created_has_the_captured_order_of_keys(self) -> None:
        session = Talk().opening[0]["session"]
        assert list(session) == ["type", "object", "id", "expires_at", "audio", "include"]

    def test_updated_carries_the_whole_merged_session(self) -> None:
        talk = Talk()
        talk.send(update(noise_reduction={"type": "near_field"}))
        (updated,) = talk.send(update(None, turn_detection={"type": "server_vad", "threshold": 0.7}))
        assert updated["session"]["id"] == talk.opening[0]["session"]["id"]
        assert updated["session"]["audio"]["input"] == {
            "format": {"type": "audio/pcm", "rate": 24000},
            "transcription": {"model": "gpt-4o-mini-transcribe", "language": None, "prompt": None},
            "noise_reduction": {"type": "near_field"},
            "turn_detection": {
                "type": "server_vad",
                "threshold": 0.7,
                "prefix_padding_ms": 300,
                "silence_duration_ms": 200,
            },
        }

    def test_semantic_vad_comes_back_with_its_default(self) -> None:
        (updated,) = Talk().send(update(turn_detection={"type": "semantic_vad"}))
        assert updated["session"]["audio"]["input"]["turn_detection"] == {
            "type": "semantic_vad",
            "eagerness": "auto",
        }

    def test_the_strength_of_noise_reduction_is_kept_until_it_is_turned_off(self) -> None:
        talk = Talk()
        seen = []
        for noise in ({"type": "near_field", "strength": 0.5}, {"type": "far_field"}, None, {"type": "far_field"}):
            (updated,) = talk.send(update(noise_reduction=noise))
            seen.append(updated["session"]["audio"]["input"]["noise_reduction"])
        assert seen == [
            {"type": "near_field", "strength": 0.5},
            {"type": "far_field", "strength": 0.5},
            None,
            {"type": "far_field"},
        ]

    def test_delay_is_not_echoed_and_languages_are(self) -> None:
        transcription = {"model": "gpt-live-transcribe", "delay": "low", "languages": ["en"], "keywords": ["x"]}
        (updated,) = Talk().send(update(None, transcription=transcription, turn_detection=None))
        assert updated["session"]["audio"]["input"]["transcription"] == {
            "model": "gpt-live-transcribe",
            "language": None,
            "prompt": None,
            "languages": ["en"],
        }

    def test_a_refused_update_is_discarded_whole_and_no_transcript_ever_comes(self) -> None:
        talk = Talk()
        refused = update(noise_reduction={"type": "near_field"}, bogus_field=1)
        assert types(talk.send(refused)) == ["error"]
        assert types(talk.speak(SPEECH)) == [
            "input_audio_buffer.speech_started",
            "input_audio_buffer.speech_stopped",
            *ITEM,
        ]
        (updated,) = talk.send({"type": "session.update", "session": {"type": "transcription"}})
        assert updated["session"]["audio"]["input"]["noise_reduction"] is None
        assert talk.close is None

    def test_transcription_can_be_turned_off_again(self) -> None:
        talk = ready()
        talk.send(update(None, transcription=None))
        talk.speak(tone(200))
        assert types(talk.send(COMMIT)) == ITEM


class TestTurnDetectionLeftOut:
    """A model without turn detection refuses it only if the client asks for it."""

    @pytest.mark.parametrize("model", ["gpt-realtime-whisper", "gpt-live-transcribe"])
    def test_an_update_without_it_is_accepted_and_the_client_commits(self, model: str) -> None:
        talk = Talk(transcripts=["Hello there."])
        (updated,) = talk.send(update(model))
        assert updated["type"] == "session.updated"
        assert updated["session"]["audio"]["input"]["turn_detection"] is None
        early = talk.speak(SPEECH)
        assert set(types(early)) <= {DELTA}
        assert types(talk.send(COMMIT))[:3] == ITEM
        assert talk.record.transcripts == ["Hello there."]

    @pytest.mark.parametrize("model", ["gpt-realtime-whisper", "gpt-live-transcribe"])
    def test_a_client_secret_without_it_is_made(self, model: str) -> None:
        session = {"type": "transcription", "audio": {"input": {"transcription": {"model": model}}}}
        made = SecretStore(Ids(1), lambda: WALL).create({"session": session})
        assert not isinstance(made, ApiError)
        assert made["session"]["audio"]["input"]["turn_detection"] is None
        session["audio"]["input"]["turn_detection"] = {"type": "server_vad"}
        refused = SecretStore(Ids(1), lambda: WALL).create({"session": session})
        assert isinstance(refused, ApiError)
        assert refused.message == "Turn detection is not supported for this transcription model."

    def test_asking_for_it_later_is_refused_too(self) -> None:
        talk = ready("gpt-realtime-whisper")
        (error,) = talk.send(update(None, turn_detection={"type": "server_vad"}))
        assert error["error"]["param"] == "session.audio.input.turn_detection"

    def test_options_of_an_earlier_model_do_not_affect_a_later_one(self) -> None:
        talk = Talk()
        talk.send(update(None, transcription={"model": "whisper-1", "prompt": "Names: Ada."}))
        assert types(talk.send(update("gpt-realtime-whisper"))) == ["session.updated"]


class TestServerVad:
    def test_the_order_is_the_captured_one(self) -> None:
        talk = ready(turns=True, transcripts=["Hello from the Gateway Probe."])
        events = talk.speak(SPEECH)
        assert types(events) == [
            "input_audio_buffer.speech_started",
            "input_audio_buffer.speech_stopped",
            *ITEM,
            *[DELTA] * 6,
            COMPLETED,
        ]
        assert [event["delta"] for event in events if event["type"] == DELTA] == [
            "Hello",
            " from",
            " the",
            " Gateway",
            " Probe",
            ".",
        ]
        assert events[-1]["transcript"] == "Hello from the Gateway Probe."

    def test_one_item_id_from_speech_started_to_completed(self) -> None:
        events = ready(turns=True).speak(SPEECH)
        ids = {event.get("item_id") or event["item"]["id"] for event in events}
        assert len(ids) == 1
        assert re.fullmatch(r"item_[0-9A-Za-z]{21}", ids.pop())

    @pytest.mark.parametrize("chunk_ms", [1, 7, 10, 20, 50, 333, 5000])
    def test_the_times_are_right_to_the_sample_whatever_the_chunks(self, chunk_ms: float) -> None:
        talk = ready(turns=True)
        events = talk.speak(silence(503) + tone(777) + silence(500), chunk_ms)
        assert events[0]["audio_start_ms"] == 503 - 300
        assert events[1]["audio_end_ms"] == 503 + 777 + 200

    def test_padding_and_silence_follow_the_settings(self) -> None:
        talk = Talk()
        turns = {"type": "server_vad", "prefix_padding_ms": 100, "silence_duration_ms": 450}
        talk.send(update(turn_detection=turns))
        events = talk.speak(silence(1000) + tone(300) + silence(600))
        assert (events[0]["audio_start_ms"], events[1]["audio_end_ms"]) == (900, 1750)

    def test_padding_does_not_reach_before_the_audio_or_into_the_turn_before(self) -> None:
        events = ready(turns=True).speak(tone(400) + silence(250) + tone(400) + silence(250))
        starts = [event["audio_start_ms"] for event in events if "audio_start_ms" in event]
        assert starts == [0, 600]

    def test_a_pause_shorter_than_the_silence_does_not_end_the_turn(self) -> None:
        events = ready(turns=True).speak(tone(300) + silence(150) + tone(300) + silence(300))
        assert types(events).count("input_audio_buffer.speech_stopped") == 1

    def test_a_click_is_not_speech(self) -> None:
        assert ready(turns=True).speak(silence(200) + tone(15) + silence(500)) == []

    def test_sound_below_the_threshold_is_not_speech(self) -> None:
        assert ready(turns=True).speak(tone(500, loudness=0.01) + silence(500)) == []
        talk = Talk()
        talk.send(update(turn_detection={"type": "server_vad", "threshold": 0.1}))
        assert talk.speak(tone(500, loudness=0.01) + silence(500)) != []

    def test_items_form_a_chain(self) -> None:
        events = ready(turns=True).speak(SPEECH * 3)
        committed = [event for event in events if event["type"] == "input_audio_buffer.committed"]
        ids = [event["item_id"] for event in committed]
        assert [event["previous_item_id"] for event in committed] == [None, ids[0], ids[1]]
        added = [event["previous_item_id"] for event in events if event["type"] == "conversation.item.added"]
        assert added == [None, ids[0], ids[1]]

    def test_the_item_is_added_and_done_with_its_audio_and_no_transcript(self) -> None:
        events = ready(turns=True).speak(SPEECH)
        for event in events[3:5]:
            assert event["item"] == {
                "id": events[0]["item_id"],
                "type": "message",
                "status": "completed",
                "role": "user",
                "content": [{"type": "input_audio", "transcript": None}],
            }

    def test_turn_detection_turned_on_in_the_middle_of_speech_announces_it_before_its_end(self) -> None:
        talk = ready()
        assert talk.speak(tone(500)) == []
        talk.send(update(None, turn_detection={"type": "server_vad"}))
        events = talk.speak(tone(500) + silence(300))
        assert types(events)[:3] == [
            "input_audio_buffer.speech_started",
            "input_audio_buffer.speech_stopped",
            "input_audio_buffer.committed",
        ]
        assert (events[0]["audio_start_ms"], events[1]["audio_end_ms"]) == (200, 1200)

    def test_a_commit_during_speech_uses_the_id_of_speech_started(self) -> None:
        talk = ready(turns=True)
        (started,) = talk.speak(silence(500) + tone(500))
        events = talk.send(COMMIT)
        assert types(events)[:3] == ITEM
        assert events[0]["item_id"] == started["item_id"]

    @pytest.mark.parametrize("name", ["audio/pcmu", "audio/pcma"])
    def test_telephone_audio_is_detected_and_timed(self, name: str) -> None:
        talk = Talk()
        (updated,) = talk.send(update("whisper-1", format={"type": name}))
        assert updated["session"]["audio"]["input"]["format"] == {"type": name}
        audio = g711(silence(500, 8000) + tone(700, 8000) + silence(300, 8000), name)
        events = talk.speak(audio, 20, rate=8000, width=1)
        assert (events[0]["audio_start_ms"], events[1]["audio_end_ms"]) == (200, 1400)
        assert events[-1]["usage"] == {"type": "duration", "seconds": 2}

    def test_a_change_of_format_keeps_the_time_axis(self) -> None:
        talk = ready(turns=True)
        talk.speak(silence(2000))
        talk.send(update(None, format={"type": "audio/pcmu"}))
        events = talk.speak(g711(silence(500, 8000) + tone(500, 8000) + silence(300, 8000), "audio/pcmu"), 20, 8000, 1)
        assert (events[0]["audio_start_ms"], events[1]["audio_end_ms"]) == (2200, 3200)

    def test_half_a_sample_at_the_end_of_an_append_is_not_lost(self) -> None:
        talk = ready(turns=True)
        audio = silence(500) + tone(700) + silence(300)
        events = [event for at in range(0, len(audio), 999) for event in talk.send(append(audio[at : at + 999]))]
        assert (events[0]["audio_start_ms"], events[1]["audio_end_ms"]) == (200, 1400)


class TestSemanticVad:
    def test_a_finished_sentence_ends_the_turn_soon(self) -> None:
        talk = Talk(transcripts=["It is done."])
        talk.send(update(turn_detection={"type": "semantic_vad"}))
        events = talk.speak(tone(1000) + silence(600))
        assert events[1]["type"] == "input_audio_buffer.speech_stopped"
        assert events[1]["audio_end_ms"] == 1500

    @pytest.mark.parametrize(("eagerness", "ms"), [("low", 8000), ("medium", 4000), ("auto", 4000), ("high", 2000)])
    def test_an_unfinished_one_waits_as_long_as_the_eagerness_says(self, eagerness: str, ms: int) -> None:
        talk = Talk(transcripts=["And then uhm"])
        talk.send(update(turn_detection={"type": "semantic_vad", "eagerness": eagerness}))
        assert types(talk.speak(tone(1000) + silence(ms - 20))) == ["input_audio_buffer.speech_started"]
        (stopped, *_) = talk.speak(silence(50))
        assert stopped["audio_end_ms"] == 1000 + ms

    def test_each_turn_ends_by_its_own_text(self) -> None:
        talk = Talk(transcripts=["Well", "It is done."])
        talk.send(update(turn_detection={"type": "semantic_vad", "eagerness": "high"}))
        events = talk.speak(tone(500) + silence(2100) + tone(500) + silence(600))
        ends = [event["audio_end_ms"] for event in events if "audio_end_ms" in event]
        assert ends == [2500, 3600]


class TestIdleTimeout:
    def test_silence_is_committed_with_its_times(self) -> None:
        talk = Talk()
        talk.send(update(turn_detection={"type": "server_vad", "idle_timeout_ms": 5000}))
        assert talk.speak(silence(4990)) == []
        events = talk.speak(silence(50))
        assert types(events) == ["input_audio_buffer.timeout_triggered", *ITEM, COMPLETED]
        assert (events[0]["audio_start_ms"], events[0]["audio_end_ms"]) == (0, 5000)
        assert events[0]["item_id"] == events[1]["item_id"]
        assert events[-1]["transcript"] == ""

    def test_a_long_silence_in_one_append_times_out_as_often_as_in_many(self) -> None:
        talk = Talk()
        talk.send(update(turn_detection={"type": "server_vad", "idle_timeout_ms": 5000}))
        events = talk.speak(silence(16_000), chunk_ms=16_000)
        ends = [event["audio_end_ms"] for event in events if "audio_end_ms" in event]
        assert ends == [5000, 10_000, 15_000]

    def test_it_begins_again_after_every_turn(self) -> None:
        talk = Talk()
        talk.send(update(turn_detection={"type": "server_vad", "idle_timeout_ms": 5000}))
        talk.speak(silence(4000) + tone(500) + silence(300))
        events = talk.speak(silence(5000))
        assert (events[0]["audio_start_ms"], events[0]["audio_end_ms"]) == (4700, 9700)


class TestManyAppendsAtOnce:
    """Many appends read at once are answered like single ones."""

    @pytest.mark.parametrize(
        ("model", "turns"),
        [
            ("gpt-4o-mini-transcribe", {"type": "server_vad"}),
            ("gpt-4o-mini-transcribe", {"type": "server_vad", "idle_timeout_ms": 5000}),
            ("gpt-4o-mini-transcribe", {"type": "semantic_vad", "eagerness": "high"}),
            ("gpt-realtime-whisper", None),
        ],
    )
    def test_they_are_answered_as_one_by_one(self, model, turns) -> None:
        audio = tone(2500) + silence(5700) + tone(480) + silence(700) + tone(900) + silence(2600) + tone(1100)
        answers = []
        for chunk_ms in (50, 10, 400, 30_000):
            talk = Talk(transcripts=["I said that a long time ago, and then", "no.", "Yes?", "It is done."])
            talk.send(update(model, turn_detection=turns))
            answers.append(talk.speak(audio, chunk_ms=chunk_ms) + talk.send(COMMIT))
        assert len(answers[0]) > 5
        assert all(answer == answers[0] for answer in answers[1:])


class TestManualCommit:
    def test_the_order_is_that_of_vad_without_speech_events(self) -> None:
        talk = ready(transcripts=["Hello there."])
        assert talk.speak(SPEECH) == []
        assert types(talk.send(COMMIT)) == [*ITEM, *[DELTA] * 3, COMPLETED]

    def test_silence_gets_an_empty_transcript_and_uses_up_no_script(self) -> None:
        talk = ready(transcripts=["Hello there."])
        talk.speak(silence(300))
        events = talk.send(COMMIT)
        assert types(events) == [*ITEM, COMPLETED]
        assert events[-1]["transcript"] == ""
        talk.speak(tone(300))
        assert talk.send(COMMIT)[-1]["transcript"] == "Hello there."

    @pytest.mark.parametrize(("ms", "shown"), [(0, "0.00"), (99.5, "99.50"), (50, "50.00")])
    def test_less_than_100_ms_is_refused(self, ms: float, shown: str) -> None:
        talk = ready()
        talk.speak(tone(ms))
        (error,) = talk.send({**COMMIT, "event_id": "c1"})
        assert error["error"] == {
            "type": "invalid_request_error",
            "code": "input_audio_buffer_commit_empty",
            "message": "Error committing input audio buffer: buffer too small. Expected at least 100ms of audio, "
            f"but buffer only has {shown}ms of audio.",
            "param": None,
            "event_id": "c1",
        }
        assert talk.close is None

    def test_a_commit_empties_the_buffer(self) -> None:
        talk = ready()
        talk.speak(tone(200))
        talk.send(COMMIT)
        assert types(talk.send(COMMIT)) == ["error"]

    def test_under_turn_detection_a_commit_without_speech_is_empty(self) -> None:
        talk = ready(turns=True)
        assert types(talk.speak(SPEECH))[-1] == COMPLETED
        talk.speak(silence(400))
        (error,) = talk.send(COMMIT)
        assert error["error"]["code"] == "input_audio_buffer_commit_empty"
        assert error["error"]["message"].endswith("but buffer only has 0.00ms of audio.")
        assert types(talk.speak(SPEECH))[-1] == COMPLETED

    def test_it_makes_an_item_where_the_server_is_lenient(self) -> None:
        talk = ready(turns=True, lenient_commit=True)
        talk.speak(SPEECH + silence(400))
        events = talk.send(COMMIT)
        assert types(events) == [*ITEM, COMPLETED]
        assert events[-1]["transcript"] == ""

    def test_clear_empties_the_buffer(self) -> None:
        talk = ready()
        talk.speak(tone(200))
        assert types(talk.send({"type": "input_audio_buffer.clear"})) == ["input_audio_buffer.cleared"]
        assert types(talk.send(COMMIT)) == ["error"]

    def test_clear_discards_the_turn_under_way(self) -> None:
        talk = ready(turns=True)
        talk.speak(tone(200))
        talk.send({"type": "input_audio_buffer.clear"})
        assert talk.speak(silence(500)) == []


class TestModels:
    def test_whisper_sends_one_delta(self) -> None:
        talk = ready("whisper-1", transcripts=["Hello there, world."])
        talk.speak(tone(1500))
        events = talk.send(COMMIT)[3:]
        assert types(events) == [DELTA, COMPLETED]
        assert events[0]["delta"] == "Hello there, world."
        assert events[1]["usage"] == {"type": "duration", "seconds": 2}

    @pytest.mark.parametrize("model", ["gpt-4o-transcribe", "gpt-4o-mini-transcribe"])
    def test_usage_is_ten_audio_tokens_a_second(self, model: str) -> None:
        talk = ready(model, transcripts=["Hello from the Gateway Probe."])
        talk.speak(tone(1600))
        assert talk.send(COMMIT)[-1]["usage"] == {
            "type": "tokens",
            "total_tokens": 24,
            "input_tokens": 16,
            "input_token_details": {"text_tokens": 0, "audio_tokens": 16},
            "output_tokens": 8,
        }

    def test_usage_counts_the_padding_and_the_silence_of_a_turn(self) -> None:
        events = ready("whisper-1", turns=True).speak(silence(500) + tone(1600) + silence(300))
        assert events[-1]["usage"] == {"type": "duration", "seconds": 3}  # 300 + 1600 + 200 ms

    @pytest.mark.parametrize("model", ["gpt-live-transcribe", "gpt-realtime-whisper"])
    def test_streaming_models_send_deltas_before_the_commit(self, model: str) -> None:
        talk = ready(model, transcripts=["One two three four five."])
        early = talk.speak(silence(300) + tone(1600))
        assert early
        assert set(types(early)) == {DELTA}
        late = talk.send(COMMIT)
        assert types(late)[:3] == ITEM
        assert set(types(late)[3:-1]) == {DELTA}
        assert late[-1]["type"] == COMPLETED
        deltas = [event for event in early + late if event["type"] == DELTA]
        assert "".join(event["delta"] for event in deltas) == "One two three four five."
        assert {event["item_id"] for event in deltas} == {late[0]["item_id"]}

    def test_a_streaming_model_waits_longer_with_a_longer_delay(self) -> None:
        first = {}
        for delay in ["minimal", "low", "medium", "high", "xhigh"]:
            talk = Talk()
            talk.send(
                update(None, transcription={"model": "gpt-realtime-whisper", "delay": delay}, turn_detection=None)
            )
            first[delay] = next(ms for ms in range(50, 3000, 50) if talk.speak(tone(50)))
        assert list(first.values()) == sorted(set(first.values()))

    def test_gpt_realtime_whisper_counts_no_tokens(self) -> None:
        talk = ready("gpt-realtime-whisper")
        talk.speak(tone(300))
        usage = talk.send(COMMIT)[-1]["usage"]
        assert (usage["type"], usage["total_tokens"], usage["input_tokens"]) == ("tokens", 0, 0)

    def test_gpt_transcribe_reports_languages(self) -> None:
        talk = ready("gpt-transcribe", transcripts=["Hallo", Transcript("Salut hello", languages=["fr", "en"])])
        talk.speak(tone(300))
        assert talk.send(COMMIT)[-1]["languages"] == [{"code": "en"}]
        talk.speak(tone(300))
        assert talk.send(COMMIT)[-1]["languages"] == [{"code": "fr"}, {"code": "en"}]

    def test_diarized_segments_come_before_completed(self) -> None:
        segments = [Segment("Hi.", "A", 0.0, 0.5), Segment("Hello.", "B", 0.5, 1.0)]
        talk = ready("gpt-4o-transcribe-diarize", transcripts=[Transcript("Hi. Hello.", segments=segments)])
        talk.speak(tone(1000))
        events = talk.send(COMMIT)
        assert types(events)[-3:] == [SEGMENT, SEGMENT, COMPLETED]
        assert [(event["speaker"], event["text"], event["start"], event["end"]) for event in events[-3:-1]] == [
            ("A", "Hi.", 0.0, 0.5),
            ("B", "Hello.", 0.5, 1.0),
        ]

    def test_without_a_script_there_is_one_speaker(self) -> None:
        talk = ready("gpt-4o-transcribe-diarize", transcripts=["Hi. Hello."])
        talk.speak(tone(1500))
        segment, completed = talk.send(COMMIT)[-2:]
        assert (segment["type"], segment["item_id"]) == (SEGMENT, completed["item_id"])
        assert [segment[name] for name in ("text", "speaker", "start", "end")] == ["Hi. Hello.", "A", 0.0, 1.5]
        talk.speak(silence(500))
        assert SEGMENT not in types(talk.send(COMMIT))

    def test_logprobs_come_only_when_included(self) -> None:
        talk = ready(transcripts=["Hi you", "Hi you"])
        talk.speak(tone(300))
        assert all("logprobs" not in event for event in talk.send(COMMIT))
        include = {"type": "transcription", "include": ["item.input_audio_transcription.logprobs"]}
        (updated,) = talk.send({"type": "session.update", "session": include})
        assert updated["session"]["include"] == ["item.input_audio_transcription.logprobs"]
        talk.speak(tone(300))
        first, second, completed = talk.send(COMMIT)[3:]
        assert first["logprobs"] == [{"token": "Hi", "logprob": -0.01, "bytes": [72, 105]}]
        assert completed["logprobs"] == first["logprobs"] + second["logprobs"]

    def test_gpt_live_transcribe_completes_without_logprobs(self) -> None:
        talk = Talk(transcripts=["Hi you"])
        event = update("gpt-live-transcribe")
        event["session"]["include"] = ["item.input_audio_transcription.logprobs"]
        talk.send(event)
        talk.speak(tone(300))
        assert "logprobs" not in talk.send(COMMIT)[-1]


class TestScripts:
    def test_texts_are_used_in_order_and_then_the_default(self) -> None:
        talk = ready(transcripts=["One", "Two"])
        transcripts = []
        for _ in range(3):
            talk.speak(tone(200))
            transcripts.append(talk.send(COMMIT)[-1]["transcript"])
        assert transcripts == ["One", "Two", "Hello from the mock."]
        assert talk.record.transcripts == transcripts

    def test_deltas_can_be_given(self) -> None:
        talk = ready(transcripts=[Transcript(deltas=["Hel", "lo"])])
        talk.speak(tone(200))
        events = talk.send(COMMIT)[3:]
        assert [event.get("delta") or event["transcript"] for event in events] == ["Hel", "lo", "Hello"]

    def test_a_failure_fails_the_item_and_not_the_session(self) -> None:
        talk = ready(transcripts=[Failure(), "Fine"])
        talk.speak(tone(200))
        events = talk.send(COMMIT)
        assert types(events) == [*ITEM, FAILED]
        item_id = events[0]["item_id"]
        assert events[-1]["error"] == {
            "type": "server_error",
            "code": None,
            "message": f"Input transcription failed for item '{item_id}'.",
            "param": None,
        }
        talk.speak(tone(200))
        assert talk.send(COMMIT)[-1]["transcript"] == "Fine"

    def test_a_failure_of_a_streaming_model_sends_no_deltas(self) -> None:
        talk = ready("gpt-live-transcribe", transcripts=[Failure()])
        assert talk.speak(tone(2000)) == []
        assert types(talk.send(COMMIT)) == [*ITEM, FAILED]

    def test_conditions_choose(self) -> None:
        answers = [
            Transcript("for whisper", model="whisper-1"),
            Transcript("in German", language="de"),
            Transcript("second connection", connection=2),
            "anything",
        ]
        talk = Talk(transcripts=answers)
        talk.send(update(None, transcription={"model": "gpt-4o-transcribe", "language": "de"}, turn_detection=None))
        transcripts = []
        for _ in range(2):
            talk.speak(tone(200))
            transcripts.append(talk.send(COMMIT)[-1]["transcript"])
        assert transcripts == ["in German", "anything"]
        assert [unused.text for unused in talk.cursor.unused] == ["for whisper", "second connection"]

    def test_something_else_is_refused_by_name(self) -> None:
        with pytest.raises(TypeError, match=r"a transcript is a str, a Transcript or a Failure, not int: 7"):
            Talk(transcripts=[7])


class TestTime:
    def test_captured_latencies(self) -> None:
        talk = Talk(latency="capture", transcripts=["One two"])
        assert types(talk.opening) == ["session.created"]
        assert talk.send(update(turn_detection=None)) == []
        assert types(talk.wait(0.256)) == ["session.updated"]
        talk.speak(tone(300))
        assert talk.send(COMMIT) == []
        assert types(talk.wait(0.261)) == ITEM
        assert talk.wait(0.92) == []
        assert types(talk.wait(0.01)) == [DELTA]
        assert types(talk.wait(0.22)) == [DELTA, COMPLETED]

    @pytest.mark.parametrize(
        ("delay", "first_ms"), [("minimal", 460), ("low", 1010), ("medium", 1370), ("high", 1730), ("xhigh", 2100)]
    )
    def test_measured_latencies_of_a_streaming_model_depend_on_its_delay(self, delay: str, first_ms: int) -> None:
        talk = Talk(latency="capture", transcripts=["One two three"])
        talk.send(update(None, transcription={"model": "gpt-realtime-whisper", "delay": delay}))
        talk.wait(0.256)
        assert talk.speak(tone(first_ms - 10), chunk_ms=10) == []
        assert types(talk.speak(tone(20), chunk_ms=10)) == [DELTA]

    @pytest.mark.parametrize(("model", "seconds"), [("gpt-realtime-whisper", 0.572), ("gpt-live-transcribe", 0.698)])
    def test_measured_latencies_after_the_commit_depend_on_the_model(self, model: str, seconds: float) -> None:
        talk = Talk(latency="capture", transcripts=["One two"])
        talk.send(update(model))
        talk.wait(0.256)
        talk.speak(tone(300))
        assert talk.send(COMMIT) == []
        assert types(talk.wait(0.15)) == ITEM
        assert COMPLETED not in types(talk.wait(seconds - 0.16))
        assert types(talk.wait(0.02))[-1] == COMPLETED

    def test_completed_of_several_items_can_be_out_of_order(self) -> None:
        talk = ready(transcripts=[Transcript("slow", delay=2), "fast"])
        for _ in range(2):
            talk.speak(tone(200))
            talk.send(COMMIT)
        assert talk.record.transcripts == ["fast"]
        talk.wait(2.0)
        assert talk.record.transcripts == ["fast", "slow"]

    def test_pace_sets_the_time_between_deltas(self) -> None:
        talk = ready(transcripts=[Transcript("One two three", pace=0.5)])
        talk.speak(tone(200))
        assert types(talk.send(COMMIT)) == [*ITEM, DELTA]
        assert types(talk.wait(0.5)) == [DELTA]
        assert types(talk.wait(0.5)) == [DELTA, COMPLETED]

    def test_a_session_ends_after_60_minutes(self) -> None:
        talk = Talk()
        assert talk.wait(3599) == []
        assert talk.close is None
        assert talk.wait(1) == []
        assert talk.close == (1001, "Your session hit the maximum duration of 60 minutes.")

    def test_an_error_can_come_before_that_close(self) -> None:
        talk = Talk(max_duration=60, expiry_event=True)
        (error,) = talk.wait(60)
        assert error["error"]["code"] == "session_expired"
        assert error["error"]["message"] == "Your session hit the maximum duration of 60 minutes."
        assert talk.close is not None

    def test_no_event_overtakes_another_of_its_session(self) -> None:
        talk = Talk(latency="capture")
        talk.send(update())
        talk.send({"type": "input_audio_buffer.clear"})
        assert types(talk.wait(0.3)) == ["session.updated", "input_audio_buffer.cleared"]


class TestItems:
    def test_a_committed_item_can_be_retrieved_with_its_transcript_and_deleted(self) -> None:
        talk = ready(transcripts=["Hello"])
        talk.speak(tone(200))
        item_id = talk.send(COMMIT)[0]["item_id"]
        (retrieved,) = talk.send({"type": "conversation.item.retrieve", "item_id": item_id})
        assert retrieved["item"]["content"] == [{"type": "input_audio", "transcript": "Hello"}]
        (deleted,) = talk.send({"type": "conversation.item.delete", "item_id": item_id})
        assert deleted["item_id"] == item_id
        (error,) = talk.send({"type": "conversation.item.delete", "item_id": item_id})
        assert error["error"]["code"] == "item_delete_invalid_item_id"

    def test_responses_belong_to_conversations(self) -> None:
        assert types(Talk().send({"type": "response.create"})) == ["error"]
        talk = Talk("/v1/realtime?model=gpt-realtime")
        events = talk.send({"type": "response.create"})
        assert types(events)[0] == "response.created"
        assert types(events)[-2:] == ["response.done", "rate_limits.updated"]
        assert events[-2]["response"]["output"][0]["content"][0]["text"] == "Hello from the mock."
        assert types(talk.send({"type": "response.cancel"})) == ["error"]

    def test_a_client_can_add_an_item(self) -> None:
        talk = Talk("/v1/realtime?model=gpt-realtime")
        item = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Hi"}]}
        events = talk.send({"type": "conversation.item.create", "item": item})
        assert types(events) == ["conversation.item.added", "conversation.item.done"]
        item_id = events[0]["item"]["id"]
        truncate = {"type": "conversation.item.truncate", "item_id": item_id, "content_index": 0, "audio_end_ms": 10}
        assert types(talk.send(truncate)) == ["conversation.item.truncated"]
        assert types(talk.send({"type": "conversation.item.create", "item": 5})) == ["error"]
        (error,) = talk.send({"type": "conversation.item.create", "item": {**item, "id": 5}})
        assert (error["error"]["code"], error["error"]["param"]) == ("invalid_type", "item.id")

    def test_a_conversation_transcribes_its_audio_too(self) -> None:
        talk = Talk("/v1/realtime?model=gpt-realtime", transcripts=["Hello"])
        session = {"type": "realtime", "audio": {"input": {"transcription": {"model": "whisper-1"}}}}
        assert types(talk.send({"type": "session.update", "session": session})) == ["session.updated"]
        assert types(talk.speak(SPEECH))[-1] == COMPLETED
        assert talk.record.transcripts == ["Hello"]


def test_the_same_seed_gives_the_same_bytes() -> None:
    def run() -> list:
        talk = ready(turns=True)
        return talk.opening + talk.speak(SPEECH)

    assert run() == run()


def test_session_close_closes() -> None:
    talk = Talk()
    assert talk.send({"type": "session.close"}) == []
    assert talk.close == (1000, "")


class TestWhichAnswer:
    """A script's conditions: the first transcript whose conditions all hold is used up."""

    def transcribed(self, *transcripts: Transcript, items: int = 2, number: int = 1, **options) -> list[str]:
        talk = Talk(transcripts=transcripts, number=number)
        talk.send(update(turn_detection=None, **options))
        for _ in range(items):
            talk.speak(tone(200))
            talk.send({"type": "input_audio_buffer.commit"})
        return talk.record.transcripts

    def test_by_item(self) -> None:
        assert self.transcribed(Transcript("second", item=2), Transcript("first")) == ["first", "second"]
        assert self.transcribed(Transcript("third", item=3)) == ["Hello from the mock."] * 2
        assert self.transcribed(Transcript("third", item=3), items=3)[-1] == "third"

    def test_by_connection(self) -> None:
        only_second = Transcript("second", connection=2), Transcript("any")
        assert self.transcribed(*only_second, number=1) == ["any", "Hello from the mock."]
        assert self.transcribed(*only_second, number=2) == ["second", "any"]

    def test_by_model_and_language(self) -> None:
        german = Transcript("Hallo.", model="whisper-1", language="de")
        model = {"model": "whisper-1", "language": "de"}
        assert self.transcribed(german, transcription=model, items=1) == ["Hallo."]
        assert self.transcribed(german, transcription={**model, "language": "en"}, items=1) == ["Hello from the mock."]
        assert self.transcribed(german, transcription={**model, "model": "gpt-4o-transcribe"}, items=1) != ["Hallo."]

    def test_an_empty_one_has_no_deltas(self) -> None:
        assert self.transcribed(Transcript(""), items=1) == [""]
