"""Write several files: all of them or none."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from rtstt_testkit.upstream.errors import BadInput

__all__ = ["check_folder", "like", "plain", "write_all", "write_folder"]


def like(original: str, text: str) -> str:
    """Return a text with the line ends and the byte order mark of another."""
    if "\r\n" in original:
        text = text.replace("\n", "\r\n")
    return f"\ufeff{text}" if original.startswith("\ufeff") else text


def plain(text: str) -> str:
    """Return a text with Unix line ends and without a byte order mark."""
    return text.removeprefix("\ufeff").replace("\r\n", "\n")


def check_folder(folder: Path, files: Mapping[str, str], replaceable: Sequence[str] = ()) -> set[Path]:
    """Check that files can be written into a folder without loss.

    Args:
        folder: The folder; it need not exist.
        files: The text of each file, by its path below the folder.
        replaceable: Patterns of files that may be replaced or removed.

    Returns:
        The present files that match a pattern.

    Raises:
        BadInput: The folder contains other files, or files with another content.
    """
    if folder.exists() and not folder.is_dir():
        raise BadInput(f"{folder} is a file: give a folder for the output")
    replaced = {path for pattern in replaceable for path in folder.glob(pattern)}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path in replaced or (path.is_dir() and not path.is_symlink()):
            continue
        if name == "PR.md" or path.suffix == ".patch":
            if name not in files or path.is_symlink() or path.read_bytes() != files[name].encode():
                raise BadInput(
                    f"{folder} contains another pull request ({name}): give another folder, or --force to replace it"
                )
        else:
            raise BadInput(f"{folder} contains other files ({name}): give an empty folder")
    return replaced


def write_folder(folder: Path, files: Mapping[str, str], replaceable: Sequence[str] = ()) -> None:
    """Write files into a folder that contains nothing else.

    Args:
        folder: The folder; it is created if it does not exist.
        files: The text of each file, by its path below the folder.
        replaceable: Patterns of files that are replaced, or removed if they are not in ``files``.

    Raises:
        BadInput: As for `check_folder`, or the folder cannot be written to; nothing is changed.
    """
    replaced = check_folder(folder, files, replaceable)
    if not folder.exists():
        _create(folder, files)
        return
    write_all(folder, files)
    for path in replaced - {folder / name for name in files}:
        path.unlink()


def _create(folder: Path, files: Mapping[str, str]) -> None:
    """Create a folder with files; it appears with all of them or not at all."""
    temporary = folder.with_name(f".{folder.name}.{os.getpid()}")
    try:
        write_all(temporary, files)
        temporary.rename(folder)
    except OSError as error:
        raise BadInput(f"cannot write {folder}: {error.strerror}") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def write_all(folder: Path, files: Mapping[str, str | None]) -> None:
    """Write and remove files below a folder: each is written to a temporary file first, then all are renamed.

    Args:
        folder: The folder.
        files: The text of each file, by its path below the folder; None to remove it. A link is written through.

    Raises:
        BadInput: A file cannot be written, or its folder is a link that leaves ``folder``; in that case nothing is
            changed.
    """
    ready: list[tuple[Path, Path]] = []
    try:
        for path, text in files.items():
            file = folder / path
            if text is None:
                continue
            _refuse_leaving(folder, file)
            file.parent.mkdir(parents=True, exist_ok=True)
            file = file.resolve() if file.is_symlink() else file
            temporary = file.with_name(f".{file.name}.{os.getpid()}")
            ready.append((temporary, file))
            temporary.write_bytes(text.encode())
        for temporary, file in ready:
            if file.exists():
                temporary.chmod(file.stat().st_mode & 0o777)
            temporary.replace(file)
        for path, text in files.items():
            if text is None:
                (folder / path).unlink(missing_ok=True)
    except OSError as error:
        raise BadInput(f"cannot write {error.filename or folder}: {error.strerror}") from error
    finally:
        for temporary, _ in ready:
            temporary.unlink(missing_ok=True)


def _refuse_leaving(folder: Path, file: Path) -> None:
    for parent in file.relative_to(folder).parents:
        if not (folder / parent).resolve().is_relative_to(folder.resolve()):
            raise BadInput(f"{folder / parent} is a link that leaves {folder}: replace it with a folder")
