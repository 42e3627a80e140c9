"""Verification: outcomes that prove nothing are errors, and a report contains only what was run."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from rtstt_testkit.upstream import endtoend, scratch, verify_npm
from rtstt_testkit.upstream.commands import UpstreamCommand, run_commands
from rtstt_testkit.upstream.endtoend import GATEWAY, ClientRun, drive
from rtstt_testkit.upstream.errors import UpstreamError, VerificationFailed
from rtstt_testkit.upstream.fixes import Fix, find_fix
from rtstt_testkit.upstream.outages import CLAIMS, OUTAGES, run_outage
from rtstt_testkit.upstream.pull_request import PullRequest, VerificationReport
from rtstt_testkit.upstream.source import Source
from rtstt_testkit.upstream.verify import verify
from rtstt_testkit.upstream.workbench import TestRun, Workbench

URL = ClientRun("eu.api.openai.com", {"intent": ["transcription"]}, None, "Hello.", [], [])
REFUSED = replace(URL, query={**URL.query, "model": ["m"]}, refusal="`invalid_model`, close 4000", transcript=None)
FAILED = replace(URL, transcript=None, errors=[{"name": "Error", "message": "lost: why"}], attempts=1)


class Bench:
    """A workbench with fixed outcomes, before and after the patch."""

    def __init__(self) -> None:
        self.as_it_was = TestRun(["old"], [], [])
        self.tests = {False: TestRun(["old"], ["new"], []), True: TestRun(["old", "new"], [], ["live"])}
        self.complaints: dict[bool, list[str]] = {False: [], True: []}
        self.runs = {False: REFUSED, True: URL}
        self.gateway = replace(URL, query=REFUSED.query)
        self.outages = {False: FAILED, True: FAILED}

    def test(self, files: Mapping[str, str]) -> TestRun:
        return self.as_it_was if files["tests"] == "old tests" else self.tests[files["source"] == "new"]

    def check(self, files: Mapping[str, str]) -> list[str]:
        return self.complaints[files["source"] == "new"]

    def run_client(self, files: Mapping[str, str], host: str) -> ClientRun:
        return self.gateway if host == GATEWAY else self.runs[files["source"] == "new"]

    def run_outages(self, files: Mapping[str, str]) -> list[ClientRun]:
        return [self.outages[files["source"] == "new"]] * len(OUTAGES)

    def prove(self, monkeypatch: pytest.MonkeyPatch, name: str = "agents-js/model-param") -> str:
        return self.report(monkeypatch, name).text.partition("\n\nThe upstream's own commands:")[0]

    def report(
        self, monkeypatch: pytest.MonkeyPatch, name: str, progress: scratch.Progress = lambda line: None
    ) -> VerificationReport:
        fix: Fix = replace(find_fix(name), source="source", tests="tests")
        before, after = {"source": "old", "tests": "old tests"}, {"source": "new", "tests": "new tests"}
        variant = next(iter(fix.variants.values()))
        request = PullRequest(fix, Source(Path(), "", "1.4.4"), variant, before, after)

        @contextmanager
        def workbench(request: PullRequest, progress: scratch.Progress) -> Iterator[Workbench]:
            yield Workbench("a tool", [("a check", self.check)], self.test, self.run_client, self.run_outages)

        monkeypatch.setattr(verify_npm, "workbench", workbench)
        return verify(request, progress)

    def fails(self, monkeypatch: pytest.MonkeyPatch, name: str = "agents-js/model-param") -> str:
        with pytest.raises(VerificationFailed) as caught:
            self.prove(monkeypatch, name)
        return str(caught.value).removeprefix("not verified: ")


def test_the_report_holds_what_was_run(monkeypatch: pytest.MonkeyPatch) -> None:
    assert Bench().prove(monkeypatch) == (
        "Run on the sources of @livekit/agents-plugin-openai 1.4.4 with a tool.\n\n"
        "| | before | after |\n|---|---|---|\n"
        "| `tests`, as it was | 1 passed | |\n"
        "| `tests`, new tests included | 1 failed, 1 passed | 2 passed, 1 skipped |\n"
        "| a check | clean | clean |\n\n"
        "Failing without the patch:\n\n- new\n\n"
        "Streaming audio through the built package to a mock of the endpoint under each host name:\n\n"
        "| host | before | after |\n|---|---|---|\n"
        "| api.openai.com | 0 transcripts: `invalid_model`, close 4000 | transcript 'Hello.' (URL without `model`) |\n"
        "| eu.api.openai.com | 0 transcripts: `invalid_model`, close 4000 "
        "| transcript 'Hello.' (URL without `model`) |\n"
        "| gateway.example.com | transcript 'Hello.' (URL with `model`) | transcript 'Hello.' (URL with `model`) |"
    )


def test_every_step_is_announced_and_first_of_all_whose_code_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    lines: list[str] = []
    bench = Bench()
    bench.report(monkeypatch, "agents-js/model-param", lines.append)
    assert lines == [
        "this runs code of livekit/agents-js in .: its tests, tools and client",
        "running tests before and after",
        "running a check before and after",
        "streaming audio to api.openai.com before and after",
        "streaming audio to eu.api.openai.com before and after",
        "streaming audio to gateway.example.com before and after",
    ]
    lines.clear()
    bench.outages[True] = replace(FAILED, warnings=["one"])
    bench.report(monkeypatch, "agents-js/ws-warning", lines.append)
    assert lines[-3:] == [
        f"running {len(OUTAGES)} outages before the patch",
        f"running {len(OUTAGES)} outages after the patch",
        "streaming audio to gateway.example.com before and after",
    ]


def test_a_client_of_one_host_is_run_there_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    text = Bench().prove(monkeypatch, "openclaw-cn/ga-session")
    assert text.splitlines()[-1].startswith("| api.openai.com | 0 transcripts: `invalid_model`, close 4000 |")
    assert GATEWAY not in text
    assert "eu.api.openai.com" not in text


NOT_RUN = "\n".join(
    f"- not run: `{script}` of {folder}: the source is a package, not a checkout"
    for script, folder in (
        ("lint", "plugins/openai/"),
        ("typecheck", "the repository"),
        ("throws:check", "the repository"),
        ("test", "the repository"),
    )
)


def test_what_was_not_run_is_reported_and_ticks_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Source, "is_checkout", False)
    report = Bench().report(monkeypatch, "agents-js/model-param")
    assert report.text.endswith(f"\n\nThe upstream's own commands:\n\n{NOT_RUN}")
    assert (report.built, report.tested) == (False, False)


def test_the_commands_of_a_checkout_run_on_a_patched_copy(tmp_path: Path) -> None:
    folder = tmp_path / "checkout"
    package = folder / "plugins/openai"
    (package / "src").mkdir(parents=True)
    (folder / "node_modules").mkdir()
    (folder / ".git").mkdir()
    (package / "src/stt.ts").write_text("old")
    check = "grep -q new src/stt.ts && touch ran && test -e ../../node_modules && test ! -e ../../.git"
    (package / "package.json").write_text(json.dumps({"scripts": {"lint": check, "types": "echo 3 errors; false"}}))
    source = Source(folder, "", "1.9.0")
    commands = [UpstreamCommand("lint", "plugins/openai/"), UpstreamCommand("test", "")]
    outcomes = run_commands(commands, source, {"plugins/openai/src/stt.ts": "new"}, lambda line: None)
    assert [str(outcome) for outcome in outcomes] == [
        "- passed: `lint` of plugins/openai/",
        "- not run: `test` of the repository: there is no such script",
    ]
    assert (package / "src/stt.ts").read_text() == "old"
    assert not (package / "ran").exists()
    with pytest.raises(VerificationFailed, match="npm run types fails: "):
        run_commands([UpstreamCommand("types", "plugins/openai/")], source, {}, lambda line: None)
    (folder / "node_modules").rmdir()
    (outcome,) = run_commands(commands[:1], source, {}, lambda line: None)
    assert outcome.not_run == "the dependencies of the source are not installed"


def test_outages_are_reported_and_what_the_fix_claims_must_hold_for_each(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench()
    bench.outages = {False: FAILED, True: replace(FAILED, warnings=["one"])}
    lines = bench.prove(monkeypatch, "agents-js/ws-warning").splitlines()
    row = "| {} | `Error`: lost, 1 attempt, 0 warnings | `Error`: lost, 1 attempt, 1 warning |"
    assert lines[-len(OUTAGES) - 1 : -1] == [row.format(outage.name) for outage in OUTAGES]
    assert lines[-1].startswith("| healthy, gateway.example.com | transcript 'Hello.' (URL with `model`) |")
    bench.outages[True] = replace(FAILED, warnings=["one", "two"])
    assert bench.fails(monkeypatch, "agents-js/ws-warning") == (
        "the patched client logs 2 warnings: HTTP 401: `Error`: lost, 1 attempt, 2 warnings"
    )
    bench.outages[True] = FAILED
    assert bench.fails(monkeypatch, "agents-js/ws-warning") == (
        "the patch does not prove one warning a failure: HTTP 401: `Error`: lost, 1 attempt, 0 warnings"
    )
    bench.outages[True] = replace(FAILED, crash="Error: Unexpected server response: 401")
    assert bench.fails(monkeypatch, "agents-js/ws-warning") == (
        "the patched client crashes: HTTP 401: Error: Unexpected server response: 401"
    )
    bench.outages = {False: replace(FAILED, warnings=["one"]), True: replace(FAILED, warnings=["one"])}
    assert bench.fails(monkeypatch, "agents-js/ws-warning") == (
        "one warning a failure holds without the patch, so the patch is not needed"
    )


@pytest.mark.parametrize(
    ("claim", "outage", "run", "holds"),
    [
        ("a retry decision", "reset", {"name": "APIError", "retryable": True}, False),
        ("a retry decision", "reset", {"name": "APIError", "retryable": False}, True),
        ("a retry decision", "reset", {"name": "Error"}, False),
        ("close code and reason", "closed with 1011", {"message": "(code=1011, reason=server_error)"}, True),
        ("close code and reason", "closed with 1011", {"message": "closed"}, False),
        ("the error event arrives", "refused right after the handshake", {"message": "Incorrect API key."}, True),
        ("the error event arrives", "refused right after the handshake", {"message": "closed"}, False),
        ("the error event arrives", "reset", {"message": "closed"}, True),
    ],
)
def test_a_claim_is_checked_on_the_outage_it_is_about(
    claim: str, outage: str, run: dict[str, object], holds: bool
) -> None:
    (found,) = [candidate for candidate in OUTAGES if candidate.name == outage]
    assert CLAIMS[claim](found, replace(FAILED, errors=[run])) is holds


PROBE = """
import contextlib, json, os, sys
import rtstt_testkit.routing
rtstt_testkit.routing.activate_from_env()
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect
errors = []
headers = {'Authorization': 'Bearer ' + (os.environ['OPENAI_API_KEY'] or 'sk-made-up')}
try:
    # Like a patched client.
    model = '' if '.openai.com' in sys.argv[1] else '&model=m'
    url = sys.argv[1].replace('https', 'wss') + '/realtime?intent=transcription' + model
    with connect(url, open_timeout=10, additional_headers=headers) as ws:
        with contextlib.suppress(ConnectionClosed):  # the refusal may be there already; it can still be received
            ws.send('{"type": "session.update", "session": {"type": "transcription", "audio": {"input": '
                    '{"transcription": {"model": "whisper-1"}}}}}')
        while True:
            message = json.loads(ws.recv(timeout=30))
            if message['type'] == 'error':
                errors.append({'name': 'error', 'message': message['error']['message']})
except Exception as error:
    errors.append({'name': type(error).__name__, 'message': str(error)})
print('RESULT', json.dumps({'transcript': None, 'errors': errors}))
"""


@pytest.mark.heavy
def test_every_outage_happens_as_its_name_says(tmp_path: Path) -> None:
    happened = {}
    for outage in OUTAGES:
        run = run_outage(outage, [sys.executable, "-c", PROBE], tmp_path, {})
        happened[outage.name] = [error["message"] for error in run.errors]
        assert run.crash is None
        assert run.attempts == (None if outage.name == "unknown host" else 1), outage.name
    for status in (401, 403, 404, 429, 500, 503):
        assert happened[f"HTTP {status}"] == [f"server rejected WebSocket connection: HTTP {status}"]
    assert "Incorrect API key" in happened["refused right after the handshake"][0]
    assert "1011" in happened["closed with 1011"][0]
    assert all(happened.values())


def test_what_proves_nothing_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench()
    bench.as_it_was = TestRun([], ["old"], [])
    assert bench.fails(monkeypatch) == "tests fails before the patch: old"
    bench = Bench()
    bench.tests[False] = bench.tests[True]
    assert bench.fails(monkeypatch) == "the new tests in tests pass without the patch"
    bench = Bench()
    bench.tests[True] = bench.tests[False]
    assert bench.fails(monkeypatch) == "tests fails with the patch: new"
    bench = Bench()
    bench.complaints[True] = ["stt.ts is ugly"]
    assert bench.fails(monkeypatch) == "a check complains of the patched source: stt.ts is ugly"
    bench = Bench()
    bench.runs[True] = REFUSED
    assert bench.fails(monkeypatch) == (
        "the patched client gets no transcript from api.openai.com: 0 transcripts: `invalid_model`, close 4000"
    )
    bench = Bench()
    bench.gateway = URL
    assert bench.fails(monkeypatch) == "the patched client sends or omits `model` wrongly for gateway.example.com"
    bench = Bench()
    bench.runs[False] = URL
    assert bench.fails(monkeypatch) == "the client gets transcripts without the patch, so the patch is not needed"


CLIENT = """
import json, sys
import rtstt_testkit.routing
rtstt_testkit.routing.activate_from_env()
from urllib.parse import urlsplit
from websockets.sync.client import connect
print('{"level": 50, "msg": "an error"}', '{"level": 30}', '{not json', 'WARNING: careful', sep='\\n')
with connect(sys.argv[1].replace('https', 'wss') + '/realtime?intent=transcription&model=m',
             additional_headers={'Authorization': 'Bearer sk-made-up'}) as socket:
    try:
        socket.recv()
        socket.recv()
    except Exception:
        pass
print('RESULT', json.dumps({'transcript': None, 'errors': []}))
"""


def test_a_client_is_seen_from_both_sides(tmp_path: Path) -> None:
    session = drive([sys.executable, "-c", CLIENT], tmp_path, "eu.api.openai.com", {})
    assert session.query == {"intent": ["transcription"], "model": ["m"]}
    assert str(session) == "0 transcripts: `invalid_model`, close 4000"
    assert session.warnings == ['{"level": 50, "msg": "an error"}', "WARNING: careful"]
    assert str(replace(session, refusal=None)) == "0 transcripts: no session"


def test_a_client_that_prints_no_result_is_no_proof(tmp_path: Path) -> None:
    with pytest.raises(VerificationFailed) as caught:
        drive([sys.executable, "-c", "print('nothing')"], tmp_path, "api.openai.com", {})
    assert str(caught.value) == "the client printed no result for api.openai.com: nothing"
    with pytest.raises(VerificationFailed, match="exit code 0"):
        drive([sys.executable, "-c", ""], tmp_path, "api.openai.com", {})
    assert endtoend.NATIVE_HOSTS == ("api.openai.com", "eu.api.openai.com")


def test_a_tool_that_is_missing_or_never_ends_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(VerificationFailed) as caught:
        scratch.execute(["no-such-tool"], tmp_path)
    assert str(caught.value) == "no-such-tool is not installed: install it first"
    with pytest.raises(VerificationFailed, match=r"did not end within 0 s$"):
        scratch.execute([sys.executable, "-c", "import time; time.sleep(60)"], tmp_path, timeout=0.2)


def test_an_environment_is_made_once_and_a_failed_install_is_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    ran: list[list[str]] = []
    result = subprocess.CompletedProcess([], 1, "", "npm error code E404\nnpm error 404 Not Found")

    def execute(command: list[object], cwd: Path, *_: object, timeout: float = 0) -> subprocess.CompletedProcess[str]:
        ran.append([str(word) for word in command])
        return result

    monkeypatch.setattr(scratch, "execute", execute)
    said: list[str] = []
    with pytest.raises(UpstreamError) as caught:
        scratch.npm_project({"nope": "1.0.0"}, said.append)
    assert str(caught.value) == "npm install failed: npm error code E404"
    result = subprocess.CompletedProcess([], 0, "", "")
    folder = scratch.npm_project({"nope": "1.0.0"}, said.append)
    assert scratch.npm_project({"nope": "1.0.0"}, said.append) == folder
    assert [command[:2] for command in ran] == [["npm", "install"]] * 2
    assert said[0] == f"installing 1 npm packages (kept in {folder})"

    ran.clear()
    result = subprocess.CompletedProcess([], 2, "", "")
    with pytest.raises(UpstreamError, match=r"^python -m venv failed: exit code 2$"):
        scratch.python_environment(["pip"], said.append)
    result = subprocess.CompletedProcess([], 0, "", "")

    def make(command: list[object], cwd: Path, *_: object) -> subprocess.CompletedProcess[str]:
        if "venv" in command:
            Path(str(command[-1])).mkdir(parents=True)
        return execute(command, cwd)

    monkeypatch.setattr(scratch, "execute", make)
    monkeypatch.setattr("shutil.which", lambda name: None)
    python = scratch.python_environment(["pip"], said.append)
    assert ran[-1] == [str(python), "-m", "pip", "install", "--quiet", "pip"]
    assert scratch.python_environment(["pip"], said.append) == python


def test_a_missing_extra_is_named() -> None:
    code = "import sys; sys.modules['ast_grep_py'] = None; from rtstt_core.cli import main; sys.exit(main(['pr']))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr == (
        "rtstt-shim: `rtstt-shim pr` needs ast_grep_py, which the base install leaves out; "
        "install it with: pip install 'rtstt-shim[upstream]'\n"
    )
