"""Report files: of a failing test, and opened from disk."""

import re
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect
from talking import CANARY, HELLO, client, get, refused, server, talk, update

from rtstt_testkit.inspector import page as page_module
from rtstt_testkit.inspector.report import report_name, write_report
from rtstt_testkit.speech import silence

pytest_plugins = ["pytester"]

A_TEST = """
    import json
    from websockets.sync.client import connect

    HEADERS = {"Authorization": "Bearer sk-proj-Canary7Canary7Canary7Canary7"}

    def visit(server):
        with connect(server.url + "?intent=transcription", additional_headers=HEADERS) as socket:
            return json.loads(socket.recv())["type"]
"""


def run(pytester: pytest.Pytester, *arguments: str, body: str) -> tuple[str, list[Path]]:
    pytester.makepyfile(A_TEST + body)
    output = pytester.runpytest_subprocess("-p", "no:asyncio", "--rtstt-report=reports", *arguments).stdout.str()
    return output, sorted(pytester.path.glob("reports/*"))


FAILS = """
    def test_fails(realtime_server):
        assert visit(realtime_server) == "session.createt"

    def test_passes(realtime_server):
        assert visit(realtime_server) == "session.created"

    def test_has_no_server():
        assert not HEADERS
"""


def test_a_failing_test_has_a_report_whose_path_is_printed(pytester: pytest.Pytester) -> None:
    output, files = run(pytester, body=FAILS)
    assert [path.name for path in files] == [
        report_name("test_a_failing_test_has_a_report_whose_path_is_printed.py::test_fails", 1)
    ]
    assert str(files[0]) in output
    assert "Canary7Canary7" not in files[0].read_text("utf-8")
    assert "session.created" in files[0].read_text("utf-8")


@pytest.mark.heavy
def test_every_test_has_a_report_when_asked_for(pytester: pytest.Pytester) -> None:
    output, files = run(pytester, "--rtstt-report-all", body=FAILS)
    assert len(files) == 2
    assert output.count("realtime server report") == 1  # under the failure alone


@pytest.mark.heavy
def test_a_script_that_was_not_followed_has_a_report(pytester: pytest.Pytester) -> None:
    body = """
    import pytest

    @pytest.mark.realtime_server(transcripts=["never used"])
    def test_says_nothing(realtime_server):
        visit(realtime_server)
    """
    output, files = run(pytester, body=body)
    assert len(files) == 1
    assert str(files[0]) in output


@pytest.mark.heavy
def test_each_server_of_a_test_has_its_report(pytester: pytest.Pytester) -> None:
    body = """
    def test_two(realtime_server_factory):
        visit(realtime_server_factory())
        visit(realtime_server_factory())
        assert False
    """
    _, files = run(pytester, body=body)
    assert [path.name.rpartition("test_two")[2] for path in files] == ["-2.html", ".html"]


@pytest.mark.heavy
def test_a_folder_that_cannot_be_made_is_reported_and_the_run_continues(pytester: pytest.Pytester) -> None:
    pytester.path.joinpath("reports").write_text("a file")
    pytester.makepyfile(A_TEST + FAILS)
    result = pytester.runpytest_subprocess("-p", "no:asyncio", "--rtstt-report=reports")
    result.assert_outcomes(failed=2, passed=1)
    assert "could not be written" in result.stdout.str()


def test_a_name_of_a_test_becomes_the_name_of_a_file() -> None:
    name = report_name("tests/test_a.py::test_b[../../etc/passwd-\u2603 <x>]", 1)
    assert re.fullmatch(r"[\w.=-]+\.html", name)
    assert len(report_name("x" * 999, 2)) < 140


def test_audio_beyond_the_limit_is_left_out_with_a_note(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with server() as mock:
        talk(mock, HELLO)
    write_report(tmp_path / "whole.html", mock.sessions, "whole")
    monkeypatch.setattr(page_module, "AUDIO_LIMIT", 1000)
    write_report(tmp_path / "short.html", mock.sessions, "short")
    whole, short = ((tmp_path / name).read_text("utf-8") for name in ("whole.html", "short.html"))
    assert '"too_long":false' in whole
    assert '"too_long":true' in short
    assert len(whole) - len(short) > len(HELLO)


@pytest.mark.browser
def test_a_report_opens_from_disk_and_plays(page: Page, tmp_path: Path) -> None:
    hostile = "</script><script>document.title = 'taken'</script>"
    with server(transcripts=[hostile]) as mock:
        talk(mock, HELLO + silence(30.0))  # it plays while the page is looked at
        refused(mock)
    path = tmp_path / "report.html"
    write_report(path, mock.sessions, "tests/test_x.py::test_y")
    page.goto(path.as_uri())
    expect(page.locator("header .state")).to_have_text("tests/test_x.py::test_y")
    expect(page.locator("main h2")).to_contain_text("Session 2")
    expect(page.locator("main mark")).to_be_visible()
    page.locator("button.session", has_text="#1").click()
    expect(page.locator(".verdict")).to_have_text("1 transcript was completed.")
    expect(page.locator("button.session .said", has_text=hostile)).to_be_visible()
    page.keyboard.press(" ")
    expect(page.get_by_role("button", name="Pause")).to_be_visible()
    expect(page).to_have_title("tests/test_x.py::test_y · rtstt-shim")


def test_a_report_of_a_running_mock_is_downloaded() -> None:
    with server() as mock:
        with client(mock, key=CANARY) as one:
            one.send(update())
            one.wait("session.updated")
        body = get(mock, "sessions/1/report.html").decode()
    assert "default-src 'none'" in body
    assert "connect-src 'none'" in body
