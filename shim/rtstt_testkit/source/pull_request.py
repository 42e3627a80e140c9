"""A pull request for any application: a patch of what the source rules rewrite, and its text."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from rtstt_core.clients.results import Finding
from rtstt_core.clients.tree import Unread
from rtstt_testkit.source.fix import fixed_text
from rtstt_testkit.source.scan import findings_in, source_files
from rtstt_testkit.upstream.checkout import find_checkout
from rtstt_testkit.upstream.errors import BadInput, NotAffected
from rtstt_testkit.upstream.files import like, plain, write_folder
from rtstt_testkit.upstream.git import diff
from rtstt_testkit.upstream.pull_request import REPLACEABLE, message

__all__ = ["SourcePullRequest", "make_source_pull_request"]

TITLE = "Open OpenAI realtime transcription sessions as the endpoint accepts them"
SLUG = "fix-openai-realtime-transcription"
_ABOUT = """\
OpenAI's realtime endpoint refuses a transcription session whose URL or events have the form below, and the application
gets no transcript. This changes what follows from the code with certainty.
"""


@dataclass(frozen=True)
class SourcePullRequest:
    """The files of an application before and after, what was found, and what is left to do."""

    before: dict[str, str]
    after: dict[str, str]
    found: list[Finding]
    left: list[Finding]

    @property
    def patch_name(self) -> str:
        """The file name of the patch."""
        return f"0001-{SLUG}.patch"

    def text(self) -> str:
        """Return the text of the pull request, preceded by a comment with the commands that open it."""
        changes = "\n".join(f"- `{found.file}` line {found.line}: {found.why}" for found in self.found)
        left = "\n".join(f"- `{found.file}` line {found.line}: {found.why} {found.fix}" for found in self.left)
        return (
            f"<!--\nTitle: {TITLE}\n\nIn the checkout, with OUT set to the folder of this file:\n\n"
            f'    git switch -c {SLUG}\n    git am "$OUT/{self.patch_name}"\n    git push -u origin HEAD\n-->\n\n'
            f"{_ABOUT}\n### Changes\n\n{changes}\n\n"
            + (f"### Left to do\n\n{left}\n\n" if left else "")
            + "### Testing\n\nNot run: the tests of this repository.\n"
        )

    def write(self, out: Path, author: str, *, force: bool) -> list[str]:
        """Write the patch and the text into a folder that contains nothing else.

        Args:
            out: The folder; it is created if it does not exist.
            author: ``Name <address>``.
            force: Whether to replace the files of an earlier pull request.

        Returns:
            The paths written, relative to the folder.
        """
        text, summary = diff(self.before, self.after)
        patch = message(author, TITLE, _ABOUT, summary, text)
        files = {self.patch_name: patch, "PR.md": self.text()}
        write_folder(out, files, REPLACEABLE if force else ())
        return sorted(files)


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
    request = SourcePullRequest({}, {}, [], [])
    unread = Unread()
    for path, text in source_files(folder, unread):
        name = path.relative_to(folder).as_posix()
        fixed = fixed_text(path, text)
        request.left.extend(found for found in findings_in(name, fixed) if found.verdict == "affected")
        if fixed == text or path.is_symlink():
            continue
        raw = path.read_bytes().decode("utf-8")
        request.before[name] = raw
        request.after[name] = like(raw, plain(fixed))
        request.found.extend(found for found in findings_in(name, text) if found.fixable)
    if unread.notes:
        raise BadInput(f"cannot read {unread.notes[0]}: make it readable first")
    if not request.after:
        raise NotAffected("nothing in it can be rewritten with certainty")
    checkout.check(*request.before)
    return request
