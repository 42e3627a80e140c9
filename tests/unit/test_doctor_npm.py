from __future__ import annotations

import json
from pathlib import Path
from zipfile import ZipFile

import pytest

from rtstt_core.cli import main
from rtstt_core.clients import npm_installed, tree
from rtstt_core.clients.results import Client, Verdict
from rtstt_core.clients.tree import Unread

LIVEKIT = "@livekit/agents-plugin-openai"
INTENT = 'url.searchParams.set("intent", "transcription");\n'
MODEL = 'url.searchParams.set("model", model);\n'
GUARDED = 'if (url.hostname !== "api.openai.com") {\n  ' + MODEL + "}\n"
BETA = 'headers: { "OpenAI-Beta": "realtime=v1" },\n'
FIXED = "if (!/(^|\\.)api\\.openai\\.com$/.test(url.hostname)) {\n  " + MODEL + "}\n"


def install(modules: Path, name: str, version: str, **files: str) -> Path:
    folder = modules / name
    folder.mkdir(parents=True)
    (folder / "package.json").write_text(json.dumps({"name": name, "version": version}))
    for path, content in files.items():
        file = folder / path.replace("__", "/").replace("_dot_", ".")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content)
    return folder


def plugin(modules: Path, version: str, source: str, cjs: str | None = None) -> Path:
    return install(modules, LIVEKIT, version, dist__stt_dot_js=source, dist__stt_dot_cjs=source if cjs is None else cjs)


def find_npm_clients(path: Path) -> list[Client]:
    """What is found, where everything can be read."""
    unread = Unread()
    found = npm_installed.find_npm_clients(path, unread)
    assert not unread.notes
    return found


def paths(found: list[Client]) -> list[Path]:
    return [Path(client.path or "") for client in found]


def only(found: list[Client]) -> Client:
    (client,) = found
    return client


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("NODE_OPTIONS", "RTSTT_SHIM_DISABLE"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize(
    ("version", "source", "verdict", "why", "not_needed_from"),
    [
        ("1.4.2", INTENT, "not affected", "sends intent=transcription without `model`", None),
        (
            "1.4.4",
            INTENT + MODEL,
            "affected",
            "sends `model` beside intent=transcription to every host (livekit/agents-js#1756)",
            "1.4.7, unless a regional host is used",
        ),
        (
            "1.9.0",
            INTENT + GUARDED,
            "affected",
            "sends `model` beside intent=transcription to OpenAI's regional hosts (eu., us. and others)",
            None,
        ),
        (
            "0.0.1",
            INTENT + BETA,
            "affected",
            "sends the header OpenAI-Beta: realtime=v1, which OpenAI has refused since 2026-05-12",
            None,
        ),
        ("1.9.1", INTENT + FIXED, "not affected", "sends `model` beside intent=transcription to gateways only", None),
        ("2.0.0", "nothing of the kind", "not affected", "opens no realtime transcription session", None),
    ],
)
def test_the_plugin_is_judged_by_what_it_does(
    version: str, source: str, verdict: Verdict, why: str, not_needed_from: str | None, tmp_path: Path
) -> None:
    folder = plugin(tmp_path / "node_modules", version, source)
    client = only(find_npm_clients(tmp_path))
    assert (client.name, client.version, client.path) == (LIVEKIT, version, str(folder))
    assert (client.verdict, client.why, client.not_needed_from) == (verdict, why, not_needed_from)


def test_without_the_preload_nothing_is_corrected_and_both_remedies_are_named(tmp_path: Path) -> None:
    plugin(tmp_path / "node_modules", "1.4.4", INTENT + MODEL)
    client = only(find_npm_clients(tmp_path))
    assert (client.covered, client.shim, client.fix) == (
        False,
        "nothing while the preload is not set: start the program with `rtstt-shim run -- COMMAND`",
        "upgrade to 1.4.7, unless a regional host is used; or patch it with `rtstt-shim patch-npm`",
    )


@pytest.mark.parametrize(
    "preload",
    [
        "--import=file:///x/rtstt_core/node/register.mjs",
        "-r /x/rtstt_core/node/register.cjs",
        "--require rtstt-shim/register",
        "--import rtstt-shim/register --no-warnings",
        '--require "C:\\x\\node_modules\\rtstt-shim\\register.cjs"',
    ],
)
def test_with_the_preload_it_is_covered_unless_the_shim_is_disabled(
    preload: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plugin(tmp_path / "node_modules", "1.9.0", INTENT + GUARDED)
    monkeypatch.setenv("NODE_OPTIONS", preload)
    client = only(find_npm_clients(tmp_path))
    assert (client.covered, client.shim) == (True, "corrects its URLs, through the preload in NODE_OPTIONS")
    monkeypatch.setenv("RTSTT_SHIM_DISABLE", "1")
    client = only(find_npm_clients(tmp_path))
    assert (client.covered, client.shim) == (False, "nothing: RTSTT_SHIM_DISABLE is set")


def test_the_npm_package_installed_beside_it_covers_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plugin(tmp_path / "node_modules", "1.9.0", INTENT + GUARDED)
    plugin(tmp_path / "member" / "node_modules", "0.0.1", INTENT + BETA)
    install(tmp_path / "node_modules", "rtstt-shim", "0.1.0")
    assert {(client.version, client.covered) for client in find_npm_clients(tmp_path)} == {
        ("0.0.1", False),
        ("1.9.0", True),
    }
    monkeypatch.setenv("RTSTT_SHIM_DISABLE", "1")
    assert not any(client.covered for client in find_npm_clients(tmp_path))
    monkeypatch.delenv("RTSTT_SHIM_DISABLE")
    monkeypatch.setenv("NODE_OPTIONS", "--require rtstt-shim/registers")
    assert "through the preload" not in " ".join(client.shim for client in find_npm_clients(tmp_path))


def test_the_beta_header_is_not_covered_by_the_preload(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plugin(tmp_path / "node_modules", "0.0.1", INTENT + BETA)
    monkeypatch.setenv("NODE_OPTIONS", "--import=file:///x/rtstt_core/node/register.mjs")
    client = only(find_npm_clients(tmp_path))
    assert (client.covered, client.fix) == (False, "no release without this is known")


def test_a_copy_patched_in_one_build_only_is_affected(tmp_path: Path) -> None:
    plugin(tmp_path / "node_modules", "1.4.4", INTENT, cjs=INTENT + MODEL)
    assert only(find_npm_clients(tmp_path)).verdict == "affected"


def test_a_patched_copy_is_not_affected_whatever_its_version(tmp_path: Path) -> None:
    plugin(tmp_path / "node_modules", "1.4.4", INTENT)
    assert only(find_npm_clients(tmp_path)).verdict == "not affected"


def test_a_plugin_without_its_built_files_is_reported_as_unknown(tmp_path: Path) -> None:
    install(tmp_path / "node_modules", LIVEKIT, "9.9.9")
    client = only(find_npm_clients(tmp_path))
    assert client.verdict == "unknown"
    assert client.why == "has no dist/stt.js or dist/stt.cjs, so what it does is not known"


@pytest.mark.parametrize(
    ("version", "files", "verdict", "why", "not_needed_from"),
    [
        (
            "6.49.0",
            {"realtime__internal-base_dot_js": MODEL},
            "not affected",
            "its realtime client always sends `model`: right for a conversation, refused for a transcription session",
            "7.6.0, with `intent` in place of `model`",
        ),
        (
            "7.57.0",
            {"realtime__internal-base_dot_js": "(hasIntent && config.intent !== 'transcription')\n" + MODEL},
            "not affected",
            "its realtime client sends `model` or intent=transcription as the application gives it, never both",
            "7.6.0, with `intent` in place of `model`",
        ),
        (
            "99.0.0",
            {"realtime__internal-base_dot_js": ""},
            "unknown",
            "has a realtime client of a shape that is not known",
            None,
        ),
        (
            "5.0.0",
            {},
            "not affected",
            "has no realtime client but the one of the beta, which OpenAI has refused since 2026-05-12",
            None,
        ),
    ],
)
def test_the_openai_package(
    version: str, files: dict[str, str], verdict: Verdict, why: str, not_needed_from: str | None, tmp_path: Path
) -> None:
    install(tmp_path / "node_modules", "openai", version, **files)
    client = only(find_npm_clients(tmp_path))
    assert (client.name, client.version, client.verdict, client.why) == ("openai", version, verdict, why)
    assert client.not_needed_from == not_needed_from
    assert client.is_fixed is (version == "7.57.0")


def test_workspaces_nested_copies_and_the_store_of_pnpm_are_searched(tmp_path: Path) -> None:
    top = plugin(tmp_path / "node_modules", "1.4.4", INTENT + MODEL)
    workspace = plugin(tmp_path / "packages" / "a" / "node_modules", "1.4.5", INTENT + MODEL)
    nested = plugin(tmp_path / "node_modules" / "@scope" / "b" / "node_modules", "1.4.6", INTENT + MODEL)
    stored = plugin(tmp_path / "web" / "node_modules" / ".pnpm" / "x@1" / "node_modules", "1.9.0", INTENT + GUARDED)
    link = tmp_path / "web" / "node_modules" / LIVEKIT
    link.parent.mkdir()
    link.symlink_to(stored, target_is_directory=True)
    plugin(tmp_path / "node_modules" / "c" / "test" / "node_modules", "1.4.4", "a package's own test")
    plugin(tmp_path / ".git" / "node_modules", "1.4.4", INTENT)

    found = find_npm_clients(tmp_path)
    assert {path.resolve(): client.version for path, client in zip(paths(found), found, strict=True)} == {
        top: "1.4.4",
        workspace: "1.4.5",
        nested: "1.4.6",
        stored: "1.9.0",
    }
    assert paths(found) == sorted(paths(found))


#: What is not searched, and where in it a tool puts packages; each row of the table has one.
LEFT_OUT = {
    ".git": ".git/modules/app",
    ".hg": ".hg/app",
    ".svn": ".svn/app",
    "__pycache__": "__pycache__/app",
    "site-packages": ".venv/lib/python3.12/site-packages/playwright/driver/package",
    ".*cache": ".cache/yarn/v6/npm-@livekit-agents-plugin-openai-1.4.4-0a1b-integrity",
    "Library/Caches": "Library/Caches/Yarn/v6/npm-openai-6.49.0-0a1b-integrity",
    "Yarn/Cache": "AppData/Local/Yarn/Cache/v6/npm-openai-6.49.0-0a1b-integrity",
    "_npx": ".npm/_npx/0a1b2c3d",
    "_cacache": "AppData/Local/npm-cache/_cacache/tmp/0a1b",
    ".nx/cache": ".nx/cache/12345/dist/apps/voice",
}


def test_every_folder_that_is_left_out_is_tested_and_says_why() -> None:
    assert set(LEFT_OUT) == set(tree.SKIPPED)
    assert all(tree.SKIPPED.values())


@pytest.mark.parametrize(
    "folder",
    [*LEFT_OUT.values(), "app/.yarn-cache/v6/npm-openai-6.49.0", "app/.mypy_cache", "web/node_modules/.cache/tool"],
)
def test_a_copy_in_a_cache_is_left_out(folder: str, tmp_path: Path) -> None:
    used = plugin(tmp_path / "app" / "node_modules", "1.9.0", INTENT + GUARDED)
    cached = plugin(tmp_path / folder / "node_modules", "1.4.4", INTENT + MODEL)
    assert paths(find_npm_clients(tmp_path)) == [used]
    assert paths(find_npm_clients(tmp_path / folder)) == [cached]


@pytest.mark.parametrize("cache", [".cache", ".npm/_npx", "Library/Caches"])
def test_a_cache_that_is_named_is_searched(cache: str, tmp_path: Path) -> None:
    cached = plugin(tmp_path / cache / "0a1b" / "node_modules", "1.4.4", INTENT + MODEL)
    assert paths(find_npm_clients(tmp_path / cache)) == [cached]


@pytest.mark.parametrize(
    "folder",
    [
        ".venv/lib",
        "venv/lib",
        "node_modules/.pnpm/@livekit+agents-plugin-openai@1.4.4",
        "node_modules/.store/@livekit/agents-plugin-openai@1.4.4-0a1b",
        "node_modules/.bun/@livekit+agents-plugin-openai@1.4.4",
        "node_modules/.deno/@livekit+agents-plugin-openai@1.4.4",
        ".pnpm-store/v10/links/@livekit/agents-plugin-openai/1.4.4/0a1b",
        ".yarn/unplugged/@livekit-agents-plugin-openai-npm-1.4.4-0a1b",
        ".next/standalone",
        ".output/server",
        ".nx/installation",
        ".nvm/versions/node/v20.20.2/lib",
        "packages/cache",
        "packages/Caches",
        "packages/npm-cache",
        "Library/apps/voice",
    ],
)
def test_what_a_program_may_run_is_found_wherever_it_is(folder: str, tmp_path: Path) -> None:
    used = plugin(tmp_path / folder / "node_modules", "1.4.4", INTENT + MODEL)
    assert paths(find_npm_clients(tmp_path)) == [used]


@pytest.mark.parametrize("manifest", ["", "[]", "{", '{"version": 3}'])
def test_a_broken_manifest_costs_only_the_version(manifest: str, tmp_path: Path) -> None:
    folder = plugin(tmp_path / "node_modules", "1.4.4", INTENT)
    (folder / "package.json").write_text(manifest)
    assert only(find_npm_clients(tmp_path)).version == ""


def test_a_folder_that_is_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NotADirectoryError, match="nowhere is not a folder"):
        find_npm_clients(tmp_path / "nowhere")
    assert find_npm_clients(tmp_path) == []


def test_a_member_of_a_workspace_finds_what_is_installed_at_the_root(tmp_path: Path) -> None:
    hoisted = plugin(tmp_path / "node_modules", "1.4.4", INTENT + MODEL)
    nested = plugin(tmp_path / "node_modules" / "other" / "node_modules", "1.4.5", INTENT + MODEL)
    (tmp_path / "package.json").write_text('{"workspaces": ["packages/*"]}')
    member = tmp_path / "packages" / "voice"
    own = plugin(member / "node_modules", "1.4.6", INTENT + MODEL)
    assert paths(find_npm_clients(member)) == [hoisted, nested, own]


def test_a_copy_in_a_store_is_named_by_the_link_that_uses_it(tmp_path: Path) -> None:
    store = tmp_path / "node_modules" / ".pnpm"
    used = plugin(store / "@livekit+agents-plugin-openai@1.4.4" / "node_modules", "1.4.4", INTENT + MODEL)
    unused = plugin(store / "@livekit+agents-plugin-openai@1.4.5" / "node_modules", "1.4.5", INTENT + MODEL)
    link = store / "voice@1" / "node_modules" / LIVEKIT
    link.parent.mkdir(parents=True)
    link.symlink_to(used, target_is_directory=True)
    assert set(paths(find_npm_clients(tmp_path))) == {link, unused}


def test_a_repository_is_not_looked_out_of(tmp_path: Path) -> None:
    plugin(tmp_path / "node_modules", "1.4.4", INTENT + MODEL)
    (tmp_path / "package.json").touch()
    (tmp_path / "project" / ".git").mkdir(parents=True)
    assert find_npm_clients(tmp_path / "project") == []


def test_a_node_modules_that_is_a_link_out_of_the_tree_is_searched(tmp_path: Path) -> None:
    plugin(tmp_path / "elsewhere" / "node_modules", "1.4.4", INTENT + MODEL)
    (tmp_path / "app").mkdir()
    (tmp_path / "app" / "node_modules").symlink_to(tmp_path / "elsewhere" / "node_modules")
    assert paths(find_npm_clients(tmp_path / "app")) == [tmp_path / "app" / "node_modules" / LIVEKIT]


@pytest.mark.parametrize("file", [".pnp.cjs", ".pnp.data.json"])
def test_archives_of_plug_and_play_are_read(file: str, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    cache.mkdir()
    archives = [cache / f"{name}.zip" for name in ("plain", "plugin-patch-0a1b")]
    for archive, source in zip(archives, (INTENT + MODEL, INTENT), strict=True):
        with ZipFile(archive, "w") as content:
            content.writestr(f"node_modules/{LIVEKIT}/package.json", '{"version": "1.4.4"}')
            content.writestr(f"node_modules/{LIVEKIT}/dist/stt.js", source)
    app = tmp_path / "app"
    app.mkdir()
    location = f'"packageLocation": "../cache/plain.zip/node_modules/{LIVEKIT}/",'
    (app / file).write_text(location)
    client = only(find_npm_clients(app))
    assert (client.version, client.verdict, client.path) == ("1.4.4", "affected", str(archives[0]))
    virtual = f'"packageLocation": "./.yarn/__virtual__/a-b/2/cache/plugin-patch-0a1b.zip/node_modules/{LIVEKIT}/",'
    (app / file).write_text(location + virtual)
    client = only(find_npm_clients(app))
    assert (client.verdict, client.path) == ("not affected", str(archives[1]))


def test_a_damaged_archive_is_named(tmp_path: Path) -> None:
    (tmp_path / "x.zip").write_text("no archive")
    (tmp_path / ".pnp.cjs").write_text(f'"packageLocation": "./x.zip/node_modules/{LIVEKIT}/",')
    unread = Unread()
    assert only(npm_installed.find_npm_clients(tmp_path, unread)).verdict == "unknown"
    assert set(unread.notes) == {f"{tmp_path / 'x.zip'}: File is not a zip file"}


@pytest.mark.parametrize(
    "path",
    [
        "patches/@livekit/agents-plugin-openai@{}.patch",
        "patches/@livekit__agents-plugin-openai@{}.patch",
        ".yarn/patches/@livekit-agents-plugin-openai-npm-{}.patch",
        "patches/@livekit%2Fagents-plugin-openai@{}.patch",
        "patches/@livekit+agents-plugin-openai+{}.patch",
    ],
)
def test_a_patch_for_a_version_that_is_gone_fails_where_that_is_asked_for(
    path: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plugin(tmp_path / "node_modules", "1.9.1", INTENT + FIXED)
    for version in ("1.4.4", "1.9.1"):
        patch = tmp_path / path.format(version)
        patch.parent.mkdir(parents=True, exist_ok=True)
        patch.touch()
    (tmp_path / "empty" / "lib" / "python3.12" / "site-packages").mkdir(parents=True)
    (tmp_path / "empty" / "pyvenv.cfg").write_text("version = 3.12.4\n")
    words = ["doctor", str(tmp_path), "--python", str(tmp_path / "empty")]
    assert main(words) == 0
    capsys.readouterr()
    assert main([*words, "--fail-unneeded"]) == 1
    assert capsys.readouterr().err.splitlines()[0] == (
        f"rtstt-shim: {tmp_path / path.format('1.4.4')} is for a version that is no longer installed"
    )
