"""The pytest plugin, run in projects of its own."""

import subprocess
import sys

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
            assert [unused.text for unused in realtime_server.cursor.unused] == ["Hello"]
        """,
        "--strict-markers",
    )
    result.assert_outcomes(passed=1)


@pytest.mark.heavy
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
            loaded = {name for name in sys.modules if name.startswith(("rtstt", "websockets", "yaml", "pybase64"))}
            plugin = {"_pytest_serving", "pytest_plugin"}
            assert loaded == {"rtstt_testkit", *(f"rtstt_testkit.{name}" for name in plugin)}, loaded
        """,
        "-p",
        "no:asyncio",
    )
    result.assert_outcomes(passed=1)


def test_loading_the_plugin_imports_itself_and_nothing_else() -> None:
    code = (
        "import sys, pytest\n"
        "before = set(sys.modules)\n"
        "import rtstt_testkit.pytest_plugin\n"
        "print(sorted(set(sys.modules) - before))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    modules = ("rtstt_testkit._pytest_serving", "rtstt_testkit.pytest_plugin")
    assert done.stdout == f"{['rtstt_testkit', *modules]}\n"


ASYNC_TEST = """
    import json
    import pytest
    from websockets.asyncio.client import connect

    @pytest.fixture
    def anyio_backend():
        return {backend!r}

    {fixtures}

    {marks}
    @pytest.mark.realtime_server(transcripts=["Hello"], strict={strict})
    async def test_it({arguments}):
        import asyncio
        assert async_realtime_server._listener._server.get_loop() is asyncio.get_running_loop()
        headers = {{"Authorization": "Bearer sk-proj-" + "a" * 40}}
        async with connect(async_realtime_server.url + "?intent=transcription", additional_headers=headers) as client:
            assert json.loads(await client.recv())["type"] == "session.created"
        assert {condition}
    """


def run_async(pytester: pytest.Pytester, marks: str, *arguments: str, **texts: object) -> pytest.RunResult:
    given = {
        "backend": "asyncio",
        "fixtures": "",
        "strict": False,
        "arguments": "async_realtime_server",
        "condition": "True",
        **texts,
    }
    return run(
        pytester, ASYNC_TEST.format(marks=marks, **given), "-W", "ignore::pytest.PytestDeprecationWarning", *arguments
    )


@pytest.mark.parametrize(
    ("marks", "arguments"),
    [
        ("@pytest.mark.anyio", ["-p", "no:asyncio"]),
        pytest.param("@pytest.mark.anyio", [], marks=pytest.mark.heavy),
        ("@pytest.mark.asyncio", []),
        pytest.param("@pytest.mark.asyncio(loop_scope='module')", [], marks=pytest.mark.heavy),
        pytest.param("@pytest.mark.asyncio(loop_scope='session')", [], marks=pytest.mark.heavy),
        pytest.param("", ["-o", "asyncio_mode=auto"], marks=pytest.mark.heavy),
        pytest.param(
            "",
            ["-o", "asyncio_mode=auto", "-o", "asyncio_default_test_loop_scope=session"],
            marks=pytest.mark.heavy,
        ),
    ],
)
def test_the_async_fixture_serves_in_the_loop_of_the_test(pytester, marks, arguments) -> None:
    run_async(pytester, marks, *arguments).assert_outcomes(passed=1)


@pytest.mark.heavy
def test_an_async_fixture_of_ones_own_may_use_it(pytester: pytest.Pytester) -> None:
    fixture = """
    import pytest_asyncio

    @pytest_asyncio.fixture
    async def opened(async_realtime_server):
        headers = {"Authorization": "Bearer sk-proj-" + "a" * 40}
        async with connect(async_realtime_server.url + "?intent=transcription", additional_headers=headers) as client:
            yield json.loads(await client.recv())
    """
    run_async(
        pytester,
        "@pytest.mark.asyncio",
        fixtures=fixture,
        arguments="async_realtime_server, opened",
        condition="opened['type'] == 'session.created'",
    ).assert_outcomes(passed=1)


@pytest.mark.parametrize("marks", ["@pytest.mark.anyio", pytest.param("@pytest.mark.asyncio", marks=pytest.mark.heavy)])
def test_the_async_fixture_is_strict_too(pytester, marks) -> None:
    result = run_async(pytester, marks, strict=True)
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(["1 of 1 transcripts were not used: 'Hello'. *"])
    assert "Traceback" not in result.stdout.str()


def assert_told_what_it_needs(result: pytest.RunResult) -> None:
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(
        [
            "E * async_realtime_server needs an async test that pytest-asyncio or anyio (on asyncio) runs; use "
            "realtime_server, which serves any test from its own thread"
        ]
    )


@pytest.mark.parametrize(
    ("marks", "arguments", "texts"),
    [
        ("@pytest.mark.anyio", ["-p", "no:asyncio"], {"backend": "trio"}),
        pytest.param(
            "@pytest.mark.parametrize('x', [1])",
            ["-p", "no:asyncio"],
            {"arguments": "async_realtime_server, x"},
            marks=pytest.mark.heavy,
        ),
    ],
)
def test_the_async_fixture_says_what_it_needs(pytester, marks, arguments, texts) -> None:
    assert_told_what_it_needs(run_async(pytester, marks, *arguments, **texts))


def test_a_synchronous_test_gets_an_error_that_names_the_other_fixture(pytester: pytest.Pytester) -> None:
    assert_told_what_it_needs(run(pytester, "def test_it(async_realtime_server): pass"))


@pytest.mark.heavy
def test_tests_in_several_processes_do_not_meet(pytester: pytest.Pytester) -> None:
    result = run(
        pytester,
        """
        import pytest
        from talk_here import opening

        @pytest.mark.parametrize("number", range(8))
        def test_it(realtime_server, number):
            assert opening(realtime_server)["type"] == "session.created"
            assert len(realtime_server.sessions) == 1
        """,
        "-n",
        "2",
    )
    result.assert_outcomes(passed=8)


@pytest.mark.heavy
def test_the_marker_takes_a_script_file(pytester: pytest.Pytester) -> None:
    pytester.makefile(".yaml", good="transcript: [{text: Hello}]", bad="transcript: [{txt: Hello}]")
    result = run(
        pytester,
        """
        import pytest

        @pytest.mark.realtime_server(script="good.yaml", strict=False)
        def test_good(realtime_server):
            assert [unused.text for unused in realtime_server.cursor.unused] == ["Hello"]

        @pytest.mark.realtime_server(script="bad.yaml")
        def test_bad(realtime_server): pass
        """,
    )
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(["*bad.yaml, line 1: `transcript[[]1].txt` is not known here; choose from *"])


def test_a_failure_shows_what_the_server_saw_in_a_few_lines(pytester: pytest.Pytester) -> None:
    result = run(
        pytester,
        """
        from talk_here import opening

        def test_it(realtime_server):
            assert opening(realtime_server, "?intent=transcription&model=whisper-1")["type"] == "session.created"
        """,
        "--tb=short",
    )
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "E   AssertionError: assert 'error' == 'session.created'",
            "-* realtime server on port * -*",
            "Session 1: the client sent `?model=whisper-1` with intent=transcription: OpenAI answers `invalid_model` "
            "and closes 4000. Remove `model` from the URL; *",
            "<session 1 /v1/realtime?intent=transcription&model=whisper-1 closed 4000>, last events:",
            '*.* s  ← error  invalid_model, Model "whisper-1" is not supported in transcription mode.',
            "*closed 4000 invalid_request_error.invalid_model by the server",
        ]
    )
    assert len(result.stdout.lines) < 40
    assert "a" * 40 not in result.stdout.str()


@pytest.mark.heavy
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


def test_a_script_that_was_not_used_up_fails_the_test_and_says_why(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("CI", "BUILD_NUMBER"):  # where pytest's own summary repeats the whole message
        monkeypatch.delenv(name, raising=False)
    result = run(pytester, LEFT_OVER.format(True))
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(
        [
            "2 of 2 transcripts were not used: 'Hello', 'Bye'. Each answers one committed item with speech; "
            "0 came. Pass strict=False if some may stay unused.",
            "What happened:",
            "  <session 1 /v1/realtime?intent=transcription&model=whisper-1 closed 4000>: the client sent "
            "`?model=whisper-1` with intent=transcription: OpenAI answers `invalid_model` and closes 4000. *",
        ]
    )
    assert "Traceback" not in result.stdout.str()
    assert result.stdout.str().count("2 of 2 transcripts were not used: 'Hello', 'Bye'.") == 1


def test_a_marker_with_a_misspelt_argument_names_the_nearest(pytester: pytest.Pytester) -> None:
    result = run(
        pytester,
        """
        import pytest

        @pytest.mark.realtime_server(transcript=["Hello"])
        def test_it(realtime_server): pass
        """,
    )
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(
        ["*@pytest.mark.realtime_server has no argument 'transcript'; did you mean 'transcripts'?"]
    )
    assert "Traceback" not in result.stdout.str()
    assert "TypeError" not in result.stdout.str()


@pytest.mark.heavy
def test_a_test_that_fails_while_its_client_goes_on_does_not_end_pytest(pytester: pytest.Pytester) -> None:
    result = run(
        pytester,
        """
        import threading
        import pytest
        from websockets.sync.client import connect

        @pytest.mark.parametrize("number", range(8))
        def test_it(realtime_server, number):
            def client():
                try:
                    with connect(
                        realtime_server.url + "?intent=transcription",
                        additional_headers={"Authorization": "Bearer sk-proj-" + "a" * 40},
                    ) as client:
                        while True:
                            client.send('{"type":"input_audio_buffer.clear"}')
                            client.recv()
                except Exception:
                    pass

            for _ in range(3):
                threading.Thread(target=client, daemon=True).start()
            realtime_server.wait_for("input_audio_buffer.cleared", count=100, timeout=60)
            assert number < 0
        """,
    )
    result.assert_outcomes(failed=8)
    assert "INTERNALERROR" not in result.stdout.str()
    assert "cannot be shown" not in result.stdout.str()


@pytest.mark.heavy
def test_a_server_that_cannot_be_shown_does_not_end_pytest(pytester: pytest.Pytester) -> None:
    result = run(
        pytester,
        """
        def test_it(realtime_server, monkeypatch):
            monkeypatch.setattr(type(realtime_server), "explain", lambda self: 1 / 0)
            assert False
        """,
    )
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["What the server saw cannot be shown: ZeroDivisionError: division by zero"])


@pytest.mark.heavy
def test_a_test_that_failed_is_not_asked_about_its_script(pytester: pytest.Pytester) -> None:
    run(pytester, LEFT_OVER.format(False)).assert_outcomes(failed=1)
