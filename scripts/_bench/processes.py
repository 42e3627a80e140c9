"""Programs on a core of their own: time, CPU and memory."""

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import _env

PROGRAMS = Path(__file__).parent / "programs"
TIMEOUT = 60
"""Seconds until a program is given up."""

CORES = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
SERVER_CORE, CLIENT_CORE = (CORES[0], CORES[-1]) if len(CORES) > 1 else (None, None)
"""The core of what is measured, and of what drives it; None where a process cannot be pinned."""


def pin(core):
    """Pin this process to a core; None for every core."""
    if CORES and SERVER_CORE is not None:
        os.sched_setaffinity(0, CORES if core is None else {core})


@contextlib.contextmanager
def on_core(core):
    """Pin this process to a core inside the block."""
    pin(core)
    try:
        yield
    finally:
        pin(None)


def parsed(output):
    """Return the JSON that a program printed."""
    try:
        return json.loads(output)
    except json.JSONDecodeError as error:
        raise _env.SetupError(f"a program printed no JSON: {error}") from None


class Program:
    """A running program, stopped at the end of its block.

    Args:
        words: The command.
        core: The core it runs on; None for every core.
        stdin: Whether it reads from stdin.
    """

    def __init__(self, words, *, core=None, stdin=False):
        self.words = [str(word) for word in words]
        self.started = time.perf_counter()
        self.process = subprocess.Popen(
            self.words,
            stdin=subprocess.PIPE if stdin else subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
            preexec_fn=lambda: pin(core),
        )

    def line(self):
        """Return the next line of its output."""
        line = self.process.stdout.readline()
        if not line:
            self.process.kill()
            error = self.process.communicate()[1].strip().splitlines()
            raise _env.SetupError(f"{Path(self.words[0]).name} {self.words[1]} ended early: {(error or ['?'])[-1]}")
        return line

    def port(self):
        """Return the port that it prints."""
        while True:
            found = re.search(r"://(?:127\.0\.0\.1|localhost):(\d+)", self.line())
            if found:
                return int(found[1])

    def ask(self, words):
        """Send it a line, and return the JSON that it prints."""
        self.process.stdin.write(words + "\n")
        self.process.stdin.flush()
        return parsed(self.line())

    def stop(self):
        """Stop it with SIGTERM; return the seconds that it took."""
        begun = time.perf_counter()
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(TIMEOUT)
        return time.perf_counter() - begun

    def cpu(self):
        """Return the CPU seconds of it and its children; None where the system does not tell."""
        return sum(map(_cpu, _tree(self.process.pid))) if sys.platform == "linux" else None

    def memory(self):
        """Return the resident bytes of it and its children; None without /proc."""
        return sum(map(_memory, _tree(self.process.pid))) if Path("/proc/self/statm").exists() else None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(5)
            except subprocess.TimeoutExpired:
                self.process.kill()
        for pipe in (self.process.stdin, self.process.stdout, self.process.stderr):
            if pipe:
                pipe.close()


def _tree(root):
    found = [root]
    for folder in Path("/proc").iterdir():
        with contextlib.suppress(OSError, ValueError, IndexError):
            if int((folder / "stat").read_text().rpartition(")")[2].split()[1]) == root:
                found.append(int(folder.name))
    return found


def _cpu(pid):
    with contextlib.suppress(OSError):
        return time.clock_gettime((~pid << 3) | 2)  # its clock of clock_getcpuclockid(3), in nanoseconds
    return 0.0


def _memory(pid):
    with contextlib.suppress(OSError):
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    return 0


def python_program(python, name, *words, **options):
    """Start one of the programs in ``programs/``."""
    return Program([python, PROGRAMS / name, *words], **options)


def answer(words, core=None):
    """Run a program to its end, and return the JSON that it prints."""
    done = subprocess.run(
        [str(word) for word in words],
        capture_output=True,
        text=True,
        timeout=TIMEOUT * 2,
        preexec_fn=lambda: pin(core),
    )
    if done.returncode:
        error = done.stderr.strip().splitlines() or ["?"]
        raise _env.SetupError(f"{Path(str(words[0])).name} {words[1]} failed: {error[-1]}")
    return parsed(done.stdout)


def wall(words, folder=None):
    """Return the milliseconds that a program takes from start to end."""
    begun = time.perf_counter()
    subprocess.run([str(word) for word in words], cwd=folder, check=True, stdout=subprocess.DEVNULL)
    return (time.perf_counter() - begun) * 1000


def many_files():
    """Raise the limit of open files of this process and its children; return the limit."""
    try:
        import resource
    except ImportError:
        return sys.maxsize
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and soft < hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        soft = hard
    return sys.maxsize if soft == resource.RLIM_INFINITY else soft
