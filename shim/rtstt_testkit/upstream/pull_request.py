"""A pull request: a patch for ``git am`` with change note and tests, and its text."""

from __future__ import annotations

import shlex
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from email.header import Header
from email.utils import formataddr, parseaddr
from pathlib import Path

from rtstt_testkit.upstream import git
from rtstt_testkit.upstream.elsewhere import find_elsewhere
from rtstt_testkit.upstream.errors import BadInput, UnknownShape
from rtstt_testkit.upstream.files import check_folder, write_folder
from rtstt_testkit.upstream.fixes import Fix, Variant
from rtstt_testkit.upstream.rules import apply_rules
from rtstt_testkit.upstream.source import Source

__all__ = [
    "REPLACEABLE",
    "PullRequest",
    "VerificationReport",
    "check_output",
    "check_unused",
    "make_pull_request",
    "message",
    "write_pull_request",
]

#: The folder of the patch with the repository's paths, if the source is a package.
CHECKOUT = "checkout"
#: The files of an earlier pull request.
REPLACEABLE = ("PR.md", "*.patch", f"{CHECKOUT}/*.patch")
NOT_RUN = "Not run yet: this text was generated without `--verify`."


@dataclass(frozen=True)
class VerificationReport:
    """The report of a verification.

    Attributes:
        text: What was run and what was not, in Markdown.
        built: Whether all of the upstream's own commands ran and passed.
        tested: Whether the upstream's own test command ran and passed.
    """

    text: str
    built: bool = False
    tested: bool = False


@dataclass(frozen=True)
class PullRequest:
    """The files of a pull request before and after it, by their path in the upstream's repository."""

    fix: Fix
    source: Source
    variant: Variant
    before: Mapping[str, str]
    after: Mapping[str, str]
    elsewhere: Sequence[str] = ()

    @property
    def patch_name(self) -> str:
        """The file name of the patch."""
        return f"0001-{self.variant.slug}.patch"

    @property
    def test_path(self) -> str:
        """The test module that the pull request changes or adds."""
        return next(path for path in (self.fix.tests, self.fix.new_tests) if path and path in self.after)

    def patch(self, author: str, *, checkout: bool) -> str:
        """Return the patch as a message for ``git am``.

        Args:
            author: ``Name <address>``.
            checkout: Whether to use the repository's paths instead of the source's.
        """

        def name(path: str) -> str:
            return path if checkout else self.source.local(path)

        text, summary = git.diff(
            {name(path): content for path, content in self.before.items()},
            {name(path): content for path, content in self.after.items()},
        )
        return message(author, self.variant.title, self.variant.description, summary, text)

    def text(self, report: VerificationReport | None) -> str:
        """Return the text of the pull request, preceded by a comment with the commands that open it.

        Args:
            report: The report of a verification; None if there was none.
        """
        path = self.patch_name if self.source.is_checkout else f"{CHECKOUT}/{self.patch_name}"
        body = self.fix.template().format(
            description=_reflow(self.variant.description),
            changes="\n".join(f"- {change}" for change in self.variant.changes),
            testing=report.text if report else NOT_RUN,
            built="x" if report and report.built else " ",
            tested="x" if report and report.tested else " ",
            notes="\n\n".join([f"Generated from {self.fix.package} {self.source.version}.", *self.elsewhere]),
        )
        return (
            f"<!--\nTitle: {self.variant.title}\n\n"
            f"In a checkout of {self.fix.upstream}, with OUT set to the folder of this file:\n\n"
            f"    git switch -c {self.variant.slug} main\n"
            f'    git am "$OUT/{path}"\n'
            "    git push -u origin HEAD\n"
            f"    {self.command('$OUT/PR.md')}\n-->\n\n{body}"
        )

    def command(self, body: str) -> str:
        """Return the command that opens the pull request from a pushed branch."""
        return (
            f"gh pr create --repo {self.fix.upstream} --base main "
            f'--title {shlex.quote(self.variant.title)} --body-file "{body}"'
        )


def message(author: str, title: str, description: str, summary: str, patch: str) -> str:
    """Return a patch as a message for ``git am``.

    Args:
        author: ``Name <address>``.
        title: The first line of the commit message.
        description: The rest of the commit message.
        summary: The summary of the diff.
        patch: The diff.
    """
    person, address = parseaddr(author)
    return (
        f"From {'0' * 40} Mon Sep 17 00:00:00 2001\n"
        f"From: {formataddr((str(Header(person)) if not person.isascii() else person, address))}\n"
        f"Subject: [PATCH] {title}\n"
        "MIME-Version: 1.0\n"
        "Content-Type: text/plain; charset=UTF-8\n"
        "Content-Transfer-Encoding: 8bit\n\n"
        f"{description}---\n{summary}\n{patch}-- \nrtstt-shim\n"
    )


def make_pull_request(fix: Fix, source: Source) -> PullRequest:
    """Patch a source in memory.

    Raises:
        NotAffected: The source does not need the fix.
        UnknownShape: The source does not contain what the rules look for.
    """
    before = {fix.source: source.read(fix.source) or ""}
    texts = {"source": before[fix.source]}
    where = {"source": source.local(fix.source)}
    tests = source.read(fix.tests) if fix.tests else None
    if fix.tests and tests is not None:
        before[fix.tests] = texts["tests"] = tests
        where["tests"] = source.local(fix.tests)
    applied = apply_rules(fix.rules, texts, where)
    after = {fix.source: applied.texts["source"]}
    variant = fix.variant(applied.rules)
    if fix.tests and tests is not None:
        after[fix.tests] = applied.texts["tests"]
    elif fix.new_tests is None:
        raise UnknownShape(f"{source.folder} has no {source.local(fix.tests or '')} to add tests to")
    else:
        after[fix.new_tests] = fix.new_test_module()
    note = fix.changeset(variant)
    if note is not None:
        after[note[0]] = note[1]
    for path in after:
        if path not in before and source.read(path) is not None:
            raise BadInput(f"{source.folder} already has a {source.local(path)}: remove it first")
    return PullRequest(
        fix, source, variant, before, after, find_elsewhere(fix, source, before[fix.source], after[fix.source])
    )


def write_pull_request(
    request: PullRequest, out: Path, author: str, report: VerificationReport | None, *, force: bool = False
) -> list[str]:
    """Write the patch and the text into a folder that contains nothing else.

    Args:
        request: The pull request.
        out: The folder; it is created if it does not exist.
        author: ``Name <address>``.
        report: The report of a verification; None if there was none.
        force: Whether to replace the files of an earlier pull request.

    Returns:
        The paths written, relative to the folder.

    Raises:
        BadInput: The folder cannot be written to, contains other files, or contains another pull request.
    """
    files = {request.patch_name: request.patch(author, checkout=False), "PR.md": request.text(report)}
    if not request.source.is_checkout:
        files[f"{CHECKOUT}/{request.patch_name}"] = request.patch(author, checkout=True)
    write_folder(out, files, REPLACEABLE if force else ())
    return sorted(files)


def check_unused(out: Path, *, force: bool = False) -> None:
    """Check that a folder can take a pull request, before a verification that takes minutes.

    Raises:
        BadInput: The folder contains files that would have to be replaced.
    """
    check_folder(out, {}, REPLACEABLE if force else ())


def check_output(request: PullRequest, out: Path) -> None:
    """Check that patches written earlier apply to the source as it is now.

    Raises:
        BadInput: The folder contains no patch.
        UnknownShape: A patch no longer applies.
    """
    patches = sorted(out.glob("*.patch"))
    if not patches:
        raise BadInput(f"{out} contains no patch to check: generate it first, without --check")
    local = {request.source.local(path): text for path, text in request.before.items()}
    for patch in [*patches, *sorted(out.glob(f"{CHECKOUT}/*.patch"))]:
        files = request.before if patch.parent.name == CHECKOUT else local
        error = git.apply_error(patch.read_text(encoding="utf-8"), files)
        if error:
            raise UnknownShape(f"{patch} no longer applies to {request.source.folder} ({error}): generate it again")


def _reflow(text: str) -> str:
    """Join the lines of each paragraph: GitHub keeps line breaks in a pull request's text."""
    return "\n\n".join(" ".join(textwrap.dedent(paragraph).split()) for paragraph in text.strip().split("\n\n"))
