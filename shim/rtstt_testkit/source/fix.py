"""The work of ``rtstt-shim doctor --fix``: show a diff, ask, and rewrite source files."""

from __future__ import annotations

import difflib
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from rtstt_core.clients.results import Finding
from rtstt_core.clients.tree import Unread, printable
from rtstt_core.errors import CommandError, UsageError
from rtstt_testkit.source.edits import rewrite
from rtstt_testkit.source.rules import LANGUAGES
from rtstt_testkit.source.scan import findings_in, source_files

__all__ = ["fix", "fixed_text"]


def fix(folder: Path, *, yes: bool, force: bool) -> int:
    """Rewrite what is certain, and list the rest.

    Args:
        folder: The application's folder.
        yes: Whether to write without asking.
        force: Whether to change files that git does not track or that have uncommitted changes.

    Returns:
        The exit code: 0 if nothing is left, 1 if something is, 2 if something could not be read.

    Raises:
        UsageError: stdin is not a terminal, and `yes` is not given.
        CommandError: A file cannot be written.
    """
    unread = Unread()
    changes: dict[Path, tuple[str, str]] = {}
    left: list[Finding] = []
    for path, text in source_files(folder, unread):
        after = fixed_text(path, text)
        left += [found for found in findings_in(str(path), after) if found.verdict == "affected"]
        refusal = None if after == text or force else _why_not(path)
        if refusal:
            print(printable(f"not changed: {path} {refusal}; commit it first, or add --force"))
            left += [found for found in findings_in(str(path), text) if found.fixable]
        elif after != text:
            changes[path] = (text, after)
    for path, (before, after) in changes.items():
        lines = difflib.unified_diff(before.split("\n"), after.split("\n"), f"a/{path}", f"b/{path}", lineterm="")
        for line in lines:
            print("\t".join(map(printable, line.split("\t"))))
    if changes and (yes or _confirmed(len(changes))):
        for path, (before, after) in changes.items():
            _write(path, before, after)
            print(printable(f"wrote {path}"))
    elif changes:
        left += [found for path, (before, _) in changes.items() for found in findings_in(str(path), before)]
    for found in dict.fromkeys(left):
        print(printable(f"left to do: {found.file}:{found.line}: {found.why} {found.fix}"))
    for note in unread.notes:
        print(printable(f"rtstt-shim: cannot read {note}"), file=sys.stderr)
    if not changes and not left:
        print("nothing to fix")
    return 2 if unread.notes else int(bool(left))


def fixed_text(path: Path, text: str) -> str:
    """Return a source with everything rewritten that is certain."""
    language = LANGUAGES[path.suffix]
    native = "openai.com" in text.lower()

    for _ in range(10):  # two changes that overlap are made one after the other
        after = rewrite(text, language, lambda match: match.is_certain(native))
        if after == text:
            break
        text = after
    return text


def _why_not(path: Path) -> str | None:
    """Return why a file is not safe to change; None if git has its content."""
    git = shutil.which("git")
    if path.is_symlink():
        return "is a link"
    if git is None:
        return "may not be in git: there is no git here"
    # The committed bytes are compared here: `git status` would run the filters that a repository may configure.
    words = [git, "-c", "core.fsmonitor=false", "-C", str(path.parent), "cat-file", "blob", f"HEAD:./{path.name}"]
    committed = subprocess.run(words, capture_output=True)
    if committed.returncode:
        return "is not in git"
    changed = committed.stdout.replace(b"\r\n", b"\n") != path.read_bytes().replace(b"\r\n", b"\n")
    return "has uncommitted changes" if changed else None


def _confirmed(files: int) -> bool:
    if not sys.stdin.isatty():
        raise UsageError("doctor --fix asks before it writes, and stdin is not a terminal; add --yes")
    return input(f"change {files} file{'s' if files > 1 else ''}? [y/N] ").strip().lower() in ("y", "yes")


def _write(path: Path, before: str, after: str) -> None:
    """Replace the content of a file, if it is still what was read; its mode, its mark and its line ends are kept."""
    try:
        raw = path.read_bytes()
        text = raw.decode("utf-8-sig")
        if text.replace("\r\n", "\n") != before.replace("\r\n", "\n"):
            raise CommandError(f"{path} has changed while it was examined; run the command again")
        if "\r\n" in text:
            after = after.replace("\r\n", "\n").replace("\n", "\r\n")
        mark = b"\xef\xbb\xbf" if raw.startswith(b"\xef\xbb\xbf") else b""
        with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as new:
            new.write(mark + after.encode("utf-8"))
        shutil.copymode(path, new.name)
        Path(new.name).replace(path)
    except (OSError, UnicodeError) as error:
        raise CommandError(f"cannot write {path}: {error}; nothing of it was changed") from None
