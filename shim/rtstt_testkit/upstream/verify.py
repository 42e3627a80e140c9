"""Verify a pull request: the upstream's tests, formatter and type checker, and a client run, before and after."""

from __future__ import annotations

from pathlib import Path

from rtstt_testkit.upstream.commands import UpstreamCommand, run_commands
from rtstt_testkit.upstream.endtoend import GATEWAY, NATIVE_HOSTS, ClientRun
from rtstt_testkit.upstream.errors import VerificationFailed
from rtstt_testkit.upstream.outages import CLAIMS, OUTAGES, failures
from rtstt_testkit.upstream.pull_request import PullRequest, VerificationReport
from rtstt_testkit.upstream.scratch import Progress
from rtstt_testkit.upstream.workbench import Workbench

__all__ = ["verify"]


def verify(request: PullRequest, progress: Progress) -> VerificationReport:
    """Verify a pull request on its source.

    Args:
        request: The pull request.
        progress: Called with each line of progress.

    Returns:
        The report of what was run.

    Raises:
        VerificationFailed: A result is not the expected one; the message names it.
    """
    from rtstt_testkit.upstream import verify_npm, verify_pypi

    progress(f"this runs code of {request.fix.upstream} in {request.source.folder}: its tests, tools and client")
    workbench = verify_npm.workbench if request.fix.registry == "npm" else verify_pypi.workbench
    with workbench(request, progress) as bench:
        where = f"Run on the sources of {request.fix.package} {request.source.version} with {bench.tools}."
        lines = [f"{where} {bench.caveat}".rstrip(), ""]
        lines += _test_rows(request, bench, progress)
        rows = _outage_rows if request.fix.proof == "outages" else _session_rows
        lines += ["", *rows(request, bench, progress)]
    commands = [UpstreamCommand(**command) for command in request.fix.workbench.get("commands", ())]
    outcomes = run_commands(commands, request.source, request.after, progress)
    if outcomes:
        lines += ["", "The upstream's own commands:", "", *map(str, outcomes)]
    ran = {outcome.command.script for outcome in outcomes if outcome.not_run is None}
    return VerificationReport("\n".join(lines), bool(outcomes) and len(ran) == len(outcomes), "test" in ran)


def _test_rows(request: PullRequest, bench: Workbench, progress: Progress) -> list[str]:
    name = Path(request.test_path).name
    rows = ["| | before | after |", "|---|---|---|"]
    progress(f"running {name} before and after")
    old_tests = {**request.before}
    new_tests = {**request.before, request.test_path: request.after[request.test_path]}
    if request.test_path in request.before:
        untouched = bench.test(old_tests)
        _expect(not untouched.failed, f"{name} fails before the patch: {', '.join(untouched.failed)}")
        rows.append(f"| `{name}`, as it was | {untouched} | |")
    without, with_ = bench.test(new_tests), bench.test(request.after)
    _expect(bool(without.failed), f"the new tests in {name} pass without the patch")
    _expect(not with_.failed and bool(with_.passed), f"{name} fails with the patch: {', '.join(with_.failed)}")
    rows.append(f"| `{name}`, new tests included | {without} | {with_} |")
    for check, complaints in bench.checks:
        progress(f"running {check} before and after")
        before, after = complaints(request.before), complaints(request.after)
        _expect(not after, f"{check} complains of the patched source: {after[0] if after else ''}")
        rows.append(f"| {check} | {'clean' if not before else f'{len(before)} complaints'} | clean |")
    rows += ["", "Failing without the patch:", "", *(f"- {test}" for test in without.failed)]
    return rows


def _session_rows(request: PullRequest, bench: Workbench, progress: Progress) -> list[str]:
    rows = [
        "Streaming audio through the built package to a mock of the endpoint under each host name:",
        "",
        "| host | before | after |",
        "|---|---|---|",
    ]
    for host in request.fix.hosts or (*NATIVE_HOSTS, GATEWAY):
        progress(f"streaming audio to {host} before and after")
        before, after = bench.run_client(request.before, host), bench.run_client(request.after, host)
        _expect(after.transcript is not None, f"the patched client gets no transcript from {host}: {after}")
        _expect(
            ("model" in after.query) == (host == GATEWAY),
            f"the patched client sends or omits `model` wrongly for {host}",
        )
        rows.append(f"| {host} | {before} | {after} |")
    if request.fix.proof == "transcripts":
        refused = any("0 transcripts" in row for row in rows)
        _expect(refused, "the client gets transcripts without the patch, so the patch is not needed")
    return rows


def _outage_rows(request: PullRequest, bench: Workbench, progress: Progress) -> list[str]:
    _expect(bench.run_outages is not None, f"there is no client of {request.fix.package} to run through outages")
    assert bench.run_outages is not None
    progress(f"running {len(OUTAGES)} outages before the patch")
    before = bench.run_outages(request.before)
    progress(f"running {len(OUTAGES)} outages after the patch")
    after = bench.run_outages(request.after)
    progress(f"streaming audio to {GATEWAY} before and after")
    healthy = [bench.run_client(files, GATEWAY) for files in (request.before, request.after)]
    _expect(healthy[1].transcript is not None, f"the patched client gets no transcript from {GATEWAY}: {healthy[1]}")
    holds = CLAIMS[request.fix.proves]
    rows = [
        "Streaming audio through the built package to an endpoint that fails, with one retry allowed:",
        "",
        "| endpoint | before | after |",
        "|---|---|---|",
    ]
    for outage, old, new in zip(OUTAGES, before, after, strict=True):
        _expect(new.crash is None or old.crash is not None, f"the patched client crashes: {outage.name}: {new.crash}")
        count = len(new.warnings)
        _expect(count <= failures(new), f"the patched client logs {count} warnings: {outage.name}: {_outcome(new)}")
        _expect(holds(outage, new), f"the patch does not prove {request.fix.proves}: {outage.name}: {_outcome(new)}")
        rows.append(f"| {outage.name} | {_outcome(old)} | {_outcome(new)} |")
    needed = not all(holds(outage, run) for outage, run in zip(OUTAGES, before, strict=True))
    _expect(needed, f"{request.fix.proves} holds without the patch, so the patch is not needed")
    return [*rows, f"| healthy, {GATEWAY} | {healthy[0]} | {healthy[1]} |"]


def _outcome(run: ClientRun) -> str:
    """Return the outcome of an outage in a few words."""
    if run.crash is not None:
        return f"the process dies: {run.crash}"
    parts = [f"`{error['name']}`: {error['message'].partition(': ')[0]}" for error in run.errors] or ["no error"]
    if run.attempts is not None:
        parts.append(_count(run.attempts, "attempt"))
    return ", ".join([*parts, _count(len(run.warnings), "warning")])


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _expect(condition: bool, otherwise: str) -> None:
    if not condition:
        raise VerificationFailed(f"not verified: {otherwise}")
