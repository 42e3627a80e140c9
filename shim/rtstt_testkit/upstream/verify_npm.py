"""The workbench of npm upstreams: vitest, tsc, prettier and esbuild, with the settings of ``workbench.yml``."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rtstt_testkit.upstream.endtoend import ClientRun, drive
from rtstt_testkit.upstream.errors import VerificationFailed
from rtstt_testkit.upstream.outages import OUTAGES, run_outage
from rtstt_testkit.upstream.pull_request import PullRequest
from rtstt_testkit.upstream.scratch import Progress, execute, npm_project, workspace
from rtstt_testkit.upstream.workbench import TestRun, Workbench

__all__ = ["workbench"]


def _files(settings: Mapping[str, Any], code: str) -> dict[str, str]:
    """Return the files of a scratch project.

    Args:
        settings: The upstream's settings.
        code: The folder of the project with the package's code.
    """
    stubs = settings.get("stubs", {})
    paths = {name: f"stubs/{number}.ts" for number, name in enumerate(stubs)}
    define = {name: json.dumps(value) for name, value in settings.get("define", {}).items()}
    ignored = settings.get("ignored_rejections", "(?!)")
    options = {**settings["typescript"], "baseUrl": ".", "noEmit": True, "paths": {k: [v] for k, v in paths.items()}}
    return {
        "package.json": '{"type": "module"}',
        ".prettierrc": json.dumps(settings["prettier"]),
        "tsconfig.json": json.dumps({"include": [*settings["type_files"], "globals.d.ts"], "compilerOptions": options}),
        "globals.d.ts": "".join(f"declare const {name}: string;\n" for name in define),
        **{paths[name]: text for name, text in stubs.items()},
        "vitest.setup.mjs": settings.get("setup", ""),
        "vitest.config.mjs": f"""
const stubs = Object.entries({json.dumps(paths)});
const paths = stubs.map(([name, path]) => [name, new URL(path, import.meta.url).pathname]);
export default {{
  define: {json.dumps(define)},
  resolve: {{ alias: Object.fromEntries(paths) }},
  test: {{
    include: [{json.dumps(settings["test_files"])}],
    setupFiles: ['./vitest.setup.mjs'],
    onUnhandledError: (error) => !new RegExp({json.dumps(ignored)}).test(error.stack ?? ''),
  }},
}};
""",
        "build.mjs": f"""
import {{ readdirSync }} from 'node:fs';
import {{ build }} from 'esbuild';
const code = {json.dumps(code)};
const entryPoints = readdirSync(code, {{ recursive: true }})
  .filter((name) => name.endsWith('.ts') && !name.endsWith('.test.ts'))
  .map((name) => `${{code}}/${{name}}`);
await build({{ entryPoints, outbase: code, outdir: process.argv[2], format: 'esm', platform: 'node', target: 'node16',
  define: {json.dumps(define)}, logLevel: 'silent' }});
""",
    }


@contextmanager
def workbench(request: PullRequest, progress: Progress) -> Iterator[Workbench]:
    """Prepare a scratch project for the version that a pull request was made from."""
    fix = request.fix
    settings = fix.workbench
    tools: dict[str, str] = settings["tools"]
    installed = {fix.package: request.source.version} if settings.get("install_package", True) else {}
    project = npm_project({**tools, **installed}, progress)
    code = fix.package_folder.removeprefix(fix.root)
    with workspace(project) as folder:
        for name, text in _files(settings, code).items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(text, encoding="utf-8")
        shutil.copytree(request.source.folder / request.source.local(fix.package_folder), folder / code)
        bench = _Npm(request, project, folder)
        yield Workbench(
            tools=f"vitest {tools['vitest']}, TypeScript {tools['typescript']} and prettier {tools['prettier']}",
            checks=[("`prettier --check`", bench.prettier), ("`tsc`", bench.tsc)],
            test=bench.test,
            run_client=bench.run_client,
            run_outages=bench.run_outages,
            caveat=_caveat(request),
        )


def _caveat(request: PullRequest) -> str:
    """Return sentences on what this run leaves out, or an empty string."""
    settings = request.fix.workbench
    stubs = settings.get("stubs", {})
    stubbed = [f"`{name}`" for name in stubs if name in request.after[request.test_path]]
    sentences = [settings["ignored_because"]] if "ignored_rejections" in settings else []
    if stubbed:
        names = " and ".join(stubbed)
        sentences.append(f"Stubbed for this run: {names}, which only the live tests use; without a key those skip.")
    return " ".join(sentences)


class _Npm:
    def __init__(self, request: PullRequest, project: Path, folder: Path) -> None:
        self._package = request.fix.package
        self._root = request.fix.root
        self._manifest = request.source.folder / request.source.local(request.fix.version_file)
        self._driver = request.fix.folder.parent / "drive.mjs"
        self._project = project
        self._folder = folder

    def prettier(self, files: Mapping[str, str]) -> Sequence[str]:
        names = self._lay_out(files)
        lines = self._run("prettier/bin/prettier.cjs", "--check", *names).splitlines()
        return [line for line in lines if line.startswith("[error]") or line.removeprefix("[warn] ") in names]

    def tsc(self, files: Mapping[str, str]) -> Sequence[str]:
        self._lay_out(files)
        lines = self._run("typescript/bin/tsc", "--project", ".").splitlines()
        return [line for line in lines if "error TS" in line]

    def test(self, files: Mapping[str, str]) -> TestRun:
        self._lay_out(files)
        report = self._folder / "report.json"
        report.unlink(missing_ok=True)
        output = self._run("vitest/vitest.mjs", "run", "--reporter=json", f"--outputFile={report}")
        if not report.exists():
            raise VerificationFailed(f"vitest did not run: {output.strip().splitlines()[-1]}")
        data = json.loads(report.read_text(encoding="utf-8"))
        outcomes: dict[str, list[str]] = {"passed": [], "failed": [], "skipped": []}
        for result in data["testResults"]:
            if not result["assertionResults"]:
                raise VerificationFailed(f"vitest could not load the tests: {result['message'].splitlines()[0]}")
            for test in result["assertionResults"]:
                outcomes.setdefault(test["status"], []).append(test["fullName"])
        return TestRun(outcomes["passed"], outcomes["failed"], outcomes["skipped"])

    def run_client(self, files: Mapping[str, str], host: str) -> ClientRun:
        return drive(self._build(files), self._folder, host, {})

    def run_outages(self, files: Mapping[str, str]) -> Sequence[ClientRun]:
        command = self._build(files)
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            return list(pool.map(lambda outage: run_outage(outage, command, self._folder, {}), OUTAGES))

    def _build(self, files: Mapping[str, str]) -> Sequence[str]:
        """Build the package from files, and return the command that streams audio through it."""
        self._lay_out(files)
        package = self._folder / "node_modules" / self._package
        shutil.rmtree(package, ignore_errors=True)
        package.mkdir(parents=True)
        shutil.copy(self._manifest, package)
        built = execute(["node", "build.mjs", package / "dist"], self._folder)
        if built.returncode:
            raise VerificationFailed(f"esbuild could not build the source: {built.stderr.strip().splitlines()[-1]}")
        shutil.copy(self._driver, self._folder)
        preload = (Path(__file__).parents[1] / "node" / "route.mjs").as_uri()
        return ["node", "--import", preload, "drive.mjs"]

    def _lay_out(self, files: Mapping[str, str]) -> list[str]:
        names = []
        for path, text in files.items():
            if path.startswith(self._root):
                names.append(path.removeprefix(self._root))
                file = self._folder / names[-1]
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_text(text, encoding="utf-8")
        return names

    def _run(self, tool: str, *arguments: str) -> str:
        done = execute(["node", self._project / "node_modules" / tool, *arguments], self._folder, {"CI": "1"})
        return done.stdout + done.stderr
