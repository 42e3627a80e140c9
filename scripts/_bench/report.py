"""What was found: kept as JSON, drawn, and written into the README."""

import datetime
import hashlib
import json
import platform
import re
import subprocess
import sys
from pathlib import Path

import _env
from _bench.figure import Figure, markdown_table
from _bench.processes import CORES, PROGRAMS, parsed
from _bench.sessions import LATE_MS, Step

FOLDER = _env.ROOT / "scripts"
RESULTS = FOLDER / "bench_results.json"
PICTURE = FOLDER / "bench_lateness.svg"
README = _env.ROOT / "README.md"
BLOCK = re.compile(r"<!-- generated: speed -->\n.*?<!-- end -->", re.DOTALL)
MATPLOTLIB = ("matplotlib>=3.8,<4",)
CLIENT_PACKAGES = ("wrapt", "websockets", "aiohttp", "websocket-client")
KIT_PACKAGES = ("pybase64",)


class Results:
    """The figures of one run, and where it ran.

    Args:
        date: When.
        machine: On what.
        versions: Of what.
        figures: The lines of the table.
        steps: The numbers of sessions tried.
        reasons: Why a target was missed, by figure.
    """

    def __init__(self, date, machine, versions, figures=(), steps=(), reasons=None):
        self.date = date
        self.machine = machine
        self.versions = versions
        self.figures = list(figures)
        self.steps = list(steps)
        self.reasons = dict(reasons or {})

    @classmethod
    def begin(cls, quick):
        """Nothing found yet."""
        node = _env.node()
        cores = len(CORES) or "?"
        machine = f"{cores} cores, {platform.machine()}, {platform.system()}"
        versions = {"Python": platform.python_version(), "Node.js": node.version if node else None}
        versions.update(_installed())
        date = datetime.datetime.now(datetime.timezone.utc).date().isoformat()
        return cls(f"{date} (few rounds)" if quick else date, machine, versions)

    @classmethod
    def load(cls):
        """What was saved last."""
        saved = json.loads(RESULTS.read_text(encoding="utf-8"))
        figures = [Figure(**figure) for figure in saved["figures"]]
        steps = [Step(**step) for step in saved["steps"]]
        return cls(saved["date"], saved["machine"], saved["versions"], figures, steps, saved["reasons"])

    def heading(self):
        """Where and when, on one line."""
        versions = ", ".join(f"{name} {version}" for name, version in self.versions.items() if version)
        return f"{self.date} on {self.machine}; {versions}"

    @property
    def stamp(self):
        """What tells the picture of this run from another's."""
        steps = json.dumps([list(step) for step in self.steps])
        return f"{self.date}, {hashlib.sha256(steps.encode()).hexdigest()[:10]}"

    def to_json(self):
        """As JSON."""
        what = {
            "generated": "by scripts/bench.py --save; not to be edited",
            "date": self.date,
            "machine": self.machine,
            "versions": self.versions,
            "figures": [figure._asdict() for figure in self.figures],
            "reasons": self.reasons,
            "steps": [step._asdict() for step in self.steps],
        }
        return json.dumps(what, indent=1, ensure_ascii=False) + "\n"

    def block(self):
        """The README's block."""
        picture = PICTURE.relative_to(_env.ROOT).as_posix()
        drawn = f"![How late events are, by sessions streaming at once]({picture})"
        parts = [f"Measured {self.heading()}.", markdown_table(self.figures)]
        if self.reasons:
            missed = "\n".join(f"- {name}: {reason}" for name, reason in self.reasons.items())
            parts.append(f"Where a target is missed, a profile says why:\n\n{missed}")
        return "\n\n".join([*parts, drawn])


def _installed():
    """The version of each package, asked for where it is measured: beside the clients, or in the test kit."""
    from _bench.shim import CLIENTS

    wheel = _env.wheel()
    return {
        **_versions(_env.environment(CLIENTS, wheel=wheel), CLIENT_PACKAGES),
        **_versions(_env.environment(wheel=wheel, extras=["testkit"]), KIT_PACKAGES),
    }


def _versions(python, packages):
    """What is installed of these in an environment; None for one that is not."""
    code = (
        "import importlib.metadata as m, json, sys\n"
        "def version(name):\n"
        "    try: return m.version(name)\n"
        "    except m.PackageNotFoundError: return None\n"
        "print(json.dumps({name: version(name) for name in sys.argv[1:]}))"
    )
    done = subprocess.run([python, "-c", code, *packages], capture_output=True, text=True, check=True)
    return parsed(done.stdout)


def plot(results, path):
    """Draw lateness over sessions."""
    python = _env.environment(MATPLOTLIB)
    data = {
        "late": LATE_MS,
        "heading": results.heading(),
        "date": results.date,
        "stamp": results.stamp,
        "steps": [step._asdict() for step in results.steps],
    }
    done = subprocess.run([python, PROGRAMS / "plot.py", path], input=json.dumps(data), text=True, capture_output=True)
    if done.returncode:
        raise _env.Unavailable(f"drawing {path} failed: {(done.stderr.strip().splitlines() or ['?'])[-1]}")
    print(f"drawn: {path}", file=sys.stderr)


def save(results):
    """Keep the results, and write the README's block and picture anew."""
    RESULTS.write_text(results.to_json(), encoding="utf-8")
    plot(results, PICTURE)
    text = README.read_text(encoding="utf-8")
    anew = f"<!-- generated: speed -->\n{results.block()}\n<!-- end -->"
    README.write_text(BLOCK.sub(lambda _: anew, text), encoding="utf-8")
    for path in (RESULTS, PICTURE, README):
        _env.say(f"written: {Path(path).relative_to(_env.ROOT)}")
