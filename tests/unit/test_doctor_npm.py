from __future__ import annotations

import json
from pathlib import Path

import pytest

from rtstt_core.clients import npm_installed
from rtstt_core.clients.npm_installed import NpmClient, find_npm_clients

LIVEKIT = "@livekit/agents-plugin-openai"
INTENT = 'url.searchParams.set("intent", "transcription");\n'
MODEL = 'url.searchParams.set("model", model);\n'
GUARDED = 'if (url.hostname !== "api.openai.com") {\n  ' + MODEL + "}\n"
MENDED = "if (!/(^|\\.)api\\.openai\\.com$/.test(url.hostname)) {\n  " + MODEL + "}\n"


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


def only(found: list[NpmClient]) -> NpmClient:
    (client,) = found
    return client


@pytest.mark.parametrize(
    ("version", "source", "affected", "why", "not_needed_from"),
    [
        ("1.4.2", INTENT, False, "sends intent=transcription without `model`", None),
        (
            "1.4.4",
            INTENT + MODEL,
            True,
            "sends `model` beside intent=transcription to every host (livekit/agents-js#1756)",
            "1.4.7, unless a regional host is used",
        ),
        (
            "1.9.0",
            INTENT + GUARDED,
            True,
            "sends `model` beside intent=transcription to OpenAI's regional hosts (eu., us. and others)",
            None,
        ),
        ("1.9.1", INTENT + MENDED, False, "sends `model` beside intent=transcription to gateways only", None),
        ("2.0.0", "nothing of the kind", False, "opens no realtime transcription session", None),
    ],
)
def test_the_plugin_is_judged_by_what_it_does(
    version: str, source: str, affected: bool, why: str, not_needed_from: str | None, tmp_path: Path
) -> None:
    folder = plugin(tmp_path / "node_modules", version, source)
    shim = "corrected by the preload (`rtstt-shim node-path`)" if affected else "nothing to do"
    assert only(find_npm_clients(tmp_path)) == NpmClient(LIVEKIT, version, folder, affected, why, shim, not_needed_from)


def test_a_copy_patched_in_one_build_only_is_affected(tmp_path: Path) -> None:
    plugin(tmp_path / "node_modules", "1.4.4", INTENT, cjs=INTENT + MODEL)
    assert only(find_npm_clients(tmp_path)).affected


def test_a_patched_copy_is_not_affected_whatever_its_version(tmp_path: Path) -> None:
    plugin(tmp_path / "node_modules", "1.4.4", INTENT)
    assert not only(find_npm_clients(tmp_path)).affected


def test_a_plugin_without_its_built_files_is_said_to_be_unknown(tmp_path: Path) -> None:
    install(tmp_path / "node_modules", LIVEKIT, "9.9.9")
    client = only(find_npm_clients(tmp_path))
    assert not client.affected
    assert client.why == "no dist/stt.js or dist/stt.cjs in it, so what it does is not known"


@pytest.mark.parametrize(
    ("files", "why"),
    [
        (
            {"realtime__internal-base_dot_js": MODEL},
            "sends `model` always, which is wrong only where its realtime client is used for transcription",
        ),
        ({"realtime__internal-base_dot_js": ""}, "its realtime client sends no `model` of its own accord"),
        ({}, "has no realtime client for the current API"),
    ],
)
def test_the_openai_package(files: dict[str, str], why: str, tmp_path: Path) -> None:
    install(tmp_path / "node_modules", "openai", "6.49.0", **files)
    client = only(find_npm_clients(tmp_path))
    assert (client.name, client.version, client.affected, client.why) == ("openai", "6.49.0", False, why)


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
    assert {client.path.resolve(): client.version for client in found} == {
        top: "1.4.4",
        workspace: "1.4.5",
        nested: "1.4.6",
        stored: "1.9.0",
    }
    assert [client.path for client in found] == sorted(client.path for client in found)


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
    assert set(LEFT_OUT) == set(npm_installed._SKIPPED)
    assert all(npm_installed._SKIPPED.values())


@pytest.mark.parametrize(
    "folder",
    [*LEFT_OUT.values(), "app/.yarn-cache/v6/npm-openai-6.49.0", "app/.mypy_cache", "web/node_modules/.cache/tool"],
)
def test_a_copy_in_a_cache_is_left_out(folder: str, tmp_path: Path) -> None:
    used = plugin(tmp_path / "app" / "node_modules", "1.9.0", INTENT + GUARDED)
    cached = plugin(tmp_path / folder / "node_modules", "1.4.4", INTENT + MODEL)
    assert [client.path for client in find_npm_clients(tmp_path)] == [used]
    assert [client.path for client in find_npm_clients(tmp_path / folder)] == [cached]


@pytest.mark.parametrize("cache", [".cache", ".npm/_npx", "Library/Caches"])
def test_a_cache_that_is_named_is_searched(cache: str, tmp_path: Path) -> None:
    cached = plugin(tmp_path / cache / "0a1b" / "node_modules", "1.4.4", INTENT + MODEL)
    assert [client.path for client in find_npm_clients(tmp_path / cache)] == [cached]


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
    assert [client.path for client in find_npm_clients(tmp_path)] == [used]


@pytest.mark.parametrize("manifest", ["", "[]", "{", '{"version": 3}'])
def test_a_broken_manifest_costs_only_the_version(manifest: str, tmp_path: Path) -> None:
    folder = plugin(tmp_path / "node_modules", "1.4.4", INTENT)
    (folder / "package.json").write_text(manifest)
    assert only(find_npm_clients(tmp_path)).version == ""


def test_a_folder_that_is_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NotADirectoryError, match="nowhere is not a folder"):
        find_npm_clients(tmp_path / "nowhere")
    assert find_npm_clients(tmp_path) == []
