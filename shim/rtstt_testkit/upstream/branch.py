"""Add a branch to a git checkout without running git inside it.

Git's own commands would run what the checkout configures: hooks, filters, a file system monitor. Here a repository of
our own, which reads the objects of the checkout, makes the commit; its objects and the branch are added as files.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from email.utils import parseaddr
from pathlib import Path

from rtstt_testkit.upstream.checkout import Checkout, CommittedFile
from rtstt_testkit.upstream.errors import BadInput, UpstreamError
from rtstt_testkit.upstream.git import git, repository

__all__ = ["Commit", "added_branch", "check_branch", "make_commit"]


@dataclass(frozen=True)
class Commit:
    """A commit that its repository does not have yet.

    Attributes:
        name: The hash.
        objects: The compressed objects, by their path below the folder of the objects.
    """

    name: str
    objects: Mapping[str, bytes]


def make_commit(checkout: Checkout, files: Mapping[CommittedFile, str], author: str, message: str) -> Commit:
    """Return a commit on top of the one that is checked out.

    Args:
        checkout: The checkout, which is only read.
        files: The new text of each changed file.
        author: ``Name <address>``.
        message: The commit message.
    """
    head = checkout.head()
    person, address = parseaddr(author)
    identity = ("-c", f"user.name={person}", "-c", f"user.email={address}")
    with repository([checkout.objects.resolve()], len(head)) as folder:
        git("read-tree", head, cwd=folder)
        lines = []
        for entry, text in files.items():
            blob = git("hash-object", "-w", "--stdin", "--no-filters", cwd=folder, stdin=text).strip()
            lines.append(f"{entry.mode} {blob}\t{entry.path}\0")
        git("update-index", "-z", "--index-info", cwd=folder, stdin="".join(lines))
        tree = git("write-tree", cwd=folder).strip()
        name = git(*identity, "commit-tree", "-p", head, "-F", "-", tree, cwd=folder, stdin=message).strip()
        objects = folder / ".git" / "objects"
        made = {path.relative_to(objects).as_posix(): path.read_bytes() for path in objects.glob("??/*")}
    return Commit(name, made)


def check_branch(checkout: Checkout, name: str) -> None:
    """Check that a branch can be added.

    Raises:
        BadInput: The name is not valid for git, or the checkout has such a branch.
    """
    with repository() as folder:
        try:
            valid = git("check-ref-format", "--branch", name, cwd=folder).strip() == name
        except BadInput:
            raise
        except UpstreamError:
            valid = False
    if not valid:
        raise BadInput(f"git does not accept the branch name {name!r}: choose another with --branch")
    names = checkout.branches()
    same = next((other for other in names if f"{other}/".startswith(f"{name}/") or name.startswith(f"{other}/")), None)
    if same is not None:
        raise BadInput(
            f"{checkout.folder} already has a branch {same}: delete it, or choose another name with --branch"
        )


@contextmanager
def added_branch(checkout: Checkout, name: str, commit: Commit) -> Iterator[None]:
    """Add a branch to a checkout. It is removed again if the context ends with an exception.

    Working tree, index and HEAD are not touched.

    Raises:
        BadInput: The branch cannot be written; the checkout is as it was.
    """
    made: list[Path] = []
    try:
        try:
            for object_path, data in commit.objects.items():
                if not (checkout.objects / object_path).exists():
                    _create(checkout.objects / object_path, data, checkout.common, made, 0o444)
            _create(
                checkout.common / "refs" / "heads" / name, f"{commit.name}\n".encode(), checkout.common, made, 0o666
            )
        except OSError as error:
            raise BadInput(
                f"cannot add a branch to {checkout.folder} ({error.strerror}): make it writable, or give --no-branch"
            ) from error
        yield
    except BaseException:
        for path in reversed(made):
            with suppress(OSError):
                path.rmdir() if path.is_dir() else path.unlink()
        raise


def _create(file: Path, data: bytes, root: Path, made: list[Path], mode: int) -> None:
    """Create a file with its folders, as git does: under the name of a lock first.

    Args:
        file: The file, which does not exist.
        data: Its content.
        root: The folder that it must not leave through a link.
        made: Gets every file and folder that is created.
        mode: The permissions of the file.
    """
    for folder in reversed(file.relative_to(root).parents):
        here = root / folder
        if not here.resolve().is_relative_to(root.resolve()):
            raise BadInput(f"{here} is a link that leaves {root}: replace it with a folder")
        if not here.is_dir():
            here.mkdir()
            made.append(here)
    lock = file.with_name(f"{file.name}.lock")
    descriptor = os.open(lock, os.O_CREAT | os.O_EXCL | os.O_WRONLY, mode)
    made.append(lock)
    with os.fdopen(descriptor, "wb") as stream:
        stream.write(data)
    if file.exists():
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(file))
    made.append(file)
    lock.rename(file)
