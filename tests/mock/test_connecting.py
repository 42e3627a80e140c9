"""Which handshakes are accepted and how the others are refused: PROTOCOL.md, sections 1 and 2, row by row."""

from typing import Any

import pytest
from talk import KEY, Talk, admission, append, silence, types, update

from rtstt_testkit import Script
from rtstt_testkit.mock.protocol.admission import Admission, HttpRefusal, admit
from rtstt_testkit.mock.protocol.handshake import Request
from rtstt_testkit.mock.protocol.ids import Ids
from rtstt_testkit.mock.protocol.secret_store import SecretStore

REALTIME = "/v1/realtime"
TRANSCRIPTION = "/v1/realtime?intent=transcription"
IN_REALTIME_MODE = (
    'Model "{}" is a transcription model and cannot be used as the realtime session model. Use a realtime model for '
    "the session model. Pass this transcription model as audio.input.transcription.model instead."
)
NOT_TOGETHER = "You must not provide a model parameter for transcription sessions."


def refusal(talk: Talk) -> tuple[str | None, str]:
    (event,) = talk.opening
    assert event["type"] == "error"
    assert event["error"]["type"] == "invalid_request_error"
    assert event["error"]["param"] is None
    assert event["error"]["event_id"] is None
    assert talk.record.refusal is not None
    assert talk.session.next_due is None
    return event["error"]["code"], event["error"]["message"]


@pytest.mark.parametrize(
    ("target", "message"),
    [
        (f"{TRANSCRIPTION}&model={model}", f'Model "{model}" is not supported in transcription mode.')
        for model in ["gpt-4o-mini-transcribe", "gpt-4o-transcribe", "whisper-1", "gpt-live-transcribe", "gpt-nope"]
    ]
    + [
        (f"{TRANSCRIPTION}&model={model}", NOT_TOGETHER)
        for model in ["gpt-realtime", "gpt-4o-realtime-preview", "gpt-realtime-whisper", ""]
    ]
    + [
        (f"{REALTIME}?model={model}", IN_REALTIME_MODE.format(model))
        for model in ["gpt-4o-mini-transcribe", "whisper-1", "gpt-realtime-whisper"]
    ]
    + [(f"{REALTIME}?model=gpt-nope", 'Model "gpt-nope" is not supported in realtime mode.')],
)
def test_a_model_in_the_wrong_place_is_refused_with_4000(target: str, message: str) -> None:
    talk = Talk(target)
    assert refusal(talk) == ("invalid_model", message)
    assert talk.close == (4000, "invalid_request_error.invalid_model")


def test_a_bare_url_needs_a_model() -> None:
    talk = Talk(REALTIME)
    assert refusal(talk) == (
        "missing_model",
        "You must provide a model parameter, for example wss://api.openai.com/v1/realtime?model=gpt-realtime-1.5",
    )
    assert talk.close == (4000, "invalid_request_error.missing_model")


@pytest.mark.parametrize("intent", ["transcription", "Transcription", "TRANSCRIPTION"])
def test_intent_alone_opens_a_transcription_session(intent: str) -> None:
    talk = Talk(f"{REALTIME}?intent={intent}")
    assert types(talk.opening) == ["session.created"]
    assert talk.record.kind == "transcription"


def test_an_ephemeral_key_opens_a_transcription_session_on_the_bare_url() -> None:
    talk = Talk(REALTIME, key="ek_68a1b2c3d4")
    assert types(talk.opening) == ["session.created"]
    assert talk.opening[0]["session"]["type"] == "transcription"


def test_an_ephemeral_key_with_a_model_is_refused_like_intent_with_a_model() -> None:
    assert refusal(Talk(f"{REALTIME}?model=whisper-1", key="ek_68a1b2c3d4"))[1] == (
        'Model "whisper-1" is not supported in transcription mode.'
    )


def test_a_realtime_model_opens_a_conversation() -> None:
    talk = Talk(f"{REALTIME}?model=gpt-realtime")
    assert types(talk.opening) == ["session.created"]
    assert talk.opening[0]["session"]["model"] == "gpt-realtime"
    update_ = {"type": "session.update", "session": {"type": "realtime", "instructions": "Be brief."}}
    (updated,) = talk.send(update_)
    assert (updated["type"], updated["session"]["instructions"]) == ("session.updated", "Be brief.")


def test_without_a_key_it_closes_3000() -> None:
    talk = Talk(TRANSCRIPTION, key=None)
    assert refusal(talk) == (None, "Missing bearer or basic authentication in header")
    assert talk.close == (3000, "invalid_request_error")


@pytest.mark.parametrize(
    "key", ["sk-proj-bad" + "x" * 30 + "ueba", "sk-INVALID" + "x" * 30 + "ueba", "x" * 30 + "ueba"]
)
def test_a_wrong_key_closes_3000_and_is_shown_masked(key: str) -> None:
    talk = Talk(TRANSCRIPTION, key=key)
    code, message = refusal(talk)
    assert code == "invalid_api_key"
    assert message.startswith("Incorrect API key provided: ")
    assert message.endswith("*ueba. You can find your API key at https://platform.openai.com/account/api-keys.")
    assert key not in message
    assert talk.close == (3000, "invalid_request_error.invalid_api_key")


def test_the_beta_header_is_fatal() -> None:
    talk = Talk(TRANSCRIPTION, ("OpenAI-Beta", "realtime=v1"))
    assert refusal(talk) == (
        "beta_api_shape_disabled",
        "The Realtime Beta API is no longer supported. Please use /v1/realtime for the GA API.",
    )
    assert talk.close == (4000, "invalid_request_error.beta_api_shape_disabled")


@pytest.mark.parametrize("header", [(), (("OpenAI-Beta", "realtime=v1"),)], ids=["alone", "with the header"])
def test_the_beta_subprotocol_is_fatal(header: tuple[tuple[str, str], ...]) -> None:
    offered = ("Sec-WebSocket-Protocol", f"realtime, openai-insecure-api-key.{KEY}, openai-beta.realtime-v1")
    talk = Talk(TRANSCRIPTION, offered, *header, key=None)
    assert refusal(talk)[0] == "beta_api_shape_disabled"
    assert talk.close == (4000, "invalid_request_error.beta_api_shape_disabled")


@pytest.mark.parametrize("target", [f"{REALTIME}?model=gpt-realtime", TRANSCRIPTION])
def test_a_refused_session_is_recorded_as_the_kind_that_the_client_asked_for(target: str) -> None:
    kind = "transcription" if target == TRANSCRIPTION else "realtime"
    assert Talk(target, key="sk-bad").record.kind == kind
    assert Talk(target, ("OpenAI-Beta", "realtime=v1")).record.kind == kind


class TestAccount:
    """The account has no credit, no quota or not the model: refused after a good handshake."""

    @pytest.mark.parametrize("target", [f"{REALTIME}?model=gpt-realtime", TRANSCRIPTION])
    @pytest.mark.parametrize(
        ("account", "type_", "code", "close", "message"),
        [
            (
                "no-credit",
                "insufficient_quota",
                "credit_balance_exhausted",
                1013,
                "You have no credits remaining. Add credits to continue using the API at "
                "https://platform.openai.com/settings/organization/billing/.",
            ),
            (
                "quota",
                "insufficient_quota",
                "insufficient_quota",
                1013,
                "You exceeded your current quota, please check your plan and billing details.",
            ),
            (
                "spend-limit",
                "insufficient_quota",
                "organization_spend_limit_exceeded",
                1013,
                "Your organization has reached its configured enforced spend limit.",
            ),
            (
                "no-model",
                "invalid_request_error",
                "model_not_found",
                4004,
                "The model does not exist or you do not have access to it.",
            ),
        ],
    )
    def test_the_session_is_refused(
        self, target: str, account: Any, type_: str, code: str, close: int, message: str
    ) -> None:
        for talk in (Talk(target, account=account), Talk(target, script=Script(account=account))):
            (event,) = talk.opening
            assert event["error"] == {"type": type_, "code": code, "message": message, "param": None, "event_id": None}
            assert talk.close == (close, f"{type_}.{code}")

    def test_a_refusal_of_the_handshake_comes_first(self) -> None:
        assert Talk(TRANSCRIPTION, key="sk-bad", account="no-credit").close[0] == 3000
        assert Talk(f"{TRANSCRIPTION}&model=whisper-1", account="no-credit").close[0] == 4000


def test_a_key_in_the_subprotocols_is_as_good_as_a_header() -> None:
    offered = ("Sec-WebSocket-Protocol", f"realtime, openai-insecure-api-key.{KEY}")
    assert types(Talk(TRANSCRIPTION, offered, key=None).opening) == ["session.created"]


def test_the_header_of_azure_is_no_key_here() -> None:
    talk = Talk(TRANSCRIPTION, ("api-key", KEY), key=None)
    assert refusal(talk) == (None, "Missing bearer or basic authentication in header")


def test_after_the_refusal_nothing_is_answered() -> None:
    talk = Talk(f"{TRANSCRIPTION}&model=whisper-1")
    assert talk.send(update()) == []


@pytest.mark.parametrize("path", ["/v1/realtimes", "/v1", "/", "/v1/realtime/translations", "/realtime"])
def test_a_wrong_path_is_refused_with_http_403(path: str) -> None:
    answer = admission(f"{path}?intent=transcription")
    assert isinstance(answer, HttpRefusal)
    assert answer.status == 403


class TestOnUpdate:
    """livekit/agents-js#1756: the session is created, and the refusal comes directly after the update."""

    def test_the_session_is_created_and_the_update_is_refused(self) -> None:
        talk = Talk(f"{TRANSCRIPTION}&model=gpt-4o-mini-transcribe", refuse="on-update")
        assert types(talk.opening) == ["session.created"]
        assert talk.send(append(silence(50))) == []
        (error,) = talk.send({**update(), "event_id": "mine"})
        assert error["error"] == {
            "type": "invalid_request_error",
            "code": "invalid_model",
            "message": 'Model "gpt-4o-mini-transcribe" is not supported in transcription mode.',
            "param": None,
            "event_id": "mine",
        }
        assert talk.close == (4000, "invalid_request_error.invalid_model")

    def test_the_other_refusals_still_come_at_once(self) -> None:
        assert Talk(f"{REALTIME}?model=whisper-1", refuse="on-update").close is not None
        assert Talk(TRANSCRIPTION, key=None, refuse="on-update").close is not None

    def test_a_correct_url_is_not_touched_by_it(self) -> None:
        talk = Talk(TRANSCRIPTION, refuse="on-update")
        assert types(talk.send(update())) == ["session.updated"]


class TestGateway:
    def test_it_takes_a_model_with_intent(self) -> None:
        talk = Talk(f"{TRANSCRIPTION}&model=whisper-1", profile="gateway")
        assert types(talk.opening) == ["session.created"]
        assert types(talk.send(update("our-own-whisper"))) == ["session.updated"]

    def test_it_tells_a_transcription_model_from_a_realtime_one(self) -> None:
        assert Talk(f"{REALTIME}?model=whisper-1", profile="gateway").record.kind == "transcription"
        assert Talk(f"{REALTIME}?model=gpt-realtime", profile="gateway").record.kind == "realtime"

    @pytest.mark.parametrize(
        ("target", "key", "status"),
        [
            (TRANSCRIPTION, KEY, 403),
            (f"{TRANSCRIPTION}&model=", KEY, 403),
            (f"{TRANSCRIPTION}&model=whisper-1", None, 401),
            (f"{TRANSCRIPTION}&model=whisper-1", "sk-bad", 401),
            ("/v1/chat?model=whisper-1", KEY, 403),
        ],
    )
    def test_it_refuses_before_the_upgrade(self, target: str, key: str | None, status: int) -> None:
        answer = admission(target, profile="gateway", key=key)
        assert isinstance(answer, HttpRefusal)
        assert answer.status == status

    def test_any_key_does(self) -> None:
        assert not isinstance(admission(f"{TRANSCRIPTION}&model=m", profile="gateway", key="hunter2"), HttpRefusal)


class TestAzure:
    @pytest.mark.parametrize(
        ("query", "kind"),
        [("intent=transcription", "transcription"), ("model=mine", "realtime"), ("deployment=mine", "realtime")],
    )
    def test_a_deployment_opens_a_conversation_and_the_intent_a_transcription_session(
        self, query: str, kind: str
    ) -> None:
        answer = admission(f"/openai/v1/realtime?{query}", ("api-key", "0123456789abcdef"), profile="azure", key=None)
        assert not isinstance(answer, HttpRefusal)
        assert answer.kind == kind
        assert answer.refusal is None

    @pytest.mark.parametrize(
        ("target", "key", "status", "code"),
        [
            ("/openai/v1/realtime", KEY, 400, "OperationNotSupported"),
            ("/openai/v1/realtime?model=d&intent=transcription", KEY, 400, "OperationNotSupported"),
            ("/openai/v1/realtime?deployment=d&intent=transcription", KEY, 400, "OperationNotSupported"),
            ("/openai/v1/realtime?intent=transcription", None, 401, "401"),
            ("/openai/v1/realtime?intent=transcription", "bad", 401, "401"),
            ("/openai/v1/realtime?model=missing", KEY, 404, "DeploymentNotFound"),
            ("/openai/v1/realtime?model=gpt-realtime-whisper", KEY, 400, "OpperationNotSupported"),
            ("/openai/v1/realtime?deployment=gpt-4o-transcribe", KEY, 400, "OpperationNotSupported"),
            ("/openai/v1/chat", KEY, 404, "404"),
            ("/openai/realtime?intent=transcription", None, 401, "401"),
            ("/openai/realtime?intent=transcription", KEY, 401, "Unauthorized"),
            ("/openai/realtime?intent=transcription&deployment=d", "0" * 32, 401, "Unauthorized"),
            ("/openai/realtime?intent=transcription", "ek_" + "a" * 21, 501, "preview_not_supported"),
            ("/openai/realtime?deployment=d", KEY, 501, "preview_not_supported"),
        ],
    )
    def test_it_refuses_before_the_upgrade(self, target: str, key: str | None, status: int, code: str) -> None:
        answer = admission(target, profile="azure", key=key)
        assert isinstance(answer, HttpRefusal)
        assert (answer.status, answer.code) == (status, code)

    def test_a_refusal_has_azures_form(self) -> None:
        target = "/openai/realtime?intent=transcription"
        assert admission(target, ("api-key", "0" * 32), profile="azure", key=None).body == {
            "error": {"code": "Unauthorized", "message": "This operation requires ephemeral authentication."}
        }

    @pytest.mark.parametrize("header", ["Authorization", "api-key"])
    def test_an_ephemeral_credential_is_refused_once_it_has_expired(self, header: str) -> None:
        now = 0.0
        secrets = SecretStore(Ids(1), lambda: now)
        made = secrets.create({"session": {"type": "transcription"}})
        assert isinstance(made, dict)
        value = made["value"] if header == "api-key" else f"Bearer {made['value']}"
        request = Request("/openai/v1/realtime?intent=transcription", [(header, value)])
        assert isinstance(admit(request, "azure", "at-connect", secrets), Admission)
        now = 601.0
        refused = admit(request, "azure", "at-connect", secrets)
        assert isinstance(refused, HttpRefusal)
        assert (refused.status, refused.code) == (401, "401")

    def test_the_text_of_its_400_is_azures(self) -> None:
        assert admission("/openai/v1/realtime", profile="azure").message == (
            "This operation requires either deployment=<deployment-id> or intent=transcription present on the "
            "querystring."
        )

    def test_the_preview_is_refused_with_a_sentence(self) -> None:
        answer = admission("/openai/realtime?api-version=2025-04-01-preview&deployment=mine", profile="azure")
        assert (answer.status, answer.message) == (
            501,
            "The mock does not speak the beta protocol of Azure's preview API; connect to /openai/v1/realtime.",
        )


class TestSecrets:
    def test_no_key_is_kept_in_the_record(self) -> None:
        record = Request(
            f"/v1/realtime?intent=transcription&api_key={KEY}&model=whisper-1",
            [
                ("Authorization", f"Bearer {KEY}"),
                ("api-key", KEY),
                ("Sec-WebSocket-Protocol", f"realtime, openai-insecure-api-key.{KEY}"),
                ("Accept-Language", "a"),
                ("accept-language", "b"),
                ("X-Of-Some-Gateway", "abc"),
            ],
        ).record()
        assert KEY not in repr(record)
        assert record.headers["authorization"] == "Bearer sk-proj-" + "*" * 40 + "ueba"
        assert record.subprotocols == ["realtime", "openai-insecure-api-key.sk-proj-" + "*" * 40 + "ueba"]
        assert record.query["model"] == ["whisper-1"]
        assert record.headers["accept-language"] == "a, b"
        assert record.headers["x-of-some-gateway"] == "***"

    def test_a_short_key_shows_nothing(self) -> None:
        from rtstt_core.masking import mask_secret

        assert mask_secret("sk-abcdefgh") == "sk-********"
        assert mask_secret("hunter2") == "*******"

    def test_a_very_long_key_is_not_echoed_at_length(self) -> None:
        from rtstt_core.masking import mask_secret

        assert len(mask_secret("sk-" + "x" * 100_000)) < 80
