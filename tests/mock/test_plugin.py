"""The pytest plugin, run in projects of its own."""

import pytest

pytest_plugins = ["pytester"]

TALK = """
import json
from websockets.sync.client import connect

def opening(server, query="?intent=transcription"):
    with connect(server.url + query, additional_headers={"Authorization": "Bearer sk-proj-" + "a" * 40}) as client:
        return json.loads(client.recv())
"""


def run(pytester: pytest.Pytester, test: str, *arguments: str) -> pytest.RunResult:
    pytester.makepyfile(talk_here=TALK, test_it=test)
    return pytester.runpytest_subprocess("-p", "no:cacheprovider", *arguments)


def test_the_fixture_is_a_running_server(pytester: pytest.Pytester) -> None:
    result = run(
        pytester,
        """
        from talk_here import opening

        def test_it(realtime_server):
            assert opening(realtime_server)["type"] == "session.created"
            assert len(realtime_server.sessions) == 1

        def test_another_has_its_own(realtime_server):
            assert realtime_server.sessions == []
        """,
    )
    result.assert_outcomes(passed=2)


def test_the_marker_gives_the_arguments(pytester: pytest.Pytester) -> None:
    result = run(
        pytester,
        """
        import pytest
        from talk_here import opening

        @pytest.mark.realtime_server(profile="gateway", transcripts=["Hello"], strict=False)
        def test_it(realtime_server):
            assert opening(realtime_server, "?intent=transcription&model=m")["type"] == "session.created"
            assert [left.text for left in realtime_server.director.left] == ["Hello"]
        """,
        "--strict-markers",
    )
    result.assert_outcomes(passed=1)


def test_positional_arguments_are_refused_with_a_sentence(pytester: pytest.Pytester) -> None:
    result = run(
        pytester,
        """
        import pytest

        @pytest.mark.realtime_server(["Hello"])
        def test_it(realtime_server): pass
        """,
    )
    result.stdout.fnmatch_lines(
        ["*realtime_server takes keyword arguments only, such as transcripts=*; it was given*Hello*"]
    )


def test_the_factory_makes_several(pytester: pytest.Pytester) -> None:
    result = run(
        pytester,
        """
        from talk_here import opening

        def test_it(realtime_server_factory):
            one, two = realtime_server_factory(), realtime_server_factory(profile="gateway")
            assert one.port != two.port
            assert opening(one)["type"] == "session.created"
            assert two.sessions == []
        """,
    )
    result.assert_outcomes(passed=1)


def test_nothing_is_imported_before_a_fixture_is_used(pytester: pytest.Pytester) -> None:
    result = run(
        pytester,
        """
        import sys

        def test_it():
            assert "rtstt_testkit.pytest_plugin" in sys.modules
            loaded = {"rtstt_shim", "websockets", "rtstt_testkit.mock.server"} & set(sys.modules)
            assert not loaded, loaded
        """,
    )
    result.assert_outcomes(passed=1)


def test_it_serves_asynchronous_tests_of_any_framework(pytester: pytest.Pytester) -> None:
    result = run(
        pytester,
        """
        import json
        import pytest
        from websockets.asyncio.client import connect

        @pytest.fixture
        def anyio_backend():
            return "asyncio"

        @pytest.mark.anyio
        async def test_it(realtime_server):
            headers = {"Authorization": "Bearer sk-proj-" + "a" * 40}
            async with connect(realtime_server.url + "?intent=transcription", additional_headers=headers) as client:
                assert json.loads(await client.recv())["type"] == "session.created"
        """,
    )
    result.assert_outcomes(passed=1)


LEFT_OVER = """
    import pytest
    from talk_here import opening

    @pytest.mark.realtime_server(transcripts=["Hello", "Bye"])
    def test_it(realtime_server):
        opening(realtime_server, "?intent=transcription&model=whisper-1")
        assert {}
    """


def test_a_script_that_was_not_used_up_fails_the_test_and_says_why(pytester: pytest.Pytester) -> None:
    result = run(pytester, LEFT_OVER.format(True))
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(
        [
            "2 of 2 transcripts were not used: 'Hello', 'Bye'. Each answers one committed item with speech; "
            "0 came. Pass strict=False if some may be left over.",
            "What happened:",
            "  <session 1 /v1/realtime?intent=transcription&model=whisper-1 closed 4000>: the client sent "
            "`?model=whisper-1` with intent=transcription: OpenAI answers `invalid_model` and closes 4000. *",
        ]
    )
    assert "Traceback" not in result.stdout.str()


def test_a_test_that_failed_is_not_asked_about_its_script(pytester: pytest.Pytester) -> None:
    run(pytester, LEFT_OVER.format(False)).assert_outcomes(failed=1)
