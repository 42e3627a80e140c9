"""A pull request for any application: a patch of what the source rules rewrite, a branch with it, and its text."""

from __future__ import annotations

import shlex
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path

from rtstt_core.clients.results import Finding
from rtstt_core.clients.tree import Unread
from rtstt_testkit.source.fix import fixed_text
from rtstt_testkit.source.scan import findings_in, source_files
from rtstt_testkit.upstream.branch import added_branch, check_branch, make_commit
from rtstt_testkit.upstream.checkout import Checkout, CommittedFile, find_checkout
from rtstt_testkit.upstream.errors import BadInput, NotAffected
from rtstt_testkit.upstream.files import check_folder, like, plain, write_folder
from rtstt_testkit.upstream.git import diff
from rtstt_testkit.upstream.pull_request import REPLACEABLE, message

__all__ = ["SLUG", "SourcePullRequest", "make_source_pull_request"]

TITLE = "Open OpenAI realtime transcription sessions as the endpoint accepts them"
SLUG = "fix-openai-realtime-transcription"
_ABOUT = """\
OpenAI's realtime endpoint refuses a transcription session whose URL or events have the form below, and the application
gets no transcript. This changes what follows from the code with certainty.
"""


@dataclass(frozen=True)
class SourcePullRequest:
    """The changed files of an application.

    Attributes:
        checkout: The application.
        before: Their committed texts.
        after: Their new texts.
        found: What is rewritten.
        left: What is left to do.
    """

    checkout: Checkout
    before: dict[CommittedFile, str]
    after: dict[CommittedFile, str]
    found: list[Finding]
    left: list[Finding]

    @property
    def patch_name(self) -> str:
        """The file name of the patch."""
        return f"0001-{SLUG}.patch"

    def text(self, branch: str | None) -> str:
        """Return the text of the pull request, preceded by a comment with the commands that open it.

        Args:
            branch: The branch that has the change; None if there is only the patch.
        """
        switch = f'git switch -c {SLUG}\n    git am "$OUT/{self.patch_name}"'
        if branch is not None:
            switch = f"git switch {shlex.quote(branch)}"
        changes = "\n".join(f"- `{found.file}` line {found.line}: {found.why}" for found in self.found)
        left = "\n".join(f"- `{found.file}` line {found.line}: {found.why} {found.fix}" for found in self.left)
        return (
            f"<!--\nTitle: {TITLE}\n\nIn the checkout, with OUT set to the folder of this file:\n\n"
            f"    {switch}\n    git push -u origin HEAD\n"
            f'    gh pr create --title {shlex.quote(TITLE)} --body-file "$OUT/PR.md"\n-->\n\n'
            f"{_ABOUT}\n### Changes\n\n{changes}\n\n"
            + (f"### Left to do\n\n{left}\n\n" if left else "")
            + "### Testing\n\nNot run: the tests of this repository.\n"
        )

    def write(self, out: Path, author: str, branch: str | None, *, force: bool) -> list[str]:
        """Add a branch to the checkout, and write the patch and the text into a folder that contains nothing else.

        Args:
            out: The folder; it is created if it does not exist.
            author: ``Name <address>``.
            branch: The name of the branch; None for none.
            force: Whether to replace the files of an earlier pull request.

        Returns:
            The paths written, relative to the folder.

        Raises:
            BadInput: The branch exists or cannot be added, or the folder cannot be written to; neither is changed.
        """
        before, after = ({entry.path: text for entry, text in side.items()} for side in (self.before, self.after))
        text, summary = diff(before, after)
        patch = message(author, TITLE, _ABOUT, summary, text)
        files = {self.patch_name: patch, "PR.md": self.text(branch)}
        replaceable = REPLACEABLE if force else ()
        if branch is not None:
            check_branch(self.checkout, branch)
        check_folder(out, files, replaceable)
        with nullcontext() if branch is None else self._added_branch(branch, author):
            write_folder(out, files, replaceable)
        return sorted(files)

    def _added_branch(self, name: str, author: str) -> AbstractContextManager[None]:
        commit = make_commit(self.checkout, self.after, author, f"{TITLE}\n\n{_ABOUT}")
        return added_branch(self.checkout, name, commit)


def make_source_pull_request(folder: Path) -> SourcePullRequest:
    """Rewrite the source of an application in memory.

    Args:
        folder: A git checkout.

    Raises:
        BadInput: It is not a checkout, or a file to change has uncommitted changes.
        NotAffected: Nothing can be rewritten with certainty.
    """
    checkout = find_checkout(folder) if folder.is_dir() else None
    if checkout is None:
        raise BadInput(f"{folder} is not a git checkout: give the root of one")
    left: list[Finding] = []
    changed: dict[str, tuple[str, str]] = {}
    found: dict[str, list[Finding]] = {}
    unread = Unread()
    for path, text in source_files(folder, unread):
        name = path.relative_to(folder).as_posix()
        fixed = fixed_text(path, text)
        left.extend(finding for finding in findings_in(name, fixed) if finding.verdict == "affected")
        if fixed != text and not path.is_symlink():
            changed[name] = (path.read_bytes().decode("utf-8"), fixed)
            found[name] = [finding for finding in findings_in(name, text) if finding.fixable]
    if unread.notes:
        raise BadInput(f"cannot read {unread.notes[0]}: make it readable first")
    # Files that are not committed, such as built ones, are not part of the repository.
    entries = checkout.check(*changed) if changed else []
    if not entries:
        raise NotAffected("nothing that is committed in it can be rewritten with certainty")
    request = SourcePullRequest(checkout, {}, {}, [], left)
    for entry in entries:
        present, fixed = changed[entry.path]
        # Git may have given the file its line ends.
        committed = present if entry.has(present.encode()) else present.replace("\r\n", "\n")
        request.before[entry] = committed
        request.after[entry] = like(committed, plain(fixed))
        request.found.extend(found[entry.path])
    return request
