"""`rtstt-shim pr` on real sources: what it writes, when it writes nothing, and the errors for bad input."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from upstream_sources import commit, git, make_hostile, npm_package

from rtstt_core.cli import main
from rtstt_testkit.upstream.errors import VerificationFailed
from rtstt_testkit.upstream.fixes import find_fix, load_fixes
from rtstt_testkit.upstream.pull_request import VerificationReport

pytestmark = pytest.mark.client

JS = ("1.4.4", "1.4.5", "1.4.6", "1.4.7", "1.5.0", "1.9.0")
#: The other versions that were published up to 1.9.0.
OTHERS = ("1.4.5", "1.4.6", "1.4.8", "1.4.9", "1.4.11", "1.5.0", "1.5.1", "1.5.2", "1.5.3", "1.6.0", "1.6.1", "1.6.2")
OTHERS += ("1.6.3", "1.6.4", "1.7.0", "1.7.1", "1.8.0", "1.8.1")
FIXES = (
    "agents-js/model-param",
    "agents-js/ws-api-errors",
    "agents-js/ws-close-code",
    "agents-js/ws-first-event",
    "agents-js/ws-warning",
)
PLUGIN = "livekit-plugins-openai"
Npm = Callable[[str], Path]
Pypi = Callable[[str, str], Path]


def pr(fix: str, source: Path, out: Path, *more: str) -> int:
    return main(["pr", fix, "--source", str(source), "--out", str(out), "--author", "Zoë <zoe@example.com>", *more])


def contents(folder: Path) -> dict[str, bytes]:
    files = (path for path in sorted(folder.rglob("*")) if path.is_file() and ".git" not in path.parts)
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def checkout(source: Path, folder: Path) -> Path:
    """Make the part of the upstream's repository that the pull requests change."""
    shutil.copytree(source / "src", folder / "plugins/openai/src")
    shutil.copy(source / "package.json", folder / "plugins/openai")
    (folder / ".changeset").mkdir()
    (folder / ".changeset" / "config.json").write_text("{}")
    commit(folder)
    return folder


@pytest.mark.parametrize("fix", FIXES)
@pytest.mark.parametrize("version", JS)
def test_the_patch_applies_to_a_pristine_copy_and_touches_nothing_else(
    npm_source: Npm, tmp_path: Path, version: str, fix: str
) -> None:
    source = npm_source(version)
    pristine = contents(source)
    assert pr(fix, source, tmp_path / "out") == 0
    assert contents(source) == pristine

    (patch,) = (tmp_path / "out").glob("*.patch")
    commit(source)
    git(source, "apply", "--check", str(patch))
    git(source, "am", "--quiet", str(patch))
    assert git(source, "status", "--porcelain") == ""
    assert git(source, "log", "-1", "--format=%an <%ae> %s").startswith("Zoë <zoe@example.com> fix(openai): ")
    changed = git(source, "diff", "--name-only", "HEAD~1").split()
    tests = Path(find_fix(fix).test_path).name
    assert sorted(changed)[1:] == sorted([f"src/{tests}", "src/stt.ts"])
    assert changed[0].startswith(".changeset/")


@pytest.mark.parametrize(
    "version",
    ["1.4.4", "1.4.7", "1.5.5", "1.9.0", *(pytest.param(version, marks=pytest.mark.release) for version in OTHERS)],
)
def test_the_patches_of_one_upstream_apply_in_any_order(npm_source: Npm, tmp_path: Path, version: str) -> None:
    source = npm_source(version)
    for number, fix in enumerate(FIXES):
        assert pr(fix, source, tmp_path / str(number)) == 0
    patches = [str(next((tmp_path / str(number)).glob("*.patch"))) for number in range(len(FIXES))]
    commit(source)
    trees = set()
    for order in (patches, patches[::-1], patches[2:] + patches[:2], patches[1::2] + patches[::2]):
        git(source, "am", "--quiet", *order)
        trees.add(git(source, "rev-parse", "HEAD^{tree}"))
        git(source, "reset", "--quiet", "--hard", f"HEAD~{len(order)}")
    assert len(trees) == 1


@pytest.mark.parametrize("fix", FIXES)
def test_a_package_gives_the_patch_for_a_checkout_too(npm_source: Npm, tmp_path: Path, fix: str) -> None:
    source = npm_source("1.9.0")
    repository = checkout(source, tmp_path / "agents-js")
    assert pr(fix, source, tmp_path / "from package") == 0
    assert pr(fix, repository, tmp_path / "from checkout") == 0
    (patch,) = (tmp_path / "from checkout").glob("*.patch")
    assert patch.read_bytes() == (tmp_path / "from package" / "checkout" / patch.name).read_bytes()
    git(repository, "am", "--quiet", str(patch))
    changed = git(repository, "diff", "--name-only", "HEAD~1").split()
    assert sorted(changed)[1:] == sorted([find_fix(fix).test_path, "plugins/openai/src/stt.ts"])


def test_the_change_note_and_the_text_are_in_the_form_of_the_upstream(npm_source: Npm, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert pr("agents-js/model-param", npm_source("1.4.4"), out) == 0
    assert sorted(contents(out)) == [
        "0001-fix-openai-stt-native-model.patch",
        "PR.md",
        "checkout/0001-fix-openai-stt-native-model.patch",
    ]
    patch = (out / "0001-fix-openai-stt-native-model.patch").read_text(encoding="utf-8")
    assert "+++ b/.changeset/fix-openai-stt-native-model.md" in patch
    assert "+'@livekit/agents-plugin-openai': patch" in patch
    text = (out / "PR.md").read_text(encoding="utf-8")
    assert re.findall(r"^## .*", text, re.M) == [
        "## Description",
        "## Changes Made",
        "## Pre-Review Checklist",
        "## Testing",
        "## Additional Notes",
    ]
    assert "Title: fix(openai): omit the model from native realtime STT URLs" in text
    assert "gh pr create --repo livekit/agents-js --base main --title 'fix(openai): omit the model" in text
    assert "Not run yet: this text was generated without `--verify`." in text
    assert "- [ ] All tests pass" in text
    assert "- [ ] **Build passes**" in text
    assert str(tmp_path) not in text


def test_running_twice_gives_the_same_bytes(npm_source: Npm, tmp_path: Path) -> None:
    source = npm_source("1.9.0")
    assert pr(FIXES[1], source, tmp_path / "a") == 0
    first = contents(tmp_path / "a")
    assert pr(FIXES[1], source, tmp_path / "a") == 0
    assert pr(FIXES[1], source, tmp_path / "b") == 0
    assert contents(tmp_path / "a") == contents(tmp_path / "b") == first


@pytest.mark.parametrize(
    ("version", "fix", "reason"),
    [
        ("1.4.2", FIXES[0], "this version never puts `model` into the realtime transcription URL"),
        (
            "1.4.4",
            FIXES[0],
            "`buildRealtimeSttUrl` already leaves `model` out for the regional hosts of api.openai.com",
        ),
        (
            "1.9.0",
            FIXES[0],
            "`buildRealtimeSttUrl` already leaves `model` out for the regional hosts of api.openai.com",
        ),
        ("1.4.4", FIXES[1], "the realtime path already throws the framework's APIError family"),
    ],
)
def test_a_source_that_is_fixed_already_is_unchanged(
    npm_source: Npm, tmp_path: Path, capsys: pytest.CaptureFixture[str], version: str, fix: str, reason: str
) -> None:
    source = npm_source(version)
    if version != "1.4.2":
        assert pr(fix, source, tmp_path / "out") == 0
        commit(source)
        git(source, "am", "--quiet", *map(str, (tmp_path / "out").glob("*.patch")))
    capsys.readouterr()
    assert pr(fix, source, tmp_path / "nothing") == 0
    assert capsys.readouterr().out == f"{source} needs no pull request: {reason}\n"
    assert not (tmp_path / "nothing").exists()


def test_an_unknown_shape_is_named_and_nothing_is_written(
    npm_source: Npm, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = npm_source("1.9.0")
    file = source / "src/stt.ts"
    file.write_text(file.read_text().replace("url.hostname !== 'api.openai.com'", "isGateway(url)"))
    assert pr(FIXES[0], source, tmp_path / "out") == 1
    assert capsys.readouterr().err == (
        "rtstt-shim: src/stt.ts has an unknown shape: expected an unconditional "
        "`url.searchParams.set('model', model)` in `buildRealtimeSttUrl`, or "
        "`if (url.hostname !== 'api.openai.com')` around it\n"
    )
    assert not (tmp_path / "out").exists()


def test_check_reports_whether_a_patch_still_applies(
    npm_source: Npm, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source, out = npm_source("1.9.0"), tmp_path / "out"
    assert pr(FIXES[0], source, out, "--check") == 2
    assert f"{out} contains no patch to check: generate it first, without --check" in capsys.readouterr().err
    assert pr(FIXES[0], source, out) == 0
    capsys.readouterr()
    assert pr(FIXES[0], source, out, "--check") == 0
    assert "applies to" in capsys.readouterr().out
    file = source / "src/stt.ts"
    file.write_text(file.read_text().replace("const CONTEXT_HINT_MODELS", "const CONTEXT_MODELS", 1))
    assert pr(FIXES[0], source, out, "--check") == 1
    assert re.search(r"\.patch no longer applies to .* \(.*\): generate it again", capsys.readouterr().err)


@pytest.mark.parametrize("version", ["1.6.6", "1.8.9"])
def test_the_python_plugin_gets_its_fix_and_a_test_module(pypi_source: Pypi, tmp_path: Path, version: str) -> None:
    source = pypi_source(PLUGIN, version)
    assert pr("agents/regional-hosts", source, tmp_path / "out") == 0
    commit(source)
    (patch,) = (tmp_path / "out").glob("*.patch")
    git(source, "am", "--quiet", str(patch))
    assert git(source, "diff", "--name-only", "HEAD~1").split() == [
        "livekit/plugins/openai/stt.py",
        "tests/test_plugin_openai_regional_hosts.py",
    ]
    assert "pytestmark = pytest.mark.unit" in (source / "tests/test_plugin_openai_regional_hosts.py").read_text()
    assert not list((tmp_path / "out").rglob("*changeset*"))


def test_a_python_checkout_has_its_own_test_module_extended(pypi_source: Pypi, tmp_path: Path) -> None:
    source, repository = pypi_source(PLUGIN, "1.8.9"), tmp_path / "agents"
    shutil.copytree(source / "livekit", repository / "livekit-plugins/livekit-plugins-openai/livekit")
    tests = repository / "tests/test_plugin_openai_websocket_urls.py"
    tests.parent.mkdir()
    tests.write_text("async def test_native_realtime_stt_connect_url_omits_model() -> None:\n    assert True\n")
    commit(repository)
    assert pr("agents/regional-hosts", repository, tmp_path / "out") == 0
    git(repository, "am", "--quiet", *map(str, (tmp_path / "out").glob("*.patch")))
    assert git(repository, "diff", "--name-only", "HEAD~1").split()[1] == str(tests.relative_to(repository))
    assert "omits_model() -> None:\n    assert True\n\n\n@pytest.mark.parametrize(" in tests.read_text()


def test_places_like_the_fixed_one_are_named(npm_source: Npm, pypi_source: Pypi, tmp_path: Path) -> None:
    source = npm_source("1.9.0")
    (source / "src/gateway.ts").write_text("export const native = (u: URL) => u.hostname === 'api.openai.com';\n")
    assert pr(FIXES[0], source, tmp_path / "js") == 0
    text = (tmp_path / "js" / "PR.md").read_text(encoding="utf-8")
    assert re.findall(r"^Not touched: .*", text, re.M) == [
        "Not touched: `plugins/openai/src/gateway.ts` line 1 has a similar test, because it was not examined.",
        "Not touched: `plugins/openai/src/ws/llm.ts` line 59 has a similar test, because it builds the URL of the "
        "Responses API, for which no refusal is known.",
    ]
    assert pr("agents/regional-hosts", pypi_source(PLUGIN, "1.8.9"), tmp_path / "py") == 0
    text = (tmp_path / "py" / "PR.md").read_text(encoding="utf-8")
    assert "plugins/openai/llm.py` line " in text
    assert "plugins/openai/responses/llm.py` line " in text
    assert "it was not examined" not in text
    assert pr("speech-to-speech/regional-hosts", pypi_source("speech-to-speech", "1.1.0"), tmp_path / "s2s") == 0
    text = (tmp_path / "s2s" / "PR.md").read_text(encoding="utf-8")
    assert re.findall(r"^Not touched: `(.*)` line \d+ has a similar test, because (.*)\.", text, re.M) == [
        ("src/speech_to_speech/STT/streaming_handler.py", "it decides which host gets the API key of the environment")
    ]


@pytest.mark.parametrize(
    ("version", "comment"),
    [("1.4.4", "OpenAI's own hosts refuse a"), ("1.9.0", "`api.openai.com` and its regional siblings")],
)
def test_the_comment_of_the_function_says_what_it_does(
    npm_source: Npm, tmp_path: Path, version: str, comment: str
) -> None:
    source = npm_source(version)
    commit(source)
    assert pr(FIXES[0], source, tmp_path / "out") == 0
    git(source, "am", "--quiet", *map(str, (tmp_path / "out").glob("*.patch")))
    text = (source / "src/stt.ts").read_text()
    documentation = text[: text.index("export function buildRealtimeSttUrl")].rpartition("/**")[2]
    assert comment in " ".join(documentation.replace("*", "").split())
    assert "ignores the" not in documentation


@pytest.mark.parametrize("fix", [fix.name for fix in load_fixes() if "regional" in fix.about])
def test_a_text_on_regional_hosts_separates_what_is_known_from_what_is_inferred(fix: str) -> None:
    for variant in find_fix(fix).variants.values():
        assert "What is known: the global host refuses" in variant.description
        assert "What is\ninferred: " in variant.description


def test_the_version_before_the_python_fault_needs_nothing(
    pypi_source: Pypi, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert pr("agents/regional-hosts", pypi_source(PLUGIN, "1.6.5"), tmp_path / "out") == 0
    assert "this version never puts `model` into the realtime transcription URL" in capsys.readouterr().out


def test_speech_to_speech_gets_its_fix(pypi_source: Pypi, tmp_path: Path) -> None:
    source = pypi_source("speech-to-speech", "1.1.0")
    assert pr("speech-to-speech/regional-hosts", source, tmp_path / "out") == 0
    commit(source)
    git(source, "am", "--quiet", *map(str, (tmp_path / "out").glob("*.patch")))
    assert git(source, "diff", "--name-only", "HEAD~1").split() == [
        "speech_to_speech/STT/streaming_handler.py",
        "tests/test_streaming_stt_regional_hosts.py",
    ]


def test_a_speech_to_speech_checkout_has_the_module_that_tests_the_file_extended(
    pypi_source: Pypi, tmp_path: Path
) -> None:
    source, repository = pypi_source("speech-to-speech", "1.1.0"), tmp_path / "speech-to-speech"
    shutil.copytree(source / "speech_to_speech", repository / "src/speech_to_speech")
    tests = repository / "tests/test_streaming_stt_handler.py"
    tests.parent.mkdir()
    last = "@pytest.mark.parametrize('a', [1])\ndef test_last(a) -> None:\n    assert _handler()\n"
    tests.write_text(f"import pytest\n\n\ndef _handler():\n    return 1\n\n\n{last}")
    commit(repository)
    assert pr("speech-to-speech/regional-hosts", repository, tmp_path / "out") == 0
    git(repository, "am", "--quiet", *map(str, (tmp_path / "out").glob("*.patch")))
    assert git(repository, "diff", "--name-only", "HEAD~1").split() == [
        "src/speech_to_speech/STT/streaming_handler.py",
        "tests/test_streaming_stt_handler.py",
    ]
    assert f"{last}\n\n@pytest.mark.parametrize(" in tests.read_text()


def test_a_package_with_the_paths_of_its_repository_gets_one_patch(tmp_path: Path) -> None:
    source = Path(shutil.copytree(npm_package("2026.1.31", "openclaw-cn"), tmp_path / "source"))
    pristine = contents(source)
    assert pr("openclaw-cn/ga-session", source, tmp_path / "out") == 0
    assert contents(source) == pristine
    assert sorted(contents(tmp_path / "out")) == ["0001-fix-voice-call-realtime-stt-ga.patch", "PR.md"]
    commit(source)
    git(source, "am", "--quiet", *map(str, (tmp_path / "out").glob("*.patch")))
    folder = "extensions/voice-call/src/providers"
    assert git(source, "diff", "--name-only", "HEAD~1").split() == [
        f"{folder}/stt-openai-realtime.test.ts",
        f"{folder}/stt-openai-realtime.ts",
    ]
    assert pr("openclaw-cn/ga-session", source, tmp_path / "nothing") == 0
    assert not (tmp_path / "nothing").exists()


def test_the_list_says_which_targets_a_source_needs(
    npm_source: Npm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    assert main(["pr", "--list"]) == 0
    shown = capsys.readouterr().out
    assert max(map(len, shown.splitlines())) <= 80
    monkeypatch.setenv("COLUMNS", "1000")
    assert re.findall(r"^\S+", shown, re.M) == [
        "agents/regional-hosts",
        "agents-js/model-param",
        "agents-js/ws-api-errors",
        "agents-js/ws-close-code",
        "agents-js/ws-first-event",
        "agents-js/ws-warning",
        "openclaw-cn/ga-session",
        "speech-to-speech/regional-hosts",
    ]
    source = npm_source("1.4.2")
    assert main(["pr", "--list", "agents-js/model-param", "--source", str(source)]) == 0
    assert f"{source}: 1.4.2: not needed: this version never puts `model`" in capsys.readouterr().out
    assert main(["pr", "--list", "agents/regional-hosts", "--source", str(source)]) == 0
    assert "not a source of it (" in capsys.readouterr().out
    shutil.copytree(npm_source("1.9.0"), tmp_path / "node_modules/@livekit/agents-plugin-openai")
    assert main(["pr", "--list", "agents-js/model-param"]) == 0
    assert "node_modules/@livekit/agents-plugin-openai: 1.9.0: needed" in capsys.readouterr().out


def test_a_patch_that_is_not_proven_is_not_written(
    npm_source: Npm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    source, out = npm_source("1.9.0"), tmp_path / "out"

    def fail(request: object, progress: Callable[[str], None]) -> str:
        progress("working")
        raise VerificationFailed("not verified: the new tests pass without the patch")

    monkeypatch.setattr("rtstt_testkit.upstream.verify.verify", fail)
    assert pr(FIXES[0], source, out, "--verify") == 1
    assert capsys.readouterr().err == "working\nrtstt-shim: not verified: the new tests pass without the patch\n"
    assert not out.exists()
    monkeypatch.setattr(
        "rtstt_testkit.upstream.verify.verify",
        lambda request, progress: VerificationReport("| a run | passed |", True, True),
    )
    assert pr(FIXES[0], source, out, "--verify") == 0
    text = (out / "PR.md").read_text(encoding="utf-8")
    assert "## Testing\n| a run | passed |\n" in text
    assert "- [x] All tests pass" in text
    assert "- [x] **Build passes**" in text


@pytest.mark.parametrize(
    "step", ["rtstt_testkit.upstream.verify.verify", "pathlib.Path.rename", "pathlib.Path.write_bytes"]
)
def test_an_interrupt_leaves_nothing_behind(
    npm_source: Npm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    repository = checkout(npm_source("1.9.0"), tmp_path / "agents-js")
    before = {str(path): path.lstat().st_mtime_ns for path in repository.rglob("*")}
    (tmp_path / "here").mkdir()

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(step, interrupt)
    words = ["--verify"] if step.endswith("verify") else []
    assert pr(FIXES[0], repository, tmp_path / "here/out", *words) == 130
    monkeypatch.undo()
    assert {str(path): path.lstat().st_mtime_ns for path in repository.rglob("*")} == before
    assert list((tmp_path / "here").iterdir()) == []


class TestBadInput:
    """One sentence, exit code 2, nothing written."""

    def refused(self, capsys: pytest.CaptureFixture[str], *words: str | Path) -> str:
        assert main(["pr", *map(str, words)]) == 2
        captured = capsys.readouterr()
        assert captured.err.count("\n") == 1
        return captured.err.removeprefix("rtstt-shim: ").strip()

    def test_nothing_to_do(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert self.refused(capsys) == (
            "FIX is missing: rtstt-shim pr FIX --source DIR --out DIR; `rtstt-shim pr --list` shows the fixes"
        )

    def test_an_option_is_missing(self, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
        usage = f"rtstt-shim pr {FIXES[0]} --source DIR --out DIR"
        assert self.refused(capsys, FIXES[0]) == f"--source and --out are missing: {usage}"
        assert self.refused(capsys, FIXES[0], "--source", tmp_path) == f"--out is missing: {usage}"
        assert self.refused(capsys, FIXES[0], "--out", tmp_path / "out") == f"--source is missing: {usage}"
        assert self.refused(capsys, "source") == "--source is missing: rtstt-shim pr source --source CHECKOUT"

    def test_a_fix_that_does_not_exist_is_named_before_an_option_that_is_missing(
        self, capsys: pytest.CaptureFixture[str], tmp_path: Path
    ) -> None:
        assert self.refused(capsys, "nope", "--source", tmp_path).startswith("there is no fix 'nope': choose one of ")

    def test_no_such_target(self, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
        assert self.refused(capsys, "agents-js/nope", "--source", tmp_path, "--out", tmp_path / "out") == (
            "there is no fix 'agents-js/nope': choose one of agents/regional-hosts, agents-js/model-param, "
            "agents-js/ws-api-errors, agents-js/ws-close-code, agents-js/ws-first-event, agents-js/ws-warning, "
            "openclaw-cn/ga-session, speech-to-speech/regional-hosts"
        )

    def test_wrong_directory(self, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
        assert self.refused(capsys, FIXES[0], "--source", tmp_path, "--out", tmp_path / "out") == (
            f"{tmp_path} is neither a checkout of livekit/agents-js nor an unpacked @livekit/agents-plugin-openai: "
            "it has no plugins/openai/package.json and no package.json with that name"
        )

    def test_a_package_of_another_name(self, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
        (tmp_path / "package.json").write_text('{"name": "other", "version": "1.0.0"}')
        assert self.refused(capsys, "openclaw-cn/ga-session", "--source", tmp_path, "--out", tmp_path / "out") == (
            f"{tmp_path} is neither a checkout of jiulingyun/openclaw-cn nor an unpacked openclaw-cn: "
            "it has no package.json with that name"
        )

    def test_missing_directory(self, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
        missing = tmp_path / "missing"
        assert self.refused(capsys, FIXES[0], "--source", missing, "--out", tmp_path / "out") == (
            f"{missing} does not exist: give the folder of the source"
        )

    def test_packed_source(self, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
        packed = tmp_path / "plugin.tgz"
        packed.touch()
        assert self.refused(capsys, FIXES[0], "--source", packed, "--out", tmp_path / "out") == (
            f"{packed} is a file: unpack it first"
        )

    def test_source_moved_away(self, npm_source: Npm, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
        source = npm_source("1.9.0")
        (source / "src/stt.ts").unlink()
        assert main(["pr", FIXES[0], "--source", str(source), "--out", str(tmp_path / "out")]) == 1
        assert "is @livekit/agents-plugin-openai, but has no src/stt.ts to patch" in capsys.readouterr().err

    def test_dirty_checkout(self, npm_source: Npm, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
        repository = checkout(npm_source("1.9.0"), tmp_path / "agents-js")
        (repository / "plugins/openai/src/stt.ts").write_text("changed")
        (repository / "plugins/openai/src/llm.ts").write_text("changed")
        assert self.refused(capsys, FIXES[0], "--source", repository, "--out", tmp_path / "out") == (
            f"{repository} has uncommitted changes (plugins/openai/src/llm.ts and 1 more): commit or stash them first"
        )

    def test_windows_line_endings(self, npm_source: Npm, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
        source = npm_source("1.9.0")
        file = source / "src/stt.ts"
        file.write_bytes(file.read_bytes().replace(b"\n", b"\r\n"))
        assert self.refused(capsys, FIXES[0], "--source", source, "--out", tmp_path / "out") == (
            f"{file} has Windows line endings, which the upstream does not: convert them to LF first"
        )

    def test_not_text(self, npm_source: Npm, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
        source = npm_source("1.9.0")
        (source / "src/stt.ts").write_bytes(b"\xff\xfe")
        said = self.refused(capsys, FIXES[0], "--source", source, "--out", tmp_path / "out")
        assert said.endswith("stt.ts is not UTF-8 text, so it is not the upstream's file")

    def test_output_holds_other_files(
        self, npm_source: Npm, capsys: pytest.CaptureFixture[str], tmp_path: Path
    ) -> None:
        source, out = npm_source("1.9.0"), tmp_path / "out"
        (out / "checkout").mkdir(parents=True)
        (out / "checkout" / "mine.txt").touch()
        assert self.refused(capsys, FIXES[0], "--source", source, "--out", out) == (
            f"{out} contains other files (checkout/mine.txt): give an empty folder"
        )
        assert [path.name for path in out.rglob("*")] == ["checkout", "mine.txt"]

    def test_output_cannot_be_written(
        self, npm_source: Npm, capsys: pytest.CaptureFixture[str], tmp_path: Path
    ) -> None:
        source = npm_source("1.9.0")
        file = tmp_path / "file"
        file.touch()
        words = (FIXES[0], "--source", source, "--out")
        assert self.refused(capsys, *words, file) == f"{file} is a file: give a folder for the output"
        assert re.fullmatch(r"cannot write .*: Not a directory", self.refused(capsys, *words, file / "out"))

    def test_change_note_exists(self, npm_source: Npm, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
        source = npm_source("1.9.0")
        note = source / ".changeset/fix-openai-stt-regional-model.md"
        note.parent.mkdir()
        note.touch()
        assert self.refused(capsys, FIXES[0], "--source", source, "--out", tmp_path / "out") == (
            f"{source} already has a .changeset/fix-openai-stt-regional-model.md: remove it first"
        )

    def test_no_git(
        self, npm_source: Npm, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        source = npm_source("1.9.0")
        monkeypatch.setenv("PATH", str(tmp_path))
        assert self.refused(capsys, FIXES[0], "--source", source, "--out", tmp_path / "out") == (
            "git is not installed: install git, which makes and checks the patches"
        )

    def test_no_identity(
        self, npm_source: Npm, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("GIT_CONFIG_GLOBAL", "/dev/null")
        monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
        monkeypatch.setenv("HOME", str(tmp_path))
        source, out = npm_source("1.9.0"), tmp_path / "out"
        assert main(["pr", FIXES[0], "--source", str(source), "--out", str(out)]) == 0
        assert capsys.readouterr().err == (
            "git has no identity here, so the patch is signed by 'Your Name <you@example.com>': use --author\n"
        )
        assert "From: Your Name <you@example.com>" in next(out.glob("*.patch")).read_text()

    @pytest.mark.parametrize(
        ("name", "operation"),
        [("rebase-merge", "a rebase"), ("MERGE_HEAD", "a merge"), ("CHERRY_PICK_HEAD", "a cherry-pick")],
    )
    def test_operation_in_progress(
        self, npm_source: Npm, capsys: pytest.CaptureFixture[str], tmp_path: Path, name: str, operation: str
    ) -> None:
        repository = checkout(npm_source("1.9.0"), tmp_path / "agents-js")
        (repository / ".git" / name).touch()
        assert self.refused(capsys, FIXES[0], "--source", repository, "--out", tmp_path / "out") == (
            f"{repository} is in the middle of {operation}: finish or abort it first"
        )
        assert not (tmp_path / "out").exists()

    def test_checkout_without_a_commit(
        self, npm_source: Npm, capsys: pytest.CaptureFixture[str], tmp_path: Path
    ) -> None:
        source = npm_source("1.9.0")
        git(source, "init", "--quiet")
        assert self.refused(capsys, FIXES[0], "--source", source, "--out", tmp_path / "out") == (
            f"{source} has no readable commit: commit something first"
        )

    def test_worktree_whose_repository_is_gone(
        self, npm_source: Npm, capsys: pytest.CaptureFixture[str], tmp_path: Path
    ) -> None:
        source = npm_source("1.9.0")
        (source / ".git").write_text(f"gitdir: {tmp_path / 'gone'}\n")
        assert self.refused(capsys, FIXES[0], "--source", source, "--out", tmp_path / "out") == (
            f"{source / '.git'} names no git folder: repair the worktree first"
        )

    def test_checkout_that_lacks_objects(
        self, npm_source: Npm, capsys: pytest.CaptureFixture[str], tmp_path: Path
    ) -> None:
        repository = checkout(npm_source("1.9.0"), tmp_path / "agents-js")
        shutil.rmtree(repository / ".git/objects")
        (repository / ".git/objects").mkdir()
        said = self.refused(capsys, FIXES[0], "--source", repository, "--out", tmp_path / "out")
        assert said.startswith(f"{repository} lacks objects of its commit (")
        assert said.endswith("): fetch them first")

    def test_link_out_of_the_source(self, npm_source: Npm, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
        source = npm_source("1.9.0")
        (source / "src/stt.ts").rename(tmp_path / "stt.ts")
        (source / "src/stt.ts").symlink_to(tmp_path / "stt.ts")
        assert self.refused(capsys, FIXES[0], "--source", source, "--out", tmp_path / "out") == (
            f"{source / 'src/stt.ts'} is a link that leaves the source: replace it with the upstream's file"
        )

    def test_used_output(self, npm_source: Npm, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
        source, out = npm_source("1.9.0"), tmp_path / "out"
        assert pr(FIXES[0], source, out) == 0
        (out / "PR.md").write_text("a verified text")
        before = contents(out)
        capsys.readouterr()
        words = (FIXES[0], "--source", source, "--out", out, "--author", "Zoë <zoe@example.com>")
        used = f"{out} contains another pull request (PR.md): give another folder, or --force to replace it"
        assert self.refused(capsys, *words) == used
        assert self.refused(capsys, FIXES[1], *words[1:]).startswith(f"{out} contains another pull request (")
        assert contents(out) == before
        assert pr(FIXES[1], source, out, "--force") == 0
        assert sorted(contents(out)) == [
            "0001-fix-openai-stt-api-errors.patch",
            "PR.md",
            "checkout/0001-fix-openai-stt-api-errors.patch",
        ]

    def test_used_output_before_a_verification(
        self, npm_source: Npm, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        source, out = npm_source("1.9.0"), tmp_path / "out"
        assert pr(FIXES[0], source, out) == 0
        monkeypatch.delattr("rtstt_testkit.upstream.verify.verify")
        capsys.readouterr()
        said = self.refused(capsys, FIXES[0], "--source", source, "--out", out, "--verify")
        assert "contains another pull request (" in said


def test_a_checkout_may_be_detached_shallow_a_worktree_packed_and_read_only(npm_source: Npm, tmp_path: Path) -> None:
    origin = checkout(npm_source("1.9.0"), tmp_path / "origin")
    shallow, worktree = tmp_path / "shallow", tmp_path / "worktree"
    git(tmp_path, "clone", "--quiet", "--depth=1", f"file://{origin}", str(shallow))
    git(shallow, "checkout", "--quiet", "--detach")
    git(origin, "worktree", "add", "--quiet", str(worktree))
    git(origin, "pack-refs", "--all")
    git(origin, "repack", "-a", "-d", "--quiet")
    made = []
    for number, source in enumerate((origin, shallow, worktree)):
        paths = [source, *source.rglob("*")]
        for path in paths:
            path.chmod(path.stat().st_mode & ~0o222)
        try:
            assert pr(FIXES[0], source, tmp_path / str(number)) == 0
        finally:
            for path in paths:
                path.chmod(path.stat().st_mode | 0o200)
        made.append(contents(tmp_path / str(number)))
    assert made[0] == made[1] == made[2]


@pytest.mark.parametrize("words", [["--out", "{out}"], ["--list"]], ids=["pr", "--list"])
def test_no_program_of_a_strangers_checkout_is_run(npm_source: Npm, tmp_path: Path, words: list[str]) -> None:
    repository = checkout(npm_source("1.9.0"), tmp_path / "agents-js")
    ran = make_hostile(repository)
    file = repository / "plugins/openai/src/stt.ts"
    file.touch()  # its cached state is stale, so that git would compare the contents
    arguments = [word.format(out=tmp_path / "out") for word in words]
    assert main(["pr", FIXES[0], "--source", str(repository), *arguments]) == 0
    assert not ran.exists()
    git(repository, "status")  # what git itself would have run
    assert ran.exists()
