"""What a language has to offer for the proof of a pull request."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from rtstt_testkit.upstream.endtoend import ClientRun

__all__ = ["TestRun", "Workbench"]


@dataclass(frozen=True)
class TestRun:
    """The outcome of one run of a test module: names by outcome."""

    __test__ = False  # not for pytest to collect

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
    """What a language offers for a proof. Files are given by their path in the upstream's repository.

    Attributes:
        tools: Names and versions of what is used, for the report.
        checks: Formatter, linter, type checker: name, and a function that returns the complaints about files.
        test: Runs the test module with a set of files.
        run_client: Streams audio through the client made of a set of files to a host.
        caveat: What is not as in the upstream's own tree, as a sentence for the report; empty if nothing.
    """

    tools: str
    checks: Sequence[tuple[str, Callable[[Mapping[str, str]], Sequence[str]]]]
    test: Callable[[Mapping[str, str]], TestRun]
    run_client: Callable[[Mapping[str, str], str], ClientRun]
    caveat: str = ""
