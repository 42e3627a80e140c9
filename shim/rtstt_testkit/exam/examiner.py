"""Run scenarios, and judge what the program did."""

from __future__ import annotations

import io
import re
import tempfile
import threading
import wave
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

from rtstt_testkit.exam.audio import RATE, spoken, write_wav
from rtstt_testkit.exam.enough import Enough, absent
from rtstt_testkit.exam.program import Ended, Feed, run_program
from rtstt_testkit.exam.scenarios import CLEAN, Scenario
from rtstt_testkit.mock.inspect.findings.clients import ending
from rtstt_testkit.mock.inspect.findings.finding import Evidence, Finding, Outcome
from rtstt_testkit.mock.inspect.findings.table import FINDINGS
from rtstt_testkit.mock.inspect.record import SessionRecord
from rtstt_testkit.mock.server.threaded import ThreadedRealtimeServer
from rtstt_testkit.routing import route_env
from rtstt_testkit.speech import Recording

__all__ = ["Examinee", "Result", "Verdict", "examine_all", "examine_scenario"]

Verdict = Literal["passed", "failed", "not applicable"]

KEY = "sk-exam" + "0" * 32
_HOST = "api.openai.com"
_PINGS = 5.0  # seconds
#: The findings that do not prevent any transcript.
_HARMLESS = frozenset(
    {"no_backoff", "reconnect_storm", "audio_before_updated", "transcript_doubled", "out_of_order_mixed_up"}
)
#: The findings after which no other scenario can be run, as clauses.
_HOPELESS = {"never_connected": "the program did not connect", "request_refused": "the program was refused"}


@dataclass(frozen=True)
class Examinee:
    """The program that is examined.

    Attributes:
        command: The program and its arguments; ``{wav}``, ``{url}``, ``{base_url}`` and ``{transcript}`` are replaced.
        environ: Its environment, without what names the server.
        pattern: Finds the final transcripts in stdout: group 1 of every match, or the match; None for every line.
        stdin: What it reads from stdin, None for nothing.
        keeps_running: Whether it does not end by itself.
        seconds: How long it may take beyond what a scenario allows.
        records: Whether it sends audio of its own, which is not known.
    """

    command: Sequence[str]
    environ: Mapping[str, str]
    pattern: re.Pattern[str] | None = None
    stdin: Feed | None = None
    keeps_running: bool = False
    seconds: float = 0.0
    records: bool = False


class Result(NamedTuple):
    """The result of a scenario.

    Attributes:
        scenario: The scenario.
        verdict: The result.
        findings: What is wrong.
        note: Why it is not applicable, as a clause.
        timeline: The sessions in lines for people.
    """

    scenario: Scenario
    verdict: Verdict
    findings: Sequence[Finding] = ()
    note: str = ""
    timeline: str = ""


def examine_all(
    examinee: Examinee,
    scenarios: Sequence[Scenario],
    jobs: int,
    show: Callable[[Result], None],
    started: Callable[[Scenario], None] = lambda scenario: None,
) -> list[Result]:
    """Run scenarios in parallel; nothing else is run if the clean turn, which comes first, has no session.

    Args:
        examinee: The program.
        scenarios: The scenarios.
        jobs: How many run at once.
        show: Called with each result as soon as it is known, with that of the clean turn first.
        started: Called with each scenario as it starts.

    Returns:
        The results in the order of the scenarios.

    Raises:
        CannotStart: The program cannot be started.
    """
    stop = threading.Event()
    results: dict[str, Result] = {}

    def run(scenario: Scenario, streams: Callable[[], None] = lambda: None) -> Result:
        started(scenario)
        return examine_scenario(examinee, scenario, stop, streams)

    def add(result: Result) -> None:
        results[result.scenario.name] = result
        show(result)

    # The longest first, so that none is waited for at the end. Where the refusal is to be reported, a program that ends
    # by itself ends early, and another one is watched to the end of its time.
    left = [scenario for scenario in scenarios if scenario is not CLEAN]
    left.sort(key=lambda each: (-each.limit, (each.must == "report") != examinee.keeps_running))
    with ThreadPoolExecutor(jobs) as pool:
        futures: list[Future[Result]] = []
        try:
            if CLEAN in scenarios:
                # Once audio comes the program has a session, and the others need not wait for its end.
                streams = threading.Event()
                clean = pool.submit(run, CLEAN, streams.set)
                clean.add_done_callback(lambda _: streams.set())
                streams.wait()
                if not clean.done():
                    futures = [pool.submit(run, scenario) for scenario in left]
                add(clean.result())
                if note := _hopeless(results[CLEAN.name]):
                    _stop(stop, futures)
                    for scenario in left:
                        add(Result(scenario, "not applicable", note=note))
                    left, futures = [], []
            futures = futures or [pool.submit(run, scenario) for scenario in left]
            for future in as_completed(futures):
                add(future.result())
        except BaseException:
            _stop(stop, futures)
            raise
    return [results[scenario.name] for scenario in scenarios]


def _hopeless(clean: Result) -> str:
    """Return why no other scenario is run, as a clause; empty if they are."""
    reasons = [_HOPELESS[finding.name] for finding in clean.findings if finding.name in _HOPELESS]
    return f"not run: {reasons[0]} in the clean turn" if reasons else ""


def _stop(stop: threading.Event, futures: Sequence[Future[Result]]) -> None:
    stop.set()
    for future in futures:
        future.cancel()


def examine_scenario(
    examinee: Examinee,
    scenario: Scenario,
    stop: threading.Event | None = None,
    streams: Callable[[], None] = lambda: None,
) -> Result:
    """Run one scenario.

    Args:
        examinee: The program.
        scenario: The scenario.
        stop: When set, the program is stopped.
        streams: Called when audio of the program has come, perhaps more than once.

    Raises:
        CannotStart: The program cannot be started.
    """
    recording = spoken(scenario.turns)
    with _serving(scenario) as server, tempfile.TemporaryDirectory(prefix="rtstt-exam-") as folder:
        wav, transcript = Path(folder, "audio.wav"), Path(folder, "transcript.txt")
        write_wav(wav, recording)
        values = {
            "{wav}": str(wav),
            "{transcript}": str(transcript),
            "{url}": f"{server.url}?intent=transcription",
            "{base_url}": server.base_url,
        }
        from_file = any("{transcript}" in word for word in examinee.command)

        def printed(stdout: str) -> list[str]:
            if from_file:
                stdout = transcript.read_text("utf-8", "replace") if transcript.exists() else ""
            return _transcripts(stdout, examinee.pattern)

        enough = Enough(scenario, printed, lambda: server.sessions) if examinee.keeps_running else None

        def look(stdout: str) -> bool:
            if any(session.audio_received for session in server.sessions):
                streams()
            return enough is not None and enough(stdout)

        with route_env({_HOST: ("127.0.0.1", server.port)}) as routes:
            ended = run_program(
                [_replaced(word, values) for word in examinee.command],
                {
                    **examinee.environ,
                    **routes,
                    "OPENAI_BASE_URL": server.base_url,
                    "OPENAI_API_KEY": KEY,
                    "RTSTT_EXAM_URL": values["{url}"],
                    "RTSTT_EXAM_WAV": str(wav),
                },
                scenario.limit + examinee.seconds,
                stdin=_stdin(examinee.stdin, recording),
                pace=examinee.stdin == "pcm",
                begun=lambda: bool(server.sessions),
                enough=look,
                stop=stop,
            )
        outcome = _outcome(ended, printed(ended.stdout), examinee.keeps_running)
    # The server has stopped, so every session has its end.
    # Where every session is refused, nothing of it can be transcribed.
    known = None if examinee.records or scenario.must == "report" else recording
    findings = server.findings(finished=True, outcome=outcome, recording=known)
    return _judge(scenario, server, findings, outcome, known)


@contextmanager
def _serving(scenario: Scenario) -> Iterator[ThreadedRealtimeServer]:
    options = {"strict": False, "ping_interval": _PINGS, "keep_audio": None, **scenario.server}
    with ThreadedRealtimeServer(script=scenario.make_script(), **options) as server:
        yield server


def _replaced(word: str, values: Mapping[str, str]) -> str:
    for name, value in values.items():
        word = word.replace(name, value)
    return word


def _stdin(feed: Feed | None, recording: Recording) -> bytes | None:
    if feed != "wav":
        return recording.pcm if feed == "pcm" else None
    out = io.BytesIO()
    with wave.open(out, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes(recording.pcm)
    return out.getvalue()


def _transcripts(text: str, pattern: re.Pattern[str] | None) -> list[str]:
    if pattern is None:
        return [line for line in text.splitlines() if line.strip()]
    return [match[1] if pattern.groups else match[0] for match in pattern.finditer(text)]


def _outcome(ended: Ended, printed: list[str], keeps_running: bool) -> Outcome:
    stopped = ended.code is None
    code = 0 if stopped and keeps_running else ended.code
    return Outcome(printed, f"{ended.stdout}\n{ended.stderr}", code, stopped and not keeps_running)


def _judge(
    scenario: Scenario,
    server: ThreadedRealtimeServer,
    findings: list[Finding],
    outcome: Outcome,
    recording: Recording | None,
) -> Result:
    if scenario.must != "transcribe" and outcome.exit_code is not None and outcome.exit_code > 0:
        findings = [finding for finding in findings if finding.name != "crashed"]  # it is a report
    if recording is not None and scenario.must == "transcribe" and {found.name for found in findings} <= _HARMLESS:
        findings = [*findings, *_not_transcribed(scenario, outcome)]
    timeline = "\n".join(line for session in server.sessions for line in (repr(session), *session.timeline(200)))
    if findings:
        return Result(scenario, "failed", findings, timeline=timeline)
    note = _not_applicable(scenario, server)
    return Result(scenario, "not applicable" if note else "passed", (), note, timeline)


def _not_transcribed(scenario: Scenario, outcome: Outcome) -> list[Finding]:
    """Return what is missing where no check found why: a transcript that was sent would be `transcript_lost`."""
    missing = absent(scenario, outcome.transcript)
    if not missing:
        return []
    row = next(row for row in FINDINGS if row.name == "audio_lost")
    evidence = tuple(Evidence(f"{text!r} was spoken and not transcribed") for text in missing)
    return [Finding(row.name, row.meaning, row.fix, evidence)]


def _not_applicable(scenario: Scenario, server: ThreadedRealtimeServer) -> str:
    """Return why a scenario does not apply to the program, as a clause; empty if it does."""
    if server.cursor.unmatched_faults:
        return f"its event never came: {server.cursor.unmatched_faults[0]}"
    if scenario.ends and not any(ending(session) == "transient" for session in server.sessions):
        return "the program had finished before the end of the session"
    if scenario.reorders and not any(map(_reordered, server.sessions)):
        return "no two transcripts were on the way at once"
    return ""


def _reordered(session: SessionRecord) -> bool:
    def items(type_: str) -> list[str]:
        found = [event for event in session.events if event.type.endswith(type_) and event.dropped is None]
        return [str(event.data.get("item_id")) for event in found]

    completed = items(".completed")
    return [item for item in items("buffer.committed") if item in completed] != completed
