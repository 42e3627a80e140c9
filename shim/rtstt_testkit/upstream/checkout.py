"""The state of a git checkout, read from its files: git itself never runs inside it."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

from rtstt_testkit.upstream.errors import BadInput, UpstreamError
from rtstt_testkit.upstream.git import git, repository

__all__ = ["Checkout", "find_checkout"]

#: Files of git that exist during an operation, with its name.
_OPERATIONS = {
    "rebase-merge": "a rebase",
    "rebase-apply": "a rebase",
    "MERGE_HEAD": "a merge",
    "CHERRY_PICK_HEAD": "a cherry-pick",
    "REVERT_HEAD": "a revert",
}
_REF = re.compile(r"ref: (refs/[^\s]+)\s*")
_HASH = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")


@dataclass(frozen=True)
class Checkout:
    """A git checkout.

    Attributes:
        folder: The working tree.
        private: The git folder of this working tree, with HEAD.
        common: The git folder that worktrees share, with objects, refs and configuration.
    """

    folder: Path
    private: Path
    common: Path

    @property
    def config(self) -> Path | None:
        """The configuration file, if there is one."""
        path = self.common / "config"
        return path if path.is_file() else None

    def check(self, *paths: str) -> None:
        """Check that the checkout is in a state to make patches from.

        Args:
            paths: Files and folders that must not have uncommitted changes.

        Raises:
            BadInput: An operation is in progress, a path has uncommitted changes, or the commit cannot be read.
        """
        for name, operation in _OPERATIONS.items():
            if (self.private / name).exists():
                raise BadInput(f"{self.folder} is in the middle of {operation}: finish or abort it first")
        changed = self._changes(paths)
        if changed:
            more = f" and {len(changed) - 1} more" if len(changed) > 1 else ""
            raise BadInput(f"{self.folder} has uncommitted changes ({changed[0]}{more}): commit or stash them first")

    def _changes(self, paths: tuple[str, ...]) -> list[str]:
        head = self._head()
        with repository([(self.common / "objects").resolve()]) as folder:
            try:
                listing = git("ls-tree", "-r", "-z", head, "--", *(path.rstrip("/") for path in paths), cwd=folder)
            except BadInput:
                raise
            except UpstreamError as error:
                raise BadInput(f"{self.folder} lacks objects of its commit ({error}): fetch them first") from error
        changed = []
        for entry in filter(None, listing.split("\0")):
            info, path = entry.split("\t", 1)
            mode, kind, name = info.split(" ")
            if kind == "blob" and mode != "120000" and _blob(self.folder / path, len(name)) != name:
                changed.append(path)
        return changed

    def _head(self) -> str:
        """Return the hash of the commit that is checked out."""
        text = _read(self.private / "HEAD")
        ref = _REF.fullmatch(text)
        if ref:
            text = _read(self.common / ref[1])
            if not text:
                packed = re.search(
                    rf"^([0-9a-f]+) {re.escape(ref[1])}$", _read(self.common / "packed-refs"), re.MULTILINE
                )
                text = packed[1] if packed else ""
        if not _HASH.fullmatch(text.strip()):
            raise BadInput(f"{self.folder} has no readable commit: commit something first")
        return text.strip()


def find_checkout(folder: Path) -> Checkout | None:
    """Return the checkout of a folder, or None if the folder has no ``.git``.

    Raises:
        BadInput: The ``.git`` file names no git folder.
    """
    private = folder / ".git"
    if private.is_file():
        target = _read(private).removeprefix("gitdir: ").strip()
        private = folder / target
        if not target or not private.is_dir():
            raise BadInput(f"{folder / '.git'} names no git folder: repair the worktree first")
    elif not private.is_dir():
        return None
    common = _read(private / "commondir").strip()
    return Checkout(folder, private, private / common if common else private)


def _blob(path: Path, digits: int) -> str | None:
    """Return git's hash of a file, or None if it cannot be read."""
    try:
        data = path.read_bytes()
    except OSError:
        return None
    algorithm = hashlib.sha1 if digits == 40 else hashlib.sha256
    return algorithm(b"blob %d\0" % len(data) + data).hexdigest()


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
