"""Verify a pull request: the upstream's tests, formatter and type checker, and a client run, before and after."""

from __future__ import annotations

from pathlib import Path

from rtstt_testkit.upstream.endtoend import GATEWAY, NATIVE_HOSTS, ClientRun
from rtstt_testkit.upstream.errors import VerificationFailed
from rtstt_testkit.upstream.pull_request import PullRequest
from rtstt_testkit.upstream.scratch import Progress
from rtstt_testkit.upstream.workbench import Workbench

__all__ = ["verify"]


def verify(request: PullRequest, progress: Progress) -> str:
    """Verify a pull request on its source.

    Args:
        request: The pull request.
        progress: Called with each line of progress.

    Returns:
        The report, in Markdown, of what was run.

    Raises:
        VerificationFailed: A result is not the expected one; the message names it.
    """
    from rtstt_testkit.upstream import verify_npm, verify_pypi

    workbench = verify_npm.workbench if request.fix.registry == "npm" else verify_pypi.workbench
    with workbench(request, progress) as bench:
        where = f"Run on the sources of {request.fix.package} {request.source.version} with {bench.tools}."
        lines = [f"{where} {bench.caveat}".rstrip(), ""]
        lines += _test_rows(request, bench, progress)
        lines += ["", *_session_rows(request, bench, progress)]
    return "\n".join(lines)


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
    hosts = ("eu.api.openai.com",) if request.fix.proof == "errors" else (*NATIVE_HOSTS, GATEWAY)
    for host in hosts:
        progress(f"streaming audio to {host} before and after")
        before, after = bench.run_client(request.before, host), bench.run_client(request.after, host)
        if request.fix.proof == "errors":
            _expect(len(after.warnings) == 1, f"the patched client logs {len(after.warnings)} warnings, not one")
            rows.append(f"| {host} | {_failure(before)} | {_failure(after)} |")
            continue
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


def _failure(session: ClientRun) -> str:
    errors = [error for error in session.errors if error["name"].startswith("API")]
    names = ", ".join(f"`{error['name']}`, {'' if error['retryable'] else 'not '}retryable" for error in errors)
    count = len(session.warnings)
    return f"{session}; {names or 'no `APIError`'}; {count} warning{'' if count == 1 else 's'} logged"


def _expect(condition: bool, otherwise: str) -> None:
    if not condition:
        raise VerificationFailed(f"not verified: {otherwise}")
