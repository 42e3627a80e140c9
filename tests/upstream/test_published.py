"""What the patched build does: the real plugin on Node, against the mock under the true host names."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest
from upstream_sources import PACKAGE, npm_package

import rtstt_testkit
from rtstt_testkit.upstream.data import patches
from rtstt_testkit.upstream.endtoend import GATEWAY, ClientRun, drive
from rtstt_testkit.upstream.fixes import find_fix
from rtstt_testkit.upstream.installed import Installed
from rtstt_testkit.upstream.packages import load_packages
from rtstt_testkit.upstream.scratch import execute, npm_project, workspace

pytestmark = [pytest.mark.client, pytest.mark.node, pytest.mark.heavy, pytest.mark.timeout(900)]

# The patched 1.4.4 transcribes in test_managers.py, too.
VERSIONS = (*(pytest.param(version, marks=pytest.mark.release) for version in ("1.4.4", "1.4.7")), "1.9.0")
Patched = Callable[[str], AbstractContextManager[Path]]


def as_published(source: Path, name: str, version: str) -> Installed:
    """Return an installed package, to patch it."""
    (package,) = (package for package in load_packages() if package.name == name)
    files = {path: (source / path).read_text(encoding="utf-8") for path in package.files}
    return Installed(package, source, version, files)


@pytest.fixture
def patched() -> Patched:
    """A folder with the patched build of a version installed, made from the package as published."""

    @contextmanager
    def make(version: str) -> Iterator[Path]:
        source = npm_package(version)
        copy = as_published(source, PACKAGE, version)
        with workspace(
            npm_project({**find_fix("agents-js/model-param").workbench["tools"], PACKAGE: version}, print)
        ) as folder:
            package = folder / "node_modules" / PACKAGE
            shutil.copytree(source, package)
            for name, text in copy.patched().items():
                (package / name).write_text(text, encoding="utf-8")
            (folder / "package.json").write_text(json.dumps({"type": "module"}))
            shutil.copy(patches() / "agents-js" / "drive.mjs", folder)
            yield folder

    return make


def stream(folder: Path, host: str, *more: str, key: str = "sk-made-up") -> ClientRun:
    preload = (Path(rtstt_testkit.__file__).parent / "node" / "route.mjs").as_uri()
    return drive(["node", "--import", preload, "drive.mjs"], folder, host, {"OPENAI_API_KEY": key}, *more)


@pytest.mark.parametrize("version", VERSIONS)
def test_both_builds_transcribe_on_native_hosts_and_gateways_keep_the_model(patched: Patched, version: str) -> None:
    with patched(version) as folder:
        for build in ("esm", "cjs"):
            for host in ("api.openai.com", "eu.api.openai.com", "API.OPENAI.COM."):
                seen = stream(folder, host, build)
                assert seen.transcript == "Hello from the mock.", (build, host)
                assert seen.query == {"intent": ["transcription"]}
                assert seen.warnings == []
        seen = stream(folder, GATEWAY)
        assert seen.query == {"intent": ["transcription"], "model": ["gpt-4o-mini-transcribe"]}
        assert seen.transcript == "Hello from the mock."


@pytest.mark.parametrize("version", VERSIONS)
def test_a_refused_session_gets_one_warning_without_the_key(patched: Patched, version: str) -> None:
    with patched(version) as folder:
        for build in ("esm", "cjs"):
            seen = stream(folder, "api.openai.com", build, key="sk-proj-bad-0123456789abcdef")
            assert seen.transcript is None
            assert seen.warnings == [
                "OpenAI realtime transcription failed: invalid_api_key: Incorrect API key provided: *** You can find "
                "your API key at https://platform.openai.com/account/api-keys. "
                "(close 3000 invalid_request_error.invalid_api_key)"
            ]


def test_the_patched_source_of_openclaw_transcribes_a_call() -> None:
    source = npm_package("2026.1.31", "openclaw-cn")
    copy = as_published(source, "openclaw-cn", "2026.1.31")
    ((path, _),) = copy.files.items()
    with workspace(npm_project(find_fix("openclaw-cn/ga-session").workbench["tools"], print)) as folder:
        (folder / "package.json").write_text(json.dumps({"type": "module"}))
        shutil.copy(patches() / "openclaw-cn" / "drive.mjs", folder)
        outcomes = []
        for text in (copy.files[path], copy.patched()[path]):
            (folder / "stt.ts").write_text(text, encoding="utf-8")
            built = folder / "node_modules/openclaw-cn/dist/providers/stt-openai-realtime.js"
            options = json.dumps({"entryPoints": ["stt.ts"], "format": "esm", "outfile": str(built)})
            words = ["node", "-e", f"import('esbuild').then((esbuild) => esbuild.build({options}))"]
            done = execute(words, folder)
            assert done.returncode == 0, done.stderr
            outcomes.append(str(stream(folder, "api.openai.com")))
    assert outcomes == [
        "0 transcripts: `beta_api_shape_disabled`, close 4000",
        "transcript 'Hello from the mock.' (URL without `model`)",
    ]
