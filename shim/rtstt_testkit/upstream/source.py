"""A source: a checkout of an upstream's repository, or its published package unpacked."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from rtstt_testkit.upstream.checkout import find_checkout
from rtstt_testkit.upstream.errors import BadInput, UnknownShape
from rtstt_testkit.upstream.fixes import Fix

__all__ = ["Source", "open_source"]


@dataclass(frozen=True)
class Source:
    """A recognised source; paths are those of the upstream's repository.

    ``prefix`` is the part of the repository's paths that the source's paths lack: empty for a checkout.
    """

    folder: Path
    prefix: str
    version: str

    @property
    def is_checkout(self) -> bool:
        """Whether the source is a repository, not a package."""
        return not self.prefix

    def local(self, path: str) -> str:
        """Return the path in this source for a path in the repository."""
        return path.removeprefix(self.prefix)

    def read(self, path: str) -> str | None:
        """Return the text of a file, or None if it does not exist.

        Raises:
            BadInput: The file is not UTF-8 text with Unix line endings.
        """
        file = self.folder / self.local(path)
        if not file.resolve().is_relative_to(self.folder.resolve()):
            raise BadInput(f"{file} is a link that leaves the source: replace it with the upstream's file")
        try:
            text = file.read_bytes().decode("utf-8")
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise BadInput(f"cannot read {file}: {error.strerror}") from error
        except UnicodeDecodeError as error:
            raise BadInput(f"{file} is not UTF-8 text, so it is not the upstream's file") from error
        if "\r\n" in text:
            raise BadInput(f"{file} has Windows line endings, which the upstream does not: convert them to LF first")
        return text


def open_source(fix: Fix, folder: Path) -> Source:
    """Recognise a folder as a source of a fix's upstream.

    Raises:
        BadInput: It is not one, or has uncommitted changes.
        UnknownShape: It is one, but the file to patch does not exist.
    """
    if not folder.is_dir():
        problem = "is a file: unpack it first" if folder.exists() else "does not exist: give the folder of the source"
        raise BadInput(f"{folder} {problem}")
    for prefix in ("", fix.root):
        source = Source(folder, prefix, "unknown")
        text = source.read(fix.version_file)
        if text is None or (fix.registry == "npm" and f'"name": "{fix.package}"' not in text):
            continue
        if source.read(fix.source) is None:
            raise UnknownShape(f"{folder} is {fix.package}, but has no {source.local(fix.source)} to patch")
        checkout = find_checkout(folder)
        if checkout is not None:
            checkout.check(*(source.local(path) for path in fix.paths()))
        return Source(folder, prefix, fix.version(text) or "unknown")
    files = " and no ".join(dict.fromkeys((fix.version_file, fix.version_file.removeprefix(fix.root))))
    named = " with that name" if fix.registry == "npm" else ""
    raise BadInput(
        f"{folder} is neither a checkout of {fix.upstream} nor an unpacked {fix.package}: it has no {files}{named}"
    )
