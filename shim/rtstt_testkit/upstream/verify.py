"""Proof before proposing: the upstream's tests, formatter and type checker, and a real session, before and after."""

from __future__ import annotations

from pathlib import Path

from rtstt_testkit.upstream.endtoend import GATEWAY, NATIVE_HOSTS, Session
from rtstt_testkit.upstream.errors import VerificationFailed
from rtstt_testkit.upstream.pull_request import PullRequest
from rtstt_testkit.upstream.scratch import Say
from rtstt_testkit.upstream.workbench import Workbench

__all__ = ["verify"]


def verify(request: PullRequest, say: Say) -> str:
    """Prove a pull request on the source it was made from.

    Args:
        request: What is to be proven.
        say: Where progress goes.

    Returns:
        The report, in Markdown, of nothing but what was run.

    Raises:
        VerificationFailed: Something did not come out as it must; the message says what.
    """
    from rtstt_testkit.upstream import verify_npm, verify_pypi

    workbench = verify_npm.workbench if request.target.registry == "npm" else verify_pypi.workbench
    with workbench(request, say) as bench:
        where = f"Run on the sources of {request.target.package} {request.source.version} with {bench.tools}."
        lines = [f"{where} {bench.caveat}".rstrip(), ""]
        lines += _test_rows(request, bench, say)
        lines += ["", *_session_rows(request, bench, say)]
    return "\n".join(lines)


def _test_rows(request: PullRequest, bench: Workbench, say: Say) -> list[str]:
    name = Path(request.test_path).name
    rows = ["| | before | after |", "|---|---|---|"]
    say(f"running {name} before and after")
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
        say(f"running {check} before and after")
        before, after = complaints(request.before), complaints(request.after)
        _expect(not after, f"{check} complains of the patched source: {after[0] if after else ''}")
        rows.append(f"| {check} | {'clean' if not before else f'{len(before)} complaints'} | clean |")
    rows += ["", "Failing without the patch:", "", *(f"- {test}" for test in without.failed)]
    return rows


def _session_rows(request: PullRequest, bench: Workbench, say: Say) -> list[str]:
    rows = [
        "Streaming audio through the built package to a mock of the endpoint under each host name:",
        "",
        "| host | before | after |",
        "|---|---|---|",
    ]
    hosts = ("eu.api.openai.com",) if request.target.proof == "errors" else (*NATIVE_HOSTS, GATEWAY)
    for host in hosts:
        say(f"streaming audio to {host} before and after")
        before, after = bench.session(request.before, host), bench.session(request.after, host)
        if request.target.proof == "errors":
            _expect(len(after.warnings) == 1, f"the patched client logs {len(after.warnings)} warnings, not one")
            rows.append(f"| {host} | {_failure(before)} | {_failure(after)} |")
            continue
        _expect(after.transcript is not None, f"the patched client gets no transcript from {host}: {after}")
        _expect(("model" in after.query) == (host == GATEWAY), f"the patched client is wrong about `model` for {host}")
        rows.append(f"| {host} | {before} | {after} |")
    if request.target.proof == "transcripts":
        refused = any("0 transcripts" in row for row in rows)
        _expect(refused, "the client gets transcripts without the patch, so the patch is not needed")
    return rows


def _failure(session: Session) -> str:
    errors = [error for error in session.errors if error["name"].startswith("API")]
    told = ", ".join(f"`{error['name']}`, {'' if error['retryable'] else 'not '}retryable" for error in errors)
    count = len(session.warnings)
    return f"{session}; {told or 'no `APIError`'}; {count} warning{'' if count == 1 else 's'} logged"


def _expect(condition: bool, otherwise: str) -> None:
    if not condition:
        raise VerificationFailed(f"not verified: {otherwise}")
