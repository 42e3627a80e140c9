"""`rtstt-shim patch-npm` on the real plugin, in the layouts the package managers make."""

from __future__ import annotations

import errno
import json
import os
import shutil
import subprocess
import zipfile
from pathlib import Path
from typing import Any

import pytest
from upstream_sources import PACKAGE, commit, git, npm_package

from rtstt_core.cli import main
from rtstt_testkit.upstream.ranges import excludes

pytestmark = pytest.mark.client

INSTALLED = f"node_modules/{PACKAGE}"
CONDITION = r"if (!/(^|\.)api\.openai\.com\.?$/.test(url.hostname)) {"
LOCKS = {
    "package-lock.json": "{}",
    "pnpm-lock.yaml": "lockfileVersion: '9.0'\n",
    "bun.lock": '{\n  "lockfileVersion": 1,\n}\n',
    "yarn.lock": f"""__metadata:
  version: 8

"{PACKAGE}@npm:1.4.4, {PACKAGE}@npm:^1.4.4":
  version: 1.4.4

"other@npm:^1.0.0":
  version: 1.4.4
""",
}
PATCHES = {
    "npm": f"patches/{PACKAGE}@1.4.4.patch",
    "pnpm": "patches/@livekit__agents-plugin-openai@1.4.4.patch",
    "yarn": ".yarn/patches/@livekit-agents-plugin-openai-npm-1.4.4.patch",
    "bun": "patches/@livekit%2Fagents-plugin-openai@1.4.4.patch",
    "patch-package": "patches/@livekit+agents-plugin-openai+1.4.4.patch",
}


def place(version: str, folder: Path) -> Path:
    for name in ("dist/stt.js", "dist/stt.cjs", "package.json"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(npm_package(version) / name, folder / name)
    return folder


def project(folder: Path, lock: str | None = "pnpm-lock.yaml", version: str = "1.4.4", **manifest: Any) -> Path:
    place(version, folder / INSTALLED)
    (folder / "package.json").write_text(json.dumps({"name": "app", **manifest}, indent=4) + "\n")
    if lock:
        (folder / lock).write_text(LOCKS[lock])
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def patch(*words: str | Path) -> int:
    return main(["patch-npm", *map(str, words)])


def manifest_of(folder: Path) -> Any:
    return json.loads((folder / "package.json").read_text())


@pytest.mark.parametrize(
    ("lock", "manager"),
    [("package-lock.json", "npm"), ("pnpm-lock.yaml", "pnpm"), ("yarn.lock", "yarn"), ("bun.lock", "bun")],
)
def test_the_patch_and_its_declaration_are_in_the_managers_form(tmp_path: Path, lock: str, manager: str) -> None:
    root = project(tmp_path / "Größe & Platz", lock, packageManager="npm@12.2.0" if manager == "npm" else "")
    before = contents(root)
    assert patch(root) == 0
    changed = {name for name, data in contents(root).items() if before.get(name) != data}
    declaration = "pnpm-workspace.yaml" if manager == "pnpm" else "package.json"
    assert changed == {PATCHES[manager], declaration}
    if manager == "pnpm":
        assert (root / declaration).read_text() == (f"patchedDependencies:\n  '{PACKAGE}@1.4.4': {PATCHES['pnpm']}\n")
    elif manager == "yarn":
        value = f"patch:{PACKAGE}@npm%3A1.4.4#~/{PATCHES['yarn']}"
        assert manifest_of(root)["resolutions"] == {
            f"{PACKAGE}@npm:1.4.4": value,
            f"{PACKAGE}@npm:^1.4.4": value,
        }
    else:
        assert manifest_of(root)["patchedDependencies"] == {f"{PACKAGE}@1.4.4": PATCHES[manager]}
        assert (root / "package.json").read_text().startswith('{\n    "name": "app"')

    installed = root / INSTALLED
    commit(installed)
    git(installed, "apply", str(root / PATCHES[manager]))
    assert git(installed, "diff", "--name-only").split() == ["dist/stt.cjs", "dist/stt.js"]
    for name in ("dist/stt.js", "dist/stt.cjs"):
        assert CONDITION in (installed / name).read_text()


@pytest.mark.parametrize("version", ["1.4.4", "1.4.5", "1.4.6", "1.4.7", "1.5.0", "1.6.0", "1.9.0"])
def test_every_affected_version_is_patched_in_both_builds_and_still_parses(tmp_path: Path, version: str) -> None:
    root = project(tmp_path, version=version)
    assert patch(root) == 0
    installed = root / INSTALLED
    commit(installed)
    git(installed, "apply", str(root / PATCHES["pnpm"].replace("1.4.4", version)))
    for name in ("dist/stt.js", "dist/stt.cjs"):
        text = (installed / name).read_text()
        assert text.count('searchParams.set("model"') == 1
        assert CONDITION in text
        assert text.count("console.warn(`OpenAI realtime transcription failed") == 2
        if shutil.which("node"):
            subprocess.run(["node", "--check", installed / name], check=True)
    assert patch(root, "--check") == 0


@pytest.mark.parametrize("version", ["1.4.2", "2.0.0"])
def test_a_version_without_the_fault_is_left_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], version: str
) -> None:
    root = project(tmp_path, version=version)
    before = contents(root)
    assert patch(root) == 0
    assert patch(root, "--check") == 0
    assert contents(root) == before
    assert capsys.readouterr().out.splitlines()[0] == (
        f"{root / INSTALLED} ({version}) needs no patch: this version never puts `model` into a realtime "
        "transcription URL"
    )


def test_patch_package_gets_its_own_rendering_and_runs_after_what_ran_before(tmp_path: Path) -> None:
    root = project(tmp_path, "package-lock.json", scripts={"postinstall": "node setup.js"})
    assert patch(root, "--manager", "patch-package") == 0
    assert manifest_of(root)["scripts"] == {"postinstall": "node setup.js && patch-package"}
    assert manifest_of(root)["dependencies"] == {"patch-package": "^8.0.1"}
    text = (root / PATCHES["patch-package"]).read_text()
    assert f"diff --git a/{INSTALLED}/dist/stt.js b/{INSTALLED}/dist/stt.js\n" in text
    assert patch(root, "--manager", "patch-package") == 0
    assert manifest_of(root)["scripts"] == {"postinstall": "node setup.js && patch-package"}


def test_twice_changes_nothing_and_check_reports_what_is_left_to_do(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = project(tmp_path)
    assert patch(root, "--check") == 1
    assert capsys.readouterr().out == (
        f"{root / INSTALLED} (1.4.4) is affected and not patched: run `rtstt-shim patch-npm`\n"
    )
    assert patch(root) == 0
    assert capsys.readouterr().out == (
        f"wrote {root / PATCHES['pnpm']}\n"
        f"wrote {root / 'pnpm-workspace.yaml'}\n"
        f"{PACKAGE} 1.4.4 is patched by {PATCHES['pnpm']} (pnpm: there is a pnpm-lock.yaml)\n"
        "apply it with `pnpm install`, and commit the patch, its declaration and the lockfile\n"
        "undo: `rtstt-shim patch-npm --undo`\n"
    )
    before = contents(root)
    assert patch(root) == 0
    assert contents(root) == before
    assert "wrote" not in capsys.readouterr().out
    assert patch(root, "--check") == 1
    assert "is affected and not patched: run `pnpm install`" in capsys.readouterr().out


def test_what_is_in_pnpm_workspace_yaml_stays(tmp_path: Path) -> None:
    root = project(tmp_path)
    settings = root / "pnpm-workspace.yaml"
    settings.write_text("# ours\npackages:\n  - 'apps/*'\npatchedDependencies: # kept\n  left-pad@1.0.0: a.patch\n")
    assert patch(root) == 0
    assert settings.read_text() == (
        "# ours\npackages:\n  - 'apps/*'\npatchedDependencies: # kept\n"
        f"  '{PACKAGE}@1.4.4': {PATCHES['pnpm']}\n  left-pad@1.0.0: a.patch\n"
    )
    settings.write_text("packages: []\npatchedDependencies: {}")
    assert patch(root) == 0
    assert settings.read_text() == f"packages: []\npatchedDependencies:\n  '{PACKAGE}@1.4.4': {PATCHES['pnpm']}\n"


def test_an_older_pnpm_project_keeps_its_patches_in_package_json(tmp_path: Path) -> None:
    root = project(tmp_path, pnpm={"patchedDependencies": {"left-pad@1.0.0": "a.patch"}})
    assert patch(root) == 0
    assert manifest_of(root)["pnpm"]["patchedDependencies"] == {
        "left-pad@1.0.0": "a.patch",
        f"{PACKAGE}@1.4.4": PATCHES["pnpm"],
    }
    assert not (root / "pnpm-workspace.yaml").exists()


def test_every_copy_is_found_once_in_workspaces_nested_and_in_stores(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = project(tmp_path)
    nested = place("1.4.7", root / "node_modules/@acme/voice" / INSTALLED)
    place("1.9.0", root / "node_modules/plain" / INSTALLED)
    store = place("1.5.0", root / "node_modules/.pnpm/plugin@1.5.0" / INSTALLED)
    place("1.4.6", root / "node_modules/.pnpm/plugin@1.4.6" / INSTALLED)  # linked from nowhere: of an earlier install
    place("1.4.5", root / "apps/one" / INSTALLED)
    (root / "apps/one/package.json").write_text("{}")
    for link in (root / "apps/two/node_modules/@livekit", root / "node_modules/.pnpm/user@1/node_modules/@livekit"):
        link.mkdir(parents=True)
        (link / "agents-plugin-openai").symlink_to(store)
    assert patch(root) == 0
    versions = ["1.4.4", "1.4.5", "1.4.7", "1.5.0", "1.9.0"]
    assert sorted(path.name for path in (root / "patches").iterdir()) == [
        f"@livekit__agents-plugin-openai@{version}.patch" for version in versions
    ]
    text = (root / "pnpm-workspace.yaml").read_text()
    assert sorted(line.split("'")[1] for line in text.splitlines()[1:]) == [f"{PACKAGE}@{v}" for v in versions]
    capsys.readouterr()
    assert patch(root / "apps/one", "--check") == 1
    said = capsys.readouterr().out
    assert str(nested) in said
    assert len(said.splitlines()) == 5


def test_what_was_built_or_copied_is_not_patched(tmp_path: Path) -> None:
    """A patch of a version that is not installed makes pnpm and Yarn fail."""
    root = project(tmp_path)
    for folder in (".next/standalone", ".cache/other", "apps/one/.output/server"):
        place("1.4.5", root / folder / INSTALLED)
    assert patch(root) == 0
    assert [path.name for path in (root / "patches").iterdir()] == ["@livekit__agents-plugin-openai@1.4.4.patch"]


def test_a_workspace_is_found_however_deep_it_is(tmp_path: Path) -> None:
    root = project(tmp_path)
    place("1.4.5", root / "products/voice/apps/web/client/desktop" / INSTALLED)
    assert patch(root) == 0
    assert len(list((root / "patches").iterdir())) == 2


def test_a_folder_that_cannot_be_read_is_named_and_the_rest_is_patched(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    root = project(tmp_path)
    (root / "data").mkdir()
    scandir = os.scandir

    def refusing(path: Any) -> Any:
        if path == root / "data":
            raise PermissionError(errno.EACCES, "Permission denied")
        return scandir(path)

    with monkeypatch.context() as patched:
        patched.setattr(os, "scandir", refusing)
        assert patch(root) == 0
    assert capsys.readouterr().err == f"rtstt-shim: cannot read {root / 'data'}: Permission denied\n"
    assert (root / PATCHES["pnpm"]).is_file()


def test_plug_n_play_archives_are_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = project(tmp_path / "app", "yarn.lock")
    shutil.rmtree(root / "node_modules")
    archive = root / ".yarn/cache/@livekit-agents-plugin-openai-npm-1.4.4-abc-10c0.zip"
    archive.parent.mkdir(parents=True)
    with zipfile.ZipFile(archive, "w") as content:
        for name in ("package.json", "dist/stt.js", "dist/stt.cjs"):
            content.write(npm_package("1.4.4") / name, f"{INSTALLED}/{name}")
    location = f".yarn/__virtual__/@livekit-agents-plugin-openai-virtual-1/0/cache/{archive.name}/{INSTALLED}/"
    (root / ".pnp.cjs").write_text(json.dumps({"packageLocation": f"./{location}"}))
    assert patch(root) == 0
    assert (root / PATCHES["yarn"]).is_file()
    assert patch(root, "--check") == 1
    assert f"{archive} (1.4.4) is affected and not patched: run `yarn install`" in capsys.readouterr().out
    archive.write_bytes(b"")
    assert patch(root) == 2
    assert f"{archive} cannot be read (File is not a zip file): run `yarn install` first" in capsys.readouterr().err
    archive.unlink()
    assert patch(root) == 2
    assert "No such file or directory" in capsys.readouterr().err


def test_the_manager_is_detected_from_the_project(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    fake = tmp_path / "bin"
    fake.mkdir()
    (fake / "npm").write_text("#!/bin/sh\necho 11.19.1\n")
    (fake / "npm").chmod(0o755)
    monkeypatch.setenv("PATH", f"{fake}{os.pathsep}{os.environ['PATH']}")
    cases: list[tuple[str | None, dict[str, Any], str]] = [
        ("package-lock.json", {}, "patch-package: npm 11.19.1 applies no patches itself, npm 12 does"),
        (None, {"packageManager": "npm@12.2.0+sha512.0"}, "npm: package.json names it"),
        ("package-lock.json", {"packageManager": "pnpm@12.21.0"}, "pnpm: package.json names it"),
        ("pnpm-lock.yaml", {"devDependencies": {"patch-package": "8"}}, "patch-package: package.json lists it"),
    ]
    for number, (lock, manifest, said) in enumerate(cases):
        assert patch(project(tmp_path / str(number), lock, **manifest)) == 0
        assert f" ({said})\n" in capsys.readouterr().out
    (fake / "npm").write_text("#!/bin/sh\necho 12.0.1\n")
    assert patch(project(tmp_path / "none", None)) == 0
    assert " (npm: there is no lockfile)\n" in capsys.readouterr().out
    classic = project(tmp_path / "classic", "yarn.lock")
    (classic / "yarn.lock").write_text("# yarn lockfile v1\n\nleft-pad@^1:\n  version 1.0.0\n")
    assert patch(classic) == 0
    said = capsys.readouterr().out
    assert " (patch-package: yarn 1 applies no patches itself)\n" in said
    assert "apply it with `yarn install`" in said


def test_a_project_without_the_plugin_has_nothing_to_patch(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = project(tmp_path)
    shutil.rmtree(root / INSTALLED)
    assert patch(root) == 0
    assert patch(root, "--check") == 0
    assert capsys.readouterr().out == f"{root} has no copy of {PACKAGE} or openclaw-cn: nothing to patch\n" * 2


def test_a_later_version_of_the_same_shape_is_patched(tmp_path: Path) -> None:
    root = project(tmp_path)
    manifest = root / INSTALLED / "package.json"
    manifest.write_text(manifest.read_text().replace('"version": "1.4.4"', '"version": "9.9.9"'))
    assert patch(root) == 0
    assert (root / PATCHES["pnpm"].replace("1.4.4", "9.9.9")).is_file()


def test_an_unknown_shape_is_one_sentence_and_nothing_is_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = project(tmp_path)
    place("1.9.0", root / "apps/one" / INSTALLED)
    file = root / INSTALLED / "dist/stt.cjs"
    file.write_text(file.read_text().replace("ws.onclose", "ws.closed"))
    before = contents(root)
    assert patch(root) == 1
    assert capsys.readouterr().err == (
        f"rtstt-shim: {file} has an unknown shape: expected "
        "`ws.onclose = () => { closed = true; … }` in `#messages`\n"
    )
    assert contents(root) == before
    shutil.rmtree(root / INSTALLED / "dist")
    assert patch(root) == 1
    assert "has no dist/stt.js or dist/stt.cjs, so this version is unknown" in capsys.readouterr().err


ALL = [
    ("package-lock.json", ("--manager", "npm")),
    ("pnpm-lock.yaml", ()),
    ("yarn.lock", ()),
    ("bun.lock", ()),
    ("package-lock.json", ("--manager", "patch-package")),
]


@pytest.mark.parametrize(("lock", "words"), ALL, ids=["npm", "pnpm", "yarn", "bun", "patch-package"])
@pytest.mark.parametrize("end", ["\n", "\r\n"], ids=["LF", "CRLF"])
def test_undo_takes_back_exactly_what_was_done(tmp_path: Path, lock: str, words: tuple[str, ...], end: str) -> None:
    root = project(tmp_path, lock, scripts={"test": "vitest"}, dependencies={PACKAGE: "^1.4.4"})
    manifest = root / "package.json"
    text = manifest.read_text()
    manifest.write_bytes(("\ufeff" + text.replace("    ", "\t")).replace("\n", end).encode())
    if lock.startswith("pnpm"):
        (root / "pnpm-workspace.yaml").write_bytes(f"packages:{end}  - 'apps/*'{end}".encode())
    before = contents(root)
    assert patch(root, *words) == 0
    after = contents(root)
    assert set(after) - set(before) == {PATCHES[dict(zip(ALL, PATCHES, strict=True))[(lock, words)]]}
    for name in ("package.json", "pnpm-workspace.yaml"):
        lines = after.get(name, b"").splitlines(keepends=True)
        assert all(line.endswith(end.encode()) for line in lines)
        assert end == "\r\n" or b"\r" not in after.get(name, b"")
    assert after["package.json"].startswith(b"\xef\xbb\xbf{")
    assert b"\n\t" in after["package.json"]
    assert patch(root, "--undo") == 0
    assert contents(root) == before
    assert patch(root, "--undo") == 0


@pytest.mark.parametrize(("lock", "words"), ALL, ids=["npm", "pnpm", "yarn", "bun", "patch-package"])
def test_after_an_upgrade_the_old_patch_is_replaced(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], lock: str, words: tuple[str, ...]
) -> None:
    root = project(tmp_path, lock, dependencies={PACKAGE: ">=1.4.4"})
    assert patch(root, *words) == 0
    old = next(path for path in PATCHES.values() if (root / path).exists())
    place("1.9.0", root / INSTALLED)
    if lock == "yarn.lock":
        (root / lock).write_text(LOCKS[lock].replace("1.4.4", "1.9.0"))
    capsys.readouterr()
    assert patch(root, "--check", *words) == 1
    assert (
        f"{old} is no longer needed: the project does not use {PACKAGE} 1.4.4: run `rtstt-shim patch-npm`"
        in capsys.readouterr().out
    )
    assert patch(root, *words) == 0
    assert not (root / old).exists()
    assert (root / old.replace("1.4.4", "1.9.0")).is_file()
    declared = (root / "package.json").read_text() + (
        (root / "pnpm-workspace.yaml").read_text() if lock.startswith("pnpm") else ""
    )
    assert "1.4.4.patch" not in declared
    place("2.0.0", root / INSTALLED)
    assert patch(root, *words) == 0
    assert contents(root) == contents(project(tmp_path / "fresh", lock, "2.0.0", dependencies={PACKAGE: ">=1.4.4"})) | {
        name: data for name, data in contents(root).items() if name == lock
    }


@pytest.mark.parametrize(("lock", "words"), ALL, ids=["npm", "pnpm", "yarn", "bun", "patch-package"])
def test_a_version_that_package_json_excludes_loses_its_patch_before_the_install(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], lock: str, words: tuple[str, ...]
) -> None:
    # npm and pnpm refuse an install with a patch of another version, so the old one is still installed.
    root = project(tmp_path, lock, dependencies={PACKAGE: "^1.4.4"})
    assert patch(root, *words) == 0
    old = next(path for path in PATCHES.values() if (root / path).exists())
    text = (root / "package.json").read_text()
    (root / "package.json").write_text(text.replace(f'"{PACKAGE}": "^1.4.4"', f'"{PACKAGE}": "^1.9.0"'))
    capsys.readouterr()
    left = (
        f"{root / INSTALLED} (1.4.4) is not what package.json asks for (^1.9.0): run "
        f"`{apply_command(lock)}`, then `rtstt-shim patch-npm` again\n"
    )
    assert patch(root, "--check", *words) == 1
    assert capsys.readouterr().out == (
        f"{old} is no longer needed: the project does not use {PACKAGE} 1.4.4: run `rtstt-shim patch-npm`\n{left}"
    )
    assert patch(root, *words) == 0
    assert capsys.readouterr().out.endswith(left)
    assert not (root / old).exists()
    assert "1.4.4.patch" not in "".join(path.read_text() for path in root.glob("*.*") if path.is_file())
    assert patch(root, "--check", *words) == 1
    assert capsys.readouterr().out == left


def apply_command(lock: str) -> str:
    tools = {"package-lock.json": "npm", "pnpm-lock.yaml": "pnpm", "yarn.lock": "yarn", "bun.lock": "bun"}
    return f"{tools[lock]} install"


@pytest.mark.parametrize(
    ("wanted", "version", "excluded"),
    [
        ("1.9.0", "1.4.4", True),
        ("1.4.4", "1.4.4", False),
        ("v1.4.4", "1.4.4", False),
        ("^1.9.0", "1.4.4", True),
        ("^1.4.0", "1.9.0", False),
        ("^1.9.0", "2.0.0", True),
        ("^0.4.2", "0.5.0", True),
        ("^0.0.3", "0.0.4", True),
        ("~1.4.0", "1.4.7", False),
        ("~1.4.0", "1.5.0", True),
        (">=1.4.4 <1.4.5", "1.4.4", False),
        (">=1.4.4 <1.4.5", "1.4.5", True),
        (">1.4.4", "1.4.4", True),
        ("<=1.4.4", "1.4.5", True),
        ("1.4.4 || ^1.9.0", "1.4.4", False),
        ("1.4.5 || ^1.9.0", "1.4.4", True),
        ("latest", "1.4.4", False),
        ("*", "1.4.4", False),
        ("1.9", "1.4.4", False),
        ("1.4.0 - 1.9.0", "1.4.4", False),
        ("workspace:^1.9.0", "1.4.4", False),
        ("^1.9.0", "1.4.4-beta.1", False),
        ("^1.9.0-beta.1", "1.4.4", False),
    ],
)
def test_only_a_range_that_certainly_excludes_the_installed_version_does(
    wanted: str, version: str, excluded: bool
) -> None:
    assert excludes(wanted, version) is excluded


def test_a_copy_of_another_package_follows_no_range_of_the_project(tmp_path: Path) -> None:
    root = project(tmp_path, version="1.9.0", dependencies={PACKAGE: "^1.9.0"})
    place("1.4.4", root / "node_modules/@acme/voice" / INSTALLED)
    (root / "node_modules/@acme/voice/package.json").write_text(json.dumps({"dependencies": {PACKAGE: "1.4.4"}}))
    assert patch(root) == 0
    assert (root / PATCHES["pnpm"]).is_file()


def test_a_patch_of_someone_else_stays(tmp_path: Path) -> None:
    root = project(tmp_path)
    assert patch(root) == 0
    mine = root / PATCHES["pnpm"].replace("1.4.4", "1.3.0")
    mine.write_text("diff --git a/x b/x\n")
    place("2.0.0", root / INSTALLED)
    assert patch(root) == 0
    assert mine.is_file()


def test_a_linked_package_json_is_written_through_and_nothing_outside_the_project(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = project(tmp_path / "app", "bun.lock")
    shared = tmp_path / "shared.json"
    (root / "package.json").rename(shared)
    (root / "package.json").symlink_to(shared)
    assert patch(root) == 0
    assert (root / "package.json").is_symlink()
    assert "patchedDependencies" in shared.read_text()
    other = project(tmp_path / "other", "bun.lock")
    (tmp_path / "outside").mkdir()
    (other / "patches").symlink_to(tmp_path / "outside")
    before = contents(other)
    assert patch(other) == 2
    assert f"{other / 'patches'} is a link that leaves {other}: replace it with a folder" in capsys.readouterr().err
    assert contents(other) == before
    assert list((tmp_path / "outside").iterdir()) == []


def test_a_package_with_windows_line_ends_gets_a_patch_that_applies(tmp_path: Path) -> None:
    root = project(tmp_path)
    for name in ("dist/stt.js", "dist/stt.cjs"):
        file = root / INSTALLED / name
        file.write_bytes(file.read_bytes().replace(b"\n", b"\r\n"))
    assert patch(root) == 0
    installed = root / INSTALLED
    commit(installed)
    git(installed, "apply", str(root / PATCHES["pnpm"]))
    assert b"\n" not in (installed / "dist/stt.js").read_bytes().replace(b"\r\n", b"")


def test_a_package_that_contains_its_source_is_patched_with_the_rules_of_its_pull_request(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = project(tmp_path, "bun.lock", version="2.0.0")
    source, installed = npm_package("2026.1.31", "openclaw-cn"), root / "node_modules/openclaw-cn"
    file = "extensions/voice-call/src/providers/stt-openai-realtime.ts"
    for name in ("package.json", file):
        (installed / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(source / name, installed / name)
    before = contents(root)
    assert patch(root, "--check") == 1
    assert f"{installed} (2026.1.31) is affected and not patched" in capsys.readouterr().out
    assert patch(root) == 0
    path = "patches/openclaw-cn@2026.1.31.patch"
    assert f"openclaw-cn 2026.1.31 is patched by {path} (bun: " in capsys.readouterr().out
    assert patch(root, "--undo") == 0
    assert contents(root) == before
    assert patch(root) == 0
    commit(installed)
    git(installed, "apply", str(root / path))
    text = (installed / file).read_text()
    assert 'type: "session.update"' in text
    assert "realtime=v1" not in text
    assert patch(root) == 0
    assert "needs no patch: the provider already opens sessions of the GA API" in capsys.readouterr().out


RULES = """
id: fixed
language: JavaScript
message: it asks for the host
metadata: {file: source}
rule: {pattern: "isNative($URL)"}
---
id: model
language: JavaScript
message: a call of `addModel`
metadata: {file: source}
rule: {kind: expression_statement, pattern: addModel($URL);}
fix: "if (!isNative($URL)) addModel($URL); // native hosts take no model"
"""


def test_another_package_is_data_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    data = tmp_path / "patches"
    published = data / "acme/published"
    published.mkdir(parents=True)
    (published / "package.yml").write_text(
        "name: '@acme/voice'\nfiles: [lib/url.js]\nmark: native hosts take no model\n"
    )
    (published / "rules.yml").write_text(RULES)
    monkeypatch.setattr("rtstt_testkit.upstream.packages.patches", lambda: data)
    root = tmp_path / "app"
    package = root / "node_modules/@acme/voice"
    (package / "lib").mkdir(parents=True)
    (package / "package.json").write_text(json.dumps({"name": "@acme/voice", "version": "3.1.0"}))
    (package / "lib/url.js").write_text("export function url(u) {\n  addModel(u);\n}\n")
    (root / "package.json").write_text("{}\n")
    (root / "bun.lock").write_text("{}")
    before = contents(root)
    assert patch(root, "--check") == 1
    assert patch(root) == 0
    assert "@acme/voice 3.1.0 is patched by patches/@acme%2Fvoice@3.1.0.patch (bun: " in capsys.readouterr().out
    commit(package)
    git(package, "apply", str(root / "patches/@acme%2Fvoice@3.1.0.patch"))
    assert "if (!isNative(u)) addModel(u);" in (package / "lib/url.js").read_text()
    shutil.rmtree(package / ".git")
    git(root, "apply", "-R", "--directory=node_modules/@acme/voice", "patches/@acme%2Fvoice@3.1.0.patch")
    assert patch(root, "--undo") == 0
    assert contents(root) == before


class TestBadInput:
    """One sentence, exit code 2, nothing written."""

    def refused(self, capsys: pytest.CaptureFixture[str], root: Path, *words: str) -> str:
        before = contents(root) if root.is_dir() else None
        assert patch(root, *words) == 2
        captured = capsys.readouterr()
        assert captured.err.count("\n") == 1
        assert (contents(root) if root.is_dir() else None) == before
        return captured.err.removeprefix("rtstt-shim: ").strip()

    def test_no_folder(self, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
        root = tmp_path / "missing"
        assert self.refused(capsys, root) == f"{root} is not a folder: give the folder of a Node project"

    def test_no_package_json(self, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
        assert self.refused(capsys, tmp_path) == f"{tmp_path} has no package.json: give the folder of a Node project"

    def test_no_node_modules(self, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
        root = project(tmp_path)
        shutil.rmtree(root / "node_modules")
        assert self.refused(capsys, root) == f"{root} has no node_modules: install its dependencies first"

    @pytest.mark.parametrize("text", ["{", "[]"])
    def test_broken_package_json(self, capsys: pytest.CaptureFixture[str], tmp_path: Path, text: str) -> None:
        root = project(tmp_path)
        (root / "package.json").write_text(text)
        said = self.refused(capsys, root)
        assert said.startswith(f"{root / 'package.json'} ")
        assert said.endswith("repair it first")

    @pytest.mark.parametrize(
        ("lock", "text"),
        [
            ("package-lock.json", "{<<<<<<< HEAD"),
            ("pnpm-lock.yaml", "<<<<<<< HEAD\nlockfileVersion: '9.0'\n"),
            ("pnpm-lock.yaml", ""),
            ("bun.lock", "{<<<<<<< HEAD"),
            ("yarn.lock", "__metadata:\n  version: 8\n  - broken"),
        ],
    )
    def test_broken_lockfile(self, capsys: pytest.CaptureFixture[str], tmp_path: Path, lock: str, text: str) -> None:
        root = project(tmp_path, lock)
        (root / lock).write_text(text)
        said = self.refused(capsys, root)
        assert said.startswith(f"{root / lock} is broken (")
        assert said.endswith("): generate it again before patching")

    def test_read_only_project(
        self, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        root = project(tmp_path)

        def refuse(path: Path, data: bytes) -> int:
            raise OSError(errno.EROFS, "Read-only file system", str(path))

        monkeypatch.setattr(Path, "write_bytes", refuse)
        monkeypatch.setattr("rtstt_testkit.upstream.installed.Installed.patch", lambda *_: "a patch")
        said = self.refused(capsys, root)
        assert said.startswith("cannot write ")
        assert said.endswith(": Read-only file system")

    def test_damaged_plugin(self, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
        root = project(tmp_path)
        (root / INSTALLED / "package.json").write_text("{}")
        assert self.refused(capsys, root) == f"{root / INSTALLED} is damaged ('version'): reinstall it"

    def test_no_npm(self, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        root = project(tmp_path, "package-lock.json")
        monkeypatch.setenv("PATH", "")
        assert self.refused(capsys, root) == (
            "npm is not installed, so its version is unknown: give --manager npm (12 or newer) or patch-package"
        )

    def test_another_patch_is_declared(self, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
        root = project(tmp_path)
        (root / "pnpm-workspace.yaml").write_text(f"patchedDependencies:\n  '{PACKAGE}@1.4.4': mine.patch\n")
        assert self.refused(capsys, root) == (
            f"{root / 'pnpm-workspace.yaml'} already patches {PACKAGE}@1.4.4 with mine.patch: add to that patch, "
            "or remove it first"
        )
        root = project(tmp_path / "bun", "bun.lock", patchedDependencies={f"{PACKAGE}@1.4.4": "mine.patch"})
        assert self.refused(capsys, root) == (
            f"{root / 'package.json'} already patches {PACKAGE}@1.4.4 with mine.patch: add to that patch, "
            "or remove it first"
        )

    def test_declarations_of_another_form(self, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
        root = project(tmp_path / "a", "bun.lock", patchedDependencies=[])
        assert self.refused(capsys, root) == (
            f"patchedDependencies in {root / 'package.json'} is not an object: repair it first"
        )
        root = project(tmp_path / "b")
        (root / "pnpm-workspace.yaml").write_text("patchedDependencies: {a@1.0.0: b.patch}\n")
        assert self.refused(capsys, root) == (
            f"patchedDependencies in {root / 'pnpm-workspace.yaml'} is not a block: write one entry per line"
        )
        (root / "pnpm-workspace.yaml").write_text("- a\n")
        assert self.refused(capsys, root) == f"{root / 'pnpm-workspace.yaml'} is broken: repair it first"

    def test_a_lockfile_that_lacks_the_plugin(self, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
        root = project(tmp_path, "yarn.lock", version="1.9.0")
        assert self.refused(capsys, root) == (
            f"{root / 'yarn.lock'} does not list {PACKAGE} 1.9.0: run `yarn install` first"
        )
