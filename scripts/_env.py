"""Environments for the scripts and the tests, made when first asked for and kept in ``.cache/``.

Standard library only: the scripts run on a fresh clone. Environments are made with uv where it is present or pip can
install it, with venv and pip otherwise. `RTSTT_CACHE` moves the folder, `RTSTT_INSTALLER=pip` keeps uv out.

A folder counts only when it holds the file ``complete``, which is written last: a virtual environment knows its own
path, so it cannot be made elsewhere and moved. Processes that want the same folder wait for each other.
"""

import sys

if sys.version_info < (3, 10):  # an old one has to be able to read this file, which therefore has no newer syntax
    print(f"{sys.argv[0]} needs Python 3.10 or newer, and {sys.executable} is older; try python3.12", file=sys.stderr)
    sys.exit(2)

import contextlib
import functools
import hashlib
import importlib.util
import json
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]
CACHE = Path(os.environ.get("RTSTT_CACHE") or ROOT / ".cache").resolve()

OLDEST, NEWEST = 10, 14
"""The Python 3 versions the project is tested with."""

NODE = 20
"""The oldest Node the project works with."""

PATIENCE = 300
"""Seconds that a tool may take."""

OUT_OF_REACH = re.compile(
    r"dns error|name resolution|name or service not known|failed to resolve|getaddrinfo|enotfound|eai_again|"
    r"econnrefused|connection refused|network is unreachable|newconnectionerror|connect timeout|etimedout|"
    r"error sending request|connection broken by|max retries exceeded",
    re.IGNORECASE,
)


class Unavailable(Exception):
    """Something a script needs cannot be had; one sentence says what and what to do."""


def say(line: str) -> None:
    """Show progress."""
    print(line, file=sys.stderr, flush=True)


@contextlib.contextmanager
def exits(name: str) -> Iterator[None]:
    """End the script where it cannot go on: 2 and a sentence if something needed cannot be had, 130 after Ctrl-C.

    Args:
        name: What the sentence begins with.
    """
    try:
        yield
    except Unavailable as problem:
        print(f"{name}: {problem}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(130)


# -- commands


def _clean_environ() -> dict[str, str]:
    """The environment without what would make a tool work on somebody else's environment."""
    out = ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV", "__PYVENV_LAUNCHER__")
    kept = {name: value for name, value in os.environ.items() if name not in out and not name.startswith("RTSTT_")}
    # Behind a proxy that intercepts TLS, the CA to trust is among the system's.
    certs = {"UV_SYSTEM_CERTS": "1", "UV_NATIVE_TLS": "1", "NODE_USE_SYSTEM_CA": "1"}
    return {**kept, **certs, "UV_PYTHON_DOWNLOADS": "never", "PIP_DISABLE_PIP_VERSION_CHECK": "1", "NO_COLOR": "1"}


def _do(what: str, command: Sequence[str | Path], folder: Path = ROOT) -> None:
    """Run a tool quietly.

    Raises:
        Unavailable: It failed.
    """
    words = [str(word) for word in command]
    for attempt in (1, 2):
        try:
            done = subprocess.run(
                words,
                cwd=folder,
                env=_clean_environ(),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
                timeout=PATIENCE,
            )
            break
        except OSError as error:
            raise Unavailable(f"{what} failed: cannot start {words[0]}: {error.strerror}") from None
        except subprocess.TimeoutExpired:  # npm is known to hang over a connection that was lost
            if attempt == 2:
                raise Unavailable(f"{what} failed: {words[0]} did not end in {PATIENCE // 60} minutes, twice") from None
            say(f"{what}: {words[0]} has not ended in {PATIENCE // 60} minutes; once more")
    if done.returncode == 0:
        return
    CACHE.mkdir(parents=True, exist_ok=True)
    log = CACHE / "last-failure.log"
    log.write_text(f"{words}\n\n{done.stdout}", encoding="utf-8")
    if OUT_OF_REACH.search(done.stdout):
        raise Unavailable(f"{what} failed: the package registry is out of reach; try again with a network ({log})")
    raise Unavailable(f"{what} failed: {_reason(done.stdout)} ({log})")


def _reason(output: str) -> str:
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    telling = [line for line in lines if re.match(r"(npm )?err(or)?\b|.*Error:|×", line, re.IGNORECASE)]
    return (telling or lines or ["it said nothing"])[0][:300]


# -- folders


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Hold the lock of a folder; it is the system's, so it ends with the process that holds it."""
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
                say(f"waiting for another process that is making {folder.name}")
                fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _kept(folder: Path, identity: Mapping[str, object], make: Callable[[], None]) -> Path:
    """Return a folder that is what `identity` says, making it if it is not; nothing half-made is left behind."""
    mark = folder / "complete"
    wanted = json.dumps(identity, sort_keys=True)
    with _locked(folder):
        if mark.exists() and mark.read_text(encoding="utf-8") == wanted:
            return folder
        shutil.rmtree(folder, ignore_errors=True)
        try:
            make()
            mark.write_text(wanted, encoding="utf-8")
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
    return folder


def _slug(text: str, identity: Mapping[str, object]) -> str:
    digest = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:10]
    return f"{re.sub('[^a-z0-9.]+', '-', text.lower()).strip('-')[:40]}-{digest}"


# -- Python


class Python(NamedTuple):
    """An interpreter."""

    version: str
    """As ``3.12.1``."""

    executable: str

    @property
    def minor(self) -> int:
        """The 12 of 3.12."""
        return int(self.version.split(".")[1])


@functools.cache
def _ask(executable: str) -> Python | None:
    """Return the interpreter behind a path; None if it does not run."""
    # Of an environment, the interpreter it was made with: what is made from either is the same.
    question = (
        "import sys; print('%d.%d.%d' % sys.version_info[:3]); "
        "print(getattr(sys, '_base_executable', None) or sys.executable)"
    )
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        done = subprocess.run(
            [executable, "-c", question], env=_clean_environ(), capture_output=True, text=True, timeout=60
        )
        if done.returncode == 0:
            version, path = done.stdout.splitlines()
            return Python(version, path)
    return None


def interpreter(wanted: str | None = None) -> Python:
    """Return an interpreter: the one running, or by version (``3.12``) or path.

    Raises:
        Unavailable: It is not there, or too old.
    """
    if wanted is None:
        found = _ask(sys.executable)
    elif re.fullmatch(r"3\.\d+", wanted):
        found = interpreters().get(int(wanted[2:]))
    else:
        found = _ask(wanted)
    if found is None:
        raise Unavailable(f"there is no Python {wanted or sys.executable} here; give a version or a path with --python")
    if found.minor < OLDEST:
        raise Unavailable(f"Python {found.version} is too old; give --python one from 3.{OLDEST} on")
    return found


@functools.cache
def interpreters() -> dict[int, Python]:
    """Return the interpreters found here, by minor version: the one running, those on PATH, those of pyenv."""
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv") / "versions"
    found: dict[int, Python] = {}
    for minor in range(OLDEST, NEWEST + 1):
        candidates = [sys.executable] if sys.version_info[:2] == (3, minor) else []
        candidates += filter(None, [shutil.which(f"python3.{minor}")])
        candidates += map(str, sorted(pyenv.glob(f"3.{minor}.*/bin/python"), reverse=True))
        for candidate in candidates:
            answer = _ask(candidate)
            if answer and answer.minor == minor:
                found[minor] = answer
                break
    return found


@functools.cache
def _uv() -> str | None:
    """Return uv: the one on PATH, or one that pip puts into the cache; None where neither works."""
    if os.environ.get("RTSTT_INSTALLER") == "pip":
        return None
    present = shutil.which("uv")
    if present and subprocess.run([present, "--version"], capture_output=True).returncode == 0:
        return present
    folder, identity = CACHE / "uv", {"uv": sys.base_prefix}

    def make() -> None:
        say("installing uv")
        _do("making an environment for uv", [sys.executable, "-m", "venv", folder])
        _do("installing uv", [_in(folder), "-m", "pip", "install", "--quiet", "uv>=0.8"])

    try:
        return str(_in(_kept(folder, identity, make)).with_name("uv"))
    except Unavailable:
        return None


def _in(folder: Path) -> Path:
    """Return the interpreter of an environment."""
    return folder / "Scripts" / "python.exe" if os.name == "nt" else folder / "bin" / "python"


def wheel() -> Path:
    """Return the wheel of this clone, built by way of the sdist if anything in it changed.

    Raises:
        Unavailable: It cannot be built.
    """
    sources = [ROOT / name for name in ("pyproject.toml", "README.md", "LICENSE", "CHANGELOG.md")]
    sources += [
        path for top in ("shim", "patches") for path in (ROOT / top).rglob("*") if "__pycache__" not in path.parts
    ]
    digest = hashlib.sha256()
    for source in sorted(sources):
        if source.is_file():
            digest.update(f"{source.relative_to(ROOT)}\0{source.stat().st_size}\0".encode())
            digest.update(source.read_bytes())
    folder, identity = CACHE / "wheel", {"sources": digest.hexdigest()}

    def make() -> None:
        say("building the wheel")
        out = folder / digest.hexdigest()[:10]  # installers remember what they saw at a path
        uv = _uv()
        if uv:
            _do("building the wheel", [uv, "build", "--quiet", "--python", sys.executable, "--out-dir", out, ROOT])
        else:
            tool = environment(["build>=1.2"])
            _do("building the wheel", [tool, "-m", "build", "--outdir", out, ROOT])

    [built] = _kept(folder, identity, make).glob("*/*.whl")
    return built


def environment(
    requirements: Iterable[str] = (),
    *,
    python: Python | None = None,
    wheel: Path | None = None,
    extras: Iterable[str] = (),
    groups: Iterable[str] = (),
    alone: Iterable[str] = (),
) -> Path:
    """Return the interpreter of an environment with these packages.

    Args:
        requirements: As pip takes them.
        python: The interpreter to make it with; the one running if omitted.
        wheel: This project's wheel, to be installed too.
        extras: The wheel's extras.
        groups: Dependency groups of ``pyproject.toml``, to be installed too.
        alone: Packages to be installed too, without what they depend on.

    Raises:
        Unavailable: It cannot be made.
    """
    python = python or interpreter()
    requirements, extras, groups, alone = sorted(requirements), sorted(extras), sorted(groups), sorted(alone)
    identity: dict[str, object] = {"requirements": requirements, "python": python, "extras": extras, "groups": groups}
    if alone:
        identity["alone"] = alone
    name = " ".join([*alone, *requirements]) or ("the tests" if groups else "the test kit" if wheel else "nothing")
    folder = CACHE / "python" / _slug(f"{name} 3.{python.minor}", identity)
    if groups:
        identity["pyproject"] = hashlib.sha256((ROOT / "pyproject.toml").read_bytes()).hexdigest()
    if wheel:
        identity["wheel"] = hashlib.sha256(wheel.read_bytes()).hexdigest()
    words: list[str] = [*requirements]
    for group in groups:
        words += ["--group", f"{ROOT / 'pyproject.toml'}:{group}"]
    if wheel:
        words.append(f"{wheel}[{','.join(extras)}]" if extras else str(wheel))

    def make() -> None:
        what = f"making the environment for {name} (Python 3.{python.minor})"
        say(what)
        uv = _uv()
        if uv:
            _do(what, [uv, "venv", "--quiet", "--no-project", "--python", python.executable, folder])
            # As pip does unasked: where nothing may write bytecode, every start would compile all that it imports.
            install = [uv, "pip", "install", "--quiet", "--compile-bytecode", "--python", _in(folder)]
        else:
            _do(what, [python.executable, "-m", "venv", folder])
            install = [_in(folder), "-m", "pip", "install", "--quiet"]
            if groups:
                _do(what, [*install, "pip>=25.1"])
        if words:
            _do(what, [*install, *words])
        if alone:
            _do(what, [*install, "--no-deps", *alone])

    return _in(_kept(folder, identity, make))


def ensure_project() -> None:
    """Go on only where the test kit is installed: if it is not here, start the script again where it is."""
    if all(map(importlib.util.find_spec, ("rtstt_testkit", "websockets", "trustme"))):
        return
    with exits(sys.argv[0]):
        python = environment(wheel=wheel(), extras=["testkit"])
    sys.stdout.flush()
    if os.name == "nt":
        sys.exit(subprocess.run([python, *sys.argv]).returncode)
    os.execv(python, [str(python), *sys.argv])


# -- Node


class Node(NamedTuple):
    """A Node.js with its npm."""

    version: str
    """As ``20.20.2``."""

    executable: str
    npm: str


@functools.cache
def node() -> Node | None:
    """Return Node and npm from PATH; None if one is missing or Node is too old."""
    executable, npm = shutil.which("node"), shutil.which("npm")
    if executable and npm:
        with contextlib.suppress(OSError, subprocess.SubprocessError):
            answer = subprocess.run([executable, "--version"], capture_output=True, text=True, timeout=60).stdout
            match = re.fullmatch(r"v((\d+)\.\d+\.\d+)\s*", answer)
            if match and int(match[2]) >= NODE:
                return Node(match[1], executable, npm)
    return None


def npm_project(dependencies: Mapping[str, str]) -> Path:
    """Return the folder of an npm project with these packages installed.

    Args:
        dependencies: Versions by package name.

    Raises:
        Unavailable: It cannot be made.
    """
    found = node()
    if found is None:
        raise Unavailable(f"Node.js {NODE} or newer with npm is not installed; install it to include the Node rows")
    identity: dict[str, object] = {"dependencies": dict(dependencies), "node": found.version}
    name = " ".join(f"{package}@{version}" for package, version in dependencies.items())
    folder = CACHE / "npm" / _slug(name, identity)

    def make() -> None:
        say(f"installing {name}")
        folder.mkdir(parents=True)
        package = {"name": "cell", "private": True, "type": "module", "dependencies": dict(dependencies)}
        (folder / "package.json").write_text(json.dumps(package, indent=2), encoding="utf-8")
        flags = ["--no-audit", "--no-fund", "--no-update-notifier", "--loglevel=error"]
        _do(f"installing {name}", [found.npm, "install", *flags], folder)

    return _kept(folder, identity, make)
