"""The exam on a good client and on clients with one planted bug each, and on programs that are no clients."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from xml.etree import ElementTree

import pytest

from rtstt_core.cli import main
from rtstt_testkit.exam.enough import Enough, is_quiet
from rtstt_testkit.exam.examiner import Examinee, Result, examine_all, examine_scenario
from rtstt_testkit.exam.program import run_program
from rtstt_testkit.exam.report import document, html, junit, lines, read_baseline, summary
from rtstt_testkit.exam.scenarios import SCENARIOS
from rtstt_testkit.mock.inspect.findings.finding import Evidence, Finding
from rtstt_testkit.mock.inspect.record import COMPLETED, Closed, SessionRecord
from rtstt_testkit.mock.protocol.handshake import Request

CLIENT = Path(__file__).with_name("client.py")
BY_NAME = {scenario.name: scenario for scenario in SCENARIOS}
SLOW = 60.0  # seconds that a busy machine may take longer


def examine(name: str, *words: str, seconds: float = SLOW, program: Path = CLIENT, **options) -> Result:
    command = [sys.executable, str(program), "{wav}", *words]
    return examine_scenario(Examinee(command, dict(os.environ), seconds=seconds, **options), BY_NAME[name])


def found(result: Result) -> list[str]:
    return [finding.name for finding in result.findings]


IN_CI = {"HTTP 401", "1011 during speech", "failed item", "duplicate events", "15 MiB message"}
"""The scenarios whose good and bad clients are `heavy`; those of the others are `release`."""


def tier(name: str, default: bool) -> list[pytest.MarkDecorator]:
    return [] if default else [pytest.mark.heavy if name in IN_CI else pytest.mark.release]


@pytest.mark.parametrize("name", [pytest.param(name, marks=tier(name, name == "clean turn")) for name in BY_NAME])
def test_a_good_client_passes(name) -> None:
    result = examine(name)
    assert (found(result), result.verdict) == ([], "passed"), "\n".join(map(str, result.findings))


BUGS = [
    ("retries-fatal", "HTTP 401", "retried_fatal"),
    ("retries-fatal", "invalid_api_key", "retried_fatal"),
    ("storm", "HTTP 503 four times", "reconnect_storm or no_backoff"),  # on a busy machine connecting takes long
    ("constant-pause", "HTTP 503 four times", "no_backoff"),
    ("gives-up", "1011 during speech", "gave_up_too_early"),
    ("gives-up", "1001 at the end of the session", "gave_up_too_early"),
    ("budget", "six interruptions", "budget_not_reset"),
    ("no-update-again", "1001 at the end of the session", "session_update_missing_after_reconnect"),
    ("audio-first", "clean turn", "audio_before_updated"),
    ("ignores-errors", "update refused", "refused_update_ignored"),
    ("closes-early", "completions out of order", "closed_before_completed"),
    ("ignores-failed", "failed item", "failed_ignored"),
    ("crashes", "failed item", "crashed"),
    ("silent", "HTTP 401", "silent_failure"),
    ("prints-at-once", "completions out of order", "out_of_order_mixed_up"),
    ("prints-at-once", "duplicate events", "transcript_doubled"),
    ("ascii-only", "split character", "transcript_lost"),
    ("loses-cut-audio", "1011 during speech", "audio_lost"),
    ("drops-leading", "slow handshake", "leading_audio_lost"),
    ("sends-twice", "1001 at the end of the session", "audio_doubled"),
    ("sends-16k", "duplicate events", "wrong_sample_rate"),
    ("no-watchdog", "stall during speech", "hung"),
    ("waits-forever", "delta without completed", "hung"),
]


@pytest.mark.parametrize(
    ("bug", "name", "finding"),
    [pytest.param(*row, marks=tier(row[1], row[0] == "silent")) for row in BUGS],
)
def test_a_planted_bug_is_found_and_no_other(bug, name, finding) -> None:
    result = examine(name, bug, seconds=0 if finding == "hung" else SLOW)
    assert len(result.findings) == 1, "\n".join(map(str, result.findings)) + result.timeline
    assert found(result)[0] in finding.split(" or "), "\n".join(map(str, result.findings)) + result.timeline
    assert result.verdict == "failed"
    assert result.findings[0].evidence


# -- programs that are no clients


def program(tmp_path: Path, source: str) -> Path:
    path = tmp_path / "program.py"
    path.write_text(source, encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("source", "sentence"),
    [
        ("", "no connection came, and the program ended with 0, and it printed nothing"),
        ("import sys; sys.exit('no microphone')", "and the program ended with 1; its last line: no microphone"),
        pytest.param(
            "print('Hello.')",
            "no connection came, and the program ended with 0; its last line: Hello.",
            marks=pytest.mark.heavy,
        ),
    ],
)
def test_a_program_that_never_connects_has_one_finding(tmp_path, source, sentence) -> None:
    result = examine("clean turn", program=program(tmp_path, source))
    assert found(result) == ["never_connected"]
    assert sentence in str(result.findings[0])


def test_nothing_else_is_run_if_the_request_is_refused(tmp_path) -> None:
    source = CLIENT.read_text().replace("?intent=transcription", "?intent=transcription&model=gpt-realtime")
    command = [sys.executable, str(program(tmp_path, source)), "{wav}"]
    clean, other = examine_all(Examinee(command, dict(os.environ), seconds=SLOW), SCENARIOS[:2], 1, lambda result: None)
    assert found(clean) == ["request_refused"]
    assert "You must not provide a model parameter" in str(clean.findings[0])
    assert (other.verdict, other.note) == ("not applicable", "not run: the program was refused in the clean turn")


@pytest.mark.heavy
def test_the_other_scenarios_start_while_the_clean_turn_streams(tmp_path) -> None:
    starts = tmp_path / "starts"
    source = CLIENT.read_text("utf-8").replace(
        "    code = asyncio.run(main())\n",
        "    import pathlib, time\n"
        f"    starts = pathlib.Path({str(starts)!r})\n"
        "    with starts.open('a') as file:\n"
        "        file.write('start\\n')\n"
        "    code = asyncio.run(main())\n"
        "    while starts.read_text().count('start') < 2:\n"
        "        time.sleep(0.05)\n",
        1,
    )
    command = [sys.executable, str(program(tmp_path, source)), "{wav}"]
    shown: list[str] = []
    examinee = Examinee(command, dict(os.environ), seconds=SLOW)
    chosen = [BY_NAME["clean turn"], BY_NAME["HTTP 401"]]
    results = examine_all(examinee, chosen, 2, lambda result: shown.append(result.scenario.name))
    assert [(result.verdict, found(result)) for result in results] == [("passed", []), ("passed", [])]
    assert shown == ["clean turn", "HTTP 401"]


def running(mark: str) -> list[str]:
    """The command lines of the processes whose environment holds a mark."""
    lines_ = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if mark.encode() in (folder / "environ").read_bytes():
                lines_.append((folder / "cmdline").read_text())
        except OSError:
            continue
    return lines_


def ended(mark: str) -> bool:
    """Wait until no process with a mark runs: one that was killed needs its turn to end."""
    until = time.monotonic() + SLOW
    while running(mark) and time.monotonic() < until:
        time.sleep(0.05)
    return not running(mark)


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_nothing_is_left_of_a_program_that_hangs(tmp_path) -> None:
    source = (
        "import signal, subprocess, sys, time\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "child = [sys.executable, '-c', 'import time; time.sleep(600)']\n"
        "subprocess.Popen(child)\n"
        "subprocess.Popen(child, start_new_session=True)\n"
        "print('started', flush=True)\n"
        "time.sleep(600)\n"
    )
    mark = f"EXAM_TEST={os.getpid()}"
    environ = {**os.environ, "EXAM_TEST": str(os.getpid())}
    command = [sys.executable, str(program(tmp_path, source)), "{wav}"]
    scenario = BY_NAME["clean turn"]
    # Its time is over when the program has just started; it never connects, so it also has half a minute to start.
    result = examine_scenario(Examinee(command, environ, seconds=-scenario.seconds - 33), scenario)
    assert "hung" in found(result)
    assert ended(mark), running(mark)


def test_the_time_of_a_program_that_starts_slowly_begins_when_it_connects() -> None:
    slow = [sys.executable, "-c", "import time; time.sleep(1)"]
    assert run_program(slow, os.environ, 0.0, begun=lambda: False).code == 0
    assert run_program(slow, os.environ, 0.0).code is None


@pytest.mark.heavy
@pytest.mark.skipif(sys.platform == "win32", reason="needs SIGTERM")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_an_interrupted_exam_leaves_nothing_running(tmp_path, number) -> None:
    source = "import pathlib, sys, time\npathlib.Path(sys.argv[2]).write_text('up')\ntime.sleep(600)\n"
    started = tmp_path / "started"
    mark = f"EXAM_INTERRUPTED={os.getpid()}"
    command = [sys.executable, str(program(tmp_path, source)), "{wav}", str(started)]
    exam = subprocess.Popen(
        [sys.executable, "-m", "rtstt_core", "exam", "--only", "clean turn", "--", *command],
        env={**os.environ, "EXAM_INTERRUPTED": str(os.getpid())},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        until = time.monotonic() + SLOW
        while not started.exists() and exam.poll() is None and time.monotonic() < until:
            time.sleep(0.05)
        exam.send_signal(number)
        output, _ = exam.communicate(timeout=SLOW)
    finally:
        exam.kill()
    assert exam.returncode == 130, output
    assert "Traceback" not in output
    if sys.platform == "linux":
        assert ended(mark), running(mark)


@pytest.mark.heavy
def test_a_program_that_keeps_running_is_stopped_when_it_is_done(tmp_path) -> None:
    source = CLIENT.read_text("utf-8").replace(
        "    sys.exit(", "    import time\n    time.sleep(600)\n    sys.exit(", 1
    )
    result = examine("clean turn", program=program(tmp_path, source), keeps_running=True)
    assert (found(result), result.verdict) == ([], "passed")


@pytest.mark.heavy
def test_audio_comes_from_stdin(tmp_path) -> None:
    # The samples in real time, in a WAV file that the client reads as it reads any.
    source = (
        "import subprocess, sys, wave\n"
        "path = sys.argv[2]\n"
        "with wave.open(path, 'wb') as file:\n"
        "    file.setparams((1, 2, 24000, 0, 'NONE', None))\n"
        "    file.writeframes(sys.stdin.buffer.read())\n"
        f"sys.exit(subprocess.run([sys.executable, {str(CLIENT)!r}, path]).returncode)\n"
    )
    result = examine("clean turn", str(tmp_path / "read.wav"), program=program(tmp_path, source), stdin="pcm")
    assert (found(result), result.verdict) == ([], "passed")


@pytest.mark.heavy
def test_the_route_leads_a_program_to_the_mock_by_the_true_name(tmp_path, capsys) -> None:
    source = CLIENT.read_text("utf-8").replace('os.environ["OPENAI_BASE_URL"]', '"https://api.openai.com/v1"')
    path = program(tmp_path, source)
    assert main(["exam", "--only", "clean turn", "--extra-time", "60", "--", sys.executable, str(path), "{wav}"]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "1 passed, 0 failed, 0 not applicable"


# -- the command


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ([], "there is no COMMAND to examine; for example: rtstt-shim exam -- python app.py {wav}"),
        (["--", "./no-such-program"], "cannot start ./no-such-program: No such file or directory; for example: "),
        (["--only", "nope", "--", "true"], "--only nope: there is no such scenario; see `rtstt-shim exam --list`"),
        (["--jobs", "0", "--", "true"], "--jobs 0 is out of range; give a number from 1 to 64"),
        (["--extra-time", "-1", "--", "true"], "--extra-time -1 is out of range; give a number of seconds"),
        (["--transcript", "(", "--", "true"], "--transcript (: not a regular expression: "),
        (["--transcript", "(a)(b)", "--", "true"], "it has 2 groups; give it one, or none"),
        (["--baseline", "/no/such/file", "--", "true"], "cannot read /no/such/file: No such file or directory"),
        (["--json", "/no/such/file", "--", "true"], "cannot write /no/such/file: No such file or directory"),
    ],
)
def test_a_usage_error_is_one_sentence(arguments, sentence, capsys) -> None:
    assert main(["exam", *arguments]) == 2
    streams = capsys.readouterr()
    assert sentence in streams.err
    assert len(streams.err.splitlines()) == 1


@pytest.mark.parametrize("text", ["", "[]", '{"scenarios": [{"name": 1}]}'])
def test_a_baseline_that_is_none_is_refused(text, tmp_path, capsys) -> None:
    file = tmp_path / "known.json"
    file.write_text(text)
    assert main(["exam", "--baseline", str(file), "--", "true"]) == 2
    assert f"cannot use {file}: " in capsys.readouterr().err


def test_the_scenarios_are_listed(capsys) -> None:
    assert main(["exam", "--list"]) == 0
    shown = capsys.readouterr().out.splitlines()
    assert len(shown) == len(SCENARIOS) >= 25
    assert shown[0].startswith("clean turn ")


def test_the_reports_say_what_failed_and_a_baseline_accepts_it(tmp_path, capsys) -> None:
    command = [sys.executable, str(program(tmp_path, "")), "{wav}"]
    files = {name: tmp_path / f"out.{name}" for name in ("json", "junit", "html")}
    written = [word for name, file in files.items() for word in (f"--{name}", str(file))]
    chosen = ["--only", "clean turn", "--only", "HTTP 401"]
    assert main(["exam", *chosen, *written, "--", *command]) == 1
    shown = capsys.readouterr().out
    assert "[1/2] failed          clean turn" in shown
    assert "not run: the program did not connect in the clean turn" in shown
    assert shown.splitlines()[-1] == "0 passed, 1 failed, 1 not applicable"
    first, second = json.loads(files["json"].read_text())["scenarios"]
    assert set(first) == {"name", "result", "findings"}
    assert (first["name"], first["result"]) == ("clean turn", "failed")
    assert set(first["findings"][0]) == {"name", "evidence"}
    assert first["findings"][0]["name"] == "never_connected"
    assert second == {"name": "HTTP 401", "result": "not applicable", "findings": []}
    suite = ElementTree.parse(files["junit"]).getroot()
    assert (suite.get("tests"), suite.get("failures"), suite.get("skipped")) == ("2", "1", "1")
    assert "never_connected" in files["html"].read_text()
    assert main(["exam", *chosen, "--baseline", str(files["json"]), "--", *command]) == 0
    assert "failed (known)" in capsys.readouterr().out


# -- reports


RESULTS = [
    Result(BY_NAME["clean turn"], "passed", timeline="<session 1>"),
    Result(
        BY_NAME["HTTP 401"],
        "failed",
        [Finding("retried_fatal", "Meaning.", "Fix.", tuple(Evidence(f"<{n}> \x00", 1, 0.5, n) for n in range(8)))],
    ),
    Result(BY_NAME["no PONG"], "not applicable", note="its event never came"),
]


def test_the_json_document_has_the_evidence() -> None:
    scenarios = document(RESULTS)["scenarios"]
    assert [scenario["result"] for scenario in scenarios] == ["passed", "failed", "not applicable"]
    evidence = scenarios[1]["findings"][0]["evidence"]
    assert evidence[2] == {"session": 1, "event": 2, "at": 0.5, "text": "<2> \x00"}
    assert read_baseline(json.dumps(document(RESULTS)))["HTTP 401"] == {"retried_fatal"}


def test_the_page_and_the_xml_escape_what_the_program_sent() -> None:
    page = html(RESULTS, {}, "Exam of <app>")
    assert "<title>Exam of &lt;app&gt;</title>" in page
    assert "&lt;session 1&gt;" in page
    assert "<0>" not in page
    failure = ElementTree.fromstring(junit(RESULTS, {}).encode()).find(".//failure")
    assert failure is not None
    assert "\ufffd" in (failure.text or "")


def test_only_the_same_failure_is_known() -> None:
    known = {"HTTP 401": frozenset({"retried_fatal", "hung"})}
    assert summary(RESULTS, known) == "1 passed, 1 failed (1 known), 1 not applicable"
    assert summary(RESULTS, {"HTTP 401": frozenset({"hung"})}) == "1 passed, 1 failed, 1 not applicable"
    assert lines(RESULTS[1], 2, 28, known)[0] == "[ 2/28] failed (known)  HTTP 401"
    assert "      … and 3 more" in lines(RESULTS[1], 2, 28, {})
    assert 'skipped="2"' in junit(RESULTS, known)


def test_the_scenarios_have_names_of_their_own_and_scripts() -> None:
    assert len(BY_NAME) == len(SCENARIOS)
    for scenario in SCENARIOS:
        assert scenario.make_script().faults == tuple(scenario.faults)
        assert scenario.summary.endswith(".")


# -- when a program that keeps running has done enough


def heard(*, completed: bool = True, seconds: float = 13.0, **fields) -> SessionRecord:
    """A session with one turn, and with silence after it."""
    record = SessionRecord(1, Request("/v1/realtime?intent=transcription", []).record())
    record.session = {"audio": {"input": {"turn_detection": {"type": "server_vad"}}}}
    record.add_audio(0.1, b"\0\0")
    record.add("server", 1.0, {"type": "input_audio_buffer.speech_started", "item_id": "a"})
    record.add_audio(1.1, b"\0\0")
    record.add("server", 2.0, {"type": "input_audio_buffer.committed", "item_id": "a"})
    record.add("server", 2.1, {"type": COMPLETED, "item_id": "a", "transcript": ""}, None if completed else "fault")
    record.add_audio(2.2, b"\0\0")
    record.add_audio(2.2 + seconds, b"\0\0")
    for name, value in fields.items():
        setattr(record, name, value)
    return record


def test_a_session_that_is_fed_silence_and_owes_nothing_is_quiet() -> None:
    assert is_quiet(heard())


def test_a_session_of_which_something_may_come_is_not_quiet() -> None:
    assert not is_quiet(heard(seconds=5.0))
    assert not is_quiet(heard(completed=False))  # the client may give the item up, and go on
    assert not is_quiet(heard(session={"audio": {"input": {"turn_detection": None}}}))  # it may still commit
    assert not is_quiet(heard(close=Closed(1011, "", "server")))  # it may reconnect
    stalled = heard()
    stalled.add_fault(3.0, "stall", "append")
    assert not is_quiet(stalled)
    silent = heard()
    silent.add("server", 16.0, {"type": "error"})
    assert not is_quiet(silent)


def test_a_program_that_never_prints_is_stopped_when_the_session_is_quiet() -> None:
    scenario = BY_NAME["failed item"]
    enough = Enough(scenario, lambda stdout: [], lambda: [heard()])
    assert enough("")
    assert not Enough(scenario, lambda stdout: [], lambda: [heard(), heard(seconds=1.0)])("")
    assert not Enough(scenario, lambda stdout: [], lambda: [heard(), heard()])("")  # the first one is open as well
    assert not Enough(BY_NAME["HTTP 401"], lambda stdout: [], lambda: [heard()])("")
    assert not Enough(scenario, lambda stdout: scenario.texts, lambda: [heard()])("")  # it may print them twice
