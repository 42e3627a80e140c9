"""Write several files: all of them or none."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from rtstt_testkit.upstream.errors import BadInput

__all__ = ["write_all", "write_folder"]


def write_folder(folder: Path, files: Mapping[str, str]) -> None:
    """Write files into a folder that holds nothing else.

    Raises:
        BadInput: The folder holds other files, or cannot be written to.
    """
    if folder.exists() and not folder.is_dir():
        raise BadInput(f"{folder} is a file: give a folder for the output")
    if folder.is_dir():
        known = {folder / path for path in files}
        known |= {parent for path in known for parent in path.parents}
        other = next((path for path in sorted(folder.rglob("*")) if path not in known), None)
        if other is not None:
            raise BadInput(f"{folder} holds other files ({other.relative_to(folder)}): give an empty folder")
    write_all(folder, files)


def write_all(folder: Path, files: Mapping[str, str]) -> None:
    """Write files below a folder: each to a temporary file first, then all are renamed.

    Raises:
        BadInput: A file cannot be written; in that case none is.
    """
    ready: list[tuple[Path, Path]] = []
    try:
        for path, text in files.items():
            file = folder / path
            file.parent.mkdir(parents=True, exist_ok=True)
            temporary = file.with_name(f".{file.name}.{os.getpid()}")
            ready.append((temporary, file))
            temporary.write_bytes(text.encode())
        for temporary, file in ready:
            if file.exists():
                temporary.chmod(file.stat().st_mode & 0o777)
            temporary.replace(file)
    except OSError as error:
        raise BadInput(f"cannot write {error.filename or folder}: {error.strerror}") from error
    finally:
        for temporary, _ in ready:
            temporary.unlink(missing_ok=True)
