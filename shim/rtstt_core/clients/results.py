"""What the doctor finds: installed clients, and places in source code."""

from __future__ import annotations

from typing import Literal, NamedTuple

from rtstt_core.patching.targets import numbers

__all__ = ["Client", "Finding", "Report", "Verdict"]

Verdict = Literal["affected", "not affected", "unknown"]
"""Whether OpenAI's endpoint refuses the sessions that a client opens, whatever the application does."""


class Client(NamedTuple):
    """One installed copy of a client.

    Attributes:
        registry: Where it is published.
        name: Its name there.
        version: Its version; empty where it does not name one.
        environment: The Python environment or lock file that it is in; None for an npm package.
        path: The folder of an npm package; None for a Python package.
        verdict: Whether it is affected.
        why: What it does, a clause.
        shim: What the shim does about it, a clause.
        covered: Whether the shim does that here.
        fix: What makes the shim unnecessary, a clause; None where nothing is known.
        not_needed_from: From which version the shim is not needed, words that begin with the version; None where there
            is none, or where this version is older and not affected.
    """

    registry: Literal["PyPI", "npm"]
    name: str
    version: str
    environment: str | None
    path: str | None
    verdict: Verdict
    why: str
    shim: str
    covered: bool
    fix: str | None = None
    not_needed_from: str | None = None

    @property
    def is_fixed(self) -> bool:
        """Whether it was affected, and this version is not."""
        from_ = self.not_needed_from
        return self.verdict != "affected" and from_ is not None and numbers(self.version) >= numbers(from_)

    @property
    def fails(self) -> bool:
        """Whether it is affected and not covered."""
        return self.verdict == "affected" and not self.covered


class Finding(NamedTuple):
    """One place in source code.

    Attributes:
        file: The path of the file.
        line: The line, from 1.
        rule: The identifier of the source rule.
        verdict: ``"affected"`` where the endpoint refuses it, ``"unknown"`` where that depends on what is not in the
            file.
        why: The cause, a sentence.
        fix: What to write instead, a sentence.
        corrected: Whether the shim corrects it while it is active.
        covered: Whether the shim is active there.
        fixable: Whether ``doctor --fix`` can rewrite it.
    """

    file: str
    line: int
    rule: str
    verdict: Verdict
    why: str
    fix: str
    corrected: bool
    covered: bool = False
    fixable: bool = False

    @property
    def fails(self) -> bool:
        """Whether the endpoint refuses it and the shim does not correct it."""
        return self.verdict == "affected" and not self.covered


class Report(NamedTuple):
    """Everything that was found.

    Attributes:
        environments: The Python environments and lock files that were examined.
        folder: The folder whose npm packages and source code were examined.
        clients: The installed clients.
        findings: The places in source code.
        skipped: What was not examined, and what examines it, one sentence each.
    """

    environments: list[str]
    folder: str
    clients: list[Client]
    findings: list[Finding]
    skipped: list[str]

    @property
    def fails(self) -> bool:
        """Whether something is affected and not covered."""
        return any(client.fails for client in self.clients) or any(found.fails for found in self.findings)

    @property
    def fixed(self) -> list[Client]:
        """The clients that made the shim unnecessary; empty while anything needs it."""
        verdicts = [client.verdict for client in self.clients] + [finding.verdict for finding in self.findings]
        return [] if "affected" in verdicts else [client for client in self.clients if client.is_fixed]
