"""The results: kept as JSON, drawn, and as Markdown for ``scripts/BENCHMARKS.md``."""

import datetime
import hashlib
import json
import platform
import subprocess

import _env
from _bench import inspector, life, node, receiving, recording, sessions, shim, strain
from _bench.figure import Figure, markdown_table
from _bench.processes import CORES, PROGRAMS, answer

RESULTS = _env.ROOT / "scripts" / "bench_results.json"
PICTURE = _env.ROOT / "scripts" / "bench_lateness.svg"
MATPLOTLIB = ("matplotlib>=3.8,<4",)
CLIENT_PACKAGES = ("wrapt", "websockets", "aiohttp", "websocket-client")
KIT_PACKAGES = ("pybase64",)

PARTS = {
    "shim": ("The shim in Python", shim.measure),
    "node": ("The shim in Node.js", node.measure),
    "mock": ("The mock on one core", receiving.measure),
    "inspector": ("The mock with its inspector", inspector.measure),
    "sessions": ("Many sessions in real time, on one core", sessions.measure),
    "life": ("A server's life", life.measure),
    "strain": ("A server under load", strain.measure),
    "recording": ("Recordings", recording.measure),
    "workers": ("More than one core", life.workers),
}
"""By name: a title, and what yields the figures."""


def conditions(quick):
    """Return when and where a run takes place, for its heading."""
    now = datetime.datetime.now(datetime.timezone.utc).date().isoformat()
    node_js = _env.node()
    wheel = _env.wheel()
    versions = {
        "Python": platform.python_version(),
        "Node.js": node_js.version if node_js else None,
        **_versions(_env.environment(shim.CLIENTS, wheel=wheel), CLIENT_PACKAGES),
        **_versions(_env.environment(wheel=wheel, extras=["testkit"]), KIT_PACKAGES),
    }
    return {
        "date": f"{now} (few rounds)" if quick else now,
        "machine": f"{len(CORES) or '?'} cores, {platform.machine()}, {platform.system()}",
        "versions": versions,
    }


def _versions(python, packages):
    """Return the versions of packages in an environment; None for a missing one."""
    code = (
        "import importlib.metadata as m, json, sys\n"
        "def version(name):\n"
        "    try: return m.version(name)\n"
        "    except m.PackageNotFoundError: return None\n"
        "print(json.dumps({name: version(name) for name in sys.argv[1:]}))"
    )
    found = answer([python, "-c", code, *packages])
    return {name: found[name] for name in packages}


def heading(part):
    """Return when and where a part was measured, in one sentence."""
    versions = ", ".join(f"{name} {version}" for name, version in part["versions"].items() if version)
    return f"{part['date']} on {part['machine']}; {versions}"


def load():
    """Return the parts that were saved, by name."""
    return json.loads(RESULTS.read_text(encoding="utf-8"))["parts"]


def _rounded(value):
    """Return a value with its numbers rounded to four significant digits."""
    if isinstance(value, float):
        return float(f"{value:.4g}")
    if isinstance(value, list | tuple):
        return [_rounded(item) for item in value]
    return {key: _rounded(item) for key, item in value.items()} if isinstance(value, dict) else value


def part(where, figures, steps):
    """Return the results of a part as they are saved."""
    found = {**where, "figures": [_rounded(figure._asdict()) for figure in figures]}
    return {**found, "steps": [_rounded(step._asdict()) for step in steps]} if steps else found


def to_json(parts):
    """Return the parts as JSON."""
    content = {"generated": "by scripts/bench.py --save; not to be edited", "parts": parts}
    return json.dumps(content, indent=1, ensure_ascii=False) + "\n"


def stamp(part):
    """Return what identifies a run of the sessions in its picture."""
    return f"{part['date']}, {hashlib.sha256(json.dumps(part['steps']).encode()).hexdigest()[:10]}"


def plot(part, path):
    """Draw lateness over sessions."""
    data = {**part, "late": sessions.LATE_MS, "heading": heading(part), "stamp": stamp(part)}
    command = [_env.environment(MATPLOTLIB), PROGRAMS / "plot.py", path]
    done = subprocess.run(command, input=json.dumps(data), text=True, capture_output=True)
    if done.returncode:
        raise _env.SetupError(f"drawing {path} failed: {(done.stderr.strip().splitlines() or ['?'])[-1]}")
    _env.log(f"drawn: {path}")


def save(parts):
    """Replace these parts of the saved results, and draw the picture again if sessions were measured."""
    RESULTS.write_text(to_json({**load(), **parts}), encoding="utf-8")
    _env.log(f"written: {RESULTS.relative_to(_env.ROOT)}; now run python3 scripts/generate.py")
    if "sessions" in parts:
        plot(parts["sessions"], PICTURE)


def markdown():
    """Return the saved parts, each with its heading and table."""
    saved, blocks = load(), []
    for name, (title, _) in PARTS.items():
        blocks += [f"## {title}", f"`python3 scripts/bench.py --only {name}`"]
        if name not in saved:
            blocks.append("Not measured yet.")
            continue
        found = saved[name]
        blocks.append(f"Measured {heading(found)}.")
        blocks.append(markdown_table([Figure(**figure) for figure in found["figures"]]))
        if name == "sessions":
            blocks.append(f"![Lateness of events by the number of sessions]({PICTURE.name})")
    return "\n\n".join(blocks)
