"""Run tools, and keep what they build in folders of the cache.

A folder is complete when it holds the file ``complete``, which is written last. A virtual environment contains its own
path, so it cannot be built elsewhere and moved. Processes that need the same folder wait for each other.
"""

import contextlib
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
CACHE = Path(os.environ.get("RTSTT_CACHE") or ROOT / ".cache").resolve()

TOOL_TIMEOUT = 300
"""Seconds until a tool is stopped."""

NETWORK_ERROR = re.compile(
    r"dns error|name resolution|name or service not known|failed to resolve|getaddrinfo|enotfound|eai_again|"
    r"econnrefused|connection refused|network is unreachable|newconnectionerror|connect timeout|etimedout|"
    r"error sending request|connection broken by|max retries exceeded",
    re.IGNORECASE,
)


class SetupError(Exception):
    """A script cannot get something it needs; the message is one sentence that names it and the fix."""


def log(line: str) -> None:
    """Print a line of progress to stderr."""
    print(line, file=sys.stderr, flush=True)


@contextlib.contextmanager
def exit_on_error(name: str) -> Iterator[None]:
    """Exit with 2 and one sentence after a SetupError, with 130 after Ctrl-C.

    Args:
        name: The script's name, which the sentence starts with.
    """
    try:
        yield
    except SetupError as error:
        print(f"{name}: {error}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(130)


def clean_environ() -> dict[str, str]:
    """Return the environment variables without those that point a tool to another environment."""
    removed = ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV", "__PYVENV_LAUNCHER__")
    kept = {name: value for name, value in os.environ.items() if name not in removed and not name.startswith("RTSTT_")}
    # Behind a proxy that intercepts TLS, only the system's certificates include its CA.
    certificates = {"UV_SYSTEM_CERTS": "1", "UV_NATIVE_TLS": "1", "NODE_USE_SYSTEM_CA": "1"}
    return {**kept, **certificates, "UV_PYTHON_DOWNLOADS": "never", "NO_COLOR": "1"}


def run_tool(step: str, command: Sequence[str | Path], folder: Path = ROOT) -> None:
    """Run a tool without showing its output, which goes to a log file if it fails.

    Args:
        step: What the tool does, for messages.
        command: The tool and its arguments.
        folder: The working directory.

    Raises:
        SetupError: The tool failed.
    """
    words = [str(word) for word in command]
    for attempt in (1, 2):
        try:
            done = subprocess.run(
                words,
                cwd=folder,
                env=clean_environ(),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
                timeout=TOOL_TIMEOUT,
            )
            break
        except OSError as error:
            raise SetupError(f"{step} failed: cannot start {words[0]}: {error.strerror}") from None
        except subprocess.TimeoutExpired:  # npm can hang after a lost connection
            if attempt == 2:
                raise SetupError(f"{step} failed: {words[0]} timed out after {TOOL_TIMEOUT} seconds, twice") from None
            log(f"{step}: {words[0]} timed out after {TOOL_TIMEOUT} seconds; trying again")
    if done.returncode == 0:
        return
    CACHE.mkdir(parents=True, exist_ok=True)
    log_file = CACHE / "last-failure.log"
    log_file.write_text(f"{words}\n\n{done.stdout}", encoding="utf-8")
    if NETWORK_ERROR.search(done.stdout):
        raise SetupError(f"{step} failed: the package registry is not reachable; check the network ({log_file})")
    raise SetupError(f"{step} failed: {_first_error(done.stdout)} ({log_file})")


def _first_error(output: str) -> str:
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    errors = [line for line in lines if re.match(r"(npm )?err(or)?\b|.*Error:|×", line, re.IGNORECASE)]
    return (errors or lines or ["no output"])[0][:300]


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Hold the lock of a folder; the system releases it when the process ends."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with folder.with_name(f"{folder.name}.lock").open("a") as file:
        try:
            import fcntl
        except ImportError:
            import msvcrt

            msvcrt.locking(file.fileno(), msvcrt.LK_LOCK, 1)
        else:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                log(f"waiting for another process that builds {folder.name}")
                fcntl.flock(file, fcntl.LOCK_EX)
        yield


def cached_folder(folder: Path, identity: Mapping[str, object], build: Callable[[], None]) -> Path:
    """Return a folder, built again if it is incomplete or was built for another identity.

    Args:
        folder: Where it is.
        identity: What its content depends on.
        build: Builds it; on an exception the folder is removed.
    """
    marker = folder / "complete"
    wanted = json.dumps(identity, sort_keys=True)
    with _locked(folder):
        if marker.exists() and marker.read_text(encoding="utf-8") == wanted:
            return folder
        shutil.rmtree(folder, ignore_errors=True)
        try:
            build()
            marker.write_text(wanted, encoding="utf-8")
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
    return folder


def folder_name(text: str, identity: Mapping[str, object]) -> str:
    """Return a name for a folder: a readable part, and a digest of the identity."""
    digest = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:10]
    return f"{re.sub('[^a-z0-9.]+', '-', text.lower()).strip('-')[:40]}-{digest}"
