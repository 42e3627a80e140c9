"""The tools of a language for the verification of a pull request."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from rtstt_testkit.upstream.endtoend import ClientRun

__all__ = ["TestRun", "Workbench"]


@dataclass(frozen=True)
class TestRun:
    """The tests of one run, by outcome."""

    __test__ = False  # pytest must not collect it

    passed: Sequence[str]
    failed: Sequence[str]
    skipped: Sequence[str]

    def __str__(self) -> str:
        counts = [
            f"{len(names)} {word}"
            for names, word in ((self.failed, "failed"), (self.passed, "passed"), (self.skipped, "skipped"))
            if names
        ]
        return ", ".join(counts) or "no tests"


@dataclass(frozen=True)
class Workbench:
    """The tools of a language. Files are given by their paths in the upstream's repository.

    Attributes:
        tools: Names and versions of the tools, for the report.
        checks: Formatter, linter and type checker: the name, and a function that returns the findings for files.
        test: Runs the test module on a set of files.
        run_client: Streams audio to a host through the client built from a set of files.
        run_outages: Runs that client through every outage, or None if the language has no such client.
        caveat: A sentence for the report on the differences from the upstream's repository, or empty.
    """

    tools: str
    checks: Sequence[tuple[str, Callable[[Mapping[str, str]], Sequence[str]]]]
    test: Callable[[Mapping[str, str]], TestRun]
    run_client: Callable[[Mapping[str, str], str], ClientRun]
    run_outages: Callable[[Mapping[str, str]], Sequence[ClientRun]] | None = None
    caveat: str = ""
