"""The state of a git checkout, read from its files: git itself never runs inside it."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

from rtstt_testkit.upstream.errors import BadInput, UpstreamError
from rtstt_testkit.upstream.git import git, repository

__all__ = ["Checkout", "CommittedFile", "find_checkout"]

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
class CommittedFile:
    """A file of the commit that is checked out."""

    path: str
    mode: str
    blob: str

    def has(self, data: bytes) -> bool:
        """Return whether the committed content is ``data``."""
        return _blob(data, len(self.blob)) == self.blob


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

    @property
    def objects(self) -> Path:
        """The folder of the objects."""
        return self.common / "objects"

    def check(self, *paths: str) -> list[CommittedFile]:
        """Check that the checkout is in a state to make patches from.

        Args:
            paths: Files and folders that must not have uncommitted changes.

        Returns:
            The files of the commit at and below the paths; links are left out.

        Raises:
            BadInput: An operation is in progress, a path has uncommitted changes, or the commit cannot be read.
        """
        if (self.common / "reftable").is_dir():
            raise BadInput(f"{self.folder} stores its refs as reftables, which are not supported: give a clone of it")
        for name, operation in _OPERATIONS.items():
            if (self.private / name).exists():
                raise BadInput(f"{self.folder} is in the middle of {operation}: finish or abort it first")
        entries = self._entries(paths)
        changed = [entry.path for entry in entries if not self._is_unchanged(entry)]
        if changed:
            more = f" and {len(changed) - 1} more" if len(changed) > 1 else ""
            raise BadInput(f"{self.folder} has uncommitted changes ({changed[0]}{more}): commit or stash them first")
        return entries

    def _entries(self, paths: tuple[str, ...]) -> list[CommittedFile]:
        head = self.head()
        with repository([self.objects.resolve()], len(head)) as folder:
            try:
                listing = git("ls-tree", "-r", "-z", head, "--", *(path.rstrip("/") for path in paths), cwd=folder)
            except BadInput:
                raise
            except UpstreamError as error:
                raise BadInput(f"{self.folder} lacks objects of its commit ({error}): fetch them first") from error
        entries = []
        for line in filter(None, listing.split("\0")):
            info, path = line.split("\t", 1)
            mode, kind, name = info.split(" ")
            if kind == "blob" and mode != "120000":
                entries.append(CommittedFile(path, mode, name))
        return entries

    def _is_unchanged(self, entry: CommittedFile) -> bool:
        """Return whether a file has its committed content, or had its line ends converted to Windows ones by git."""
        try:
            data = (self.folder / entry.path).read_bytes()
        except OSError:
            return False
        return entry.has(data) or entry.has(data.replace(b"\r\n", b"\n"))

    def branches(self) -> list[str]:
        """Return the names of the local branches."""
        heads = self.common / "refs" / "heads"
        loose = [path.relative_to(heads).as_posix() for path in heads.rglob("*") if path.is_file()]
        packed = re.findall(r"^[0-9a-f]+ refs/heads/(.+)$", _read(self.common / "packed-refs"), re.MULTILINE)
        return sorted({*loose, *packed})

    def head(self) -> str:
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


def _blob(data: bytes, digits: int) -> str:
    """Return git's hash of a file's content."""
    algorithm = hashlib.sha1 if digits == 40 else hashlib.sha256
    return algorithm(b"blob %d\0" % len(data) + data).hexdigest()


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
