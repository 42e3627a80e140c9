"""`rtstt-shim pr source`: a branch, a patch and PR.md for any application that is a git checkout."""

from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
from upstream_sources import commit, git, make_hostile

from rtstt_core.cli import main

BRANCH = "fix-openai-realtime-transcription"
PATCH = f"0001-{BRANCH}.patch"
APPLICATION = """\"\"\"An application.\"\"\"
URL = "wss://api.openai.com/v1/realtime?intent=transcription&model=whisper-1"
"""
FIXED = APPLICATION.replace("&model=whisper-1", "")
State = dict[str, tuple[bytes, int]]


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A checkout of an application with one fault."""
    return application(tmp_path / "Größe & Platz" / "application")


def application(folder: Path, text: str = APPLICATION, *, init: tuple[str, ...] = ()) -> Path:
    (folder / "app").mkdir(parents=True)
    (folder / "app/main.py").write_bytes(text.encode())
    (folder / "app/main.py").chmod(0o755)
    (folder / "README").write_text("An application.\n")
    git(folder, "init", "--quiet", *init)
    git(folder, "config", "core.autocrlf", "false")
    commit(folder)
    return folder


def make(source: Path, *more: str) -> int:
    out = [] if "--out" in more else ["--out", str(source.parent / "out")]
    return main(["pr", "source", "--source", str(source), "--author", "Zoë <zoe@example.com>", *out, *more])


def state(folder: Path) -> State:
    """The content and the time of every file, the git folder included."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): (path.read_bytes(), path.stat().st_mtime_ns) for path in files}


def refused(capsys: pytest.CaptureFixture[str], source: Path, *more: str) -> str:
    """Run the command, which must not change the checkout, and return its one sentence."""
    before = state(source)
    capsys.readouterr()
    assert make(source, *more) == 2
    captured = capsys.readouterr()
    assert captured.err.count("\n") == 1
    assert state(source) == before
    assert not (source.parent / "out").exists()
    return captured.err.removeprefix("rtstt-shim: ").strip()


def test_a_branch_a_patch_and_a_text_are_made_of_what_doctor_finds(
    repository: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before, out = state(repository), repository.parent / "out"
    assert make(repository) == 0
    assert capsys.readouterr().out.splitlines() == [
        f"wrote {out / PATCH}",
        f"wrote {out / 'PR.md'}",
        f"added the branch {BRANCH} to {repository}: see it with `git show {BRANCH}`",
    ]
    after = state(repository)
    assert {name: after[name] for name in before} == before
    added = sorted(set(after) - set(before))
    assert added[-1] == f".git/refs/heads/{BRANCH}"
    assert all(name.startswith(".git/objects/") for name in added[:-1])
    assert sorted(path.name for path in out.iterdir()) == [PATCH, "PR.md"]

    git(repository, "fsck", "--strict")
    assert git(repository, "status", "--porcelain") == ""
    git(repository, "switch", "--quiet", BRANCH)
    assert (repository / "app/main.py").read_text() == FIXED
    assert git(repository, "log", "--format=%an <%ae> %s") == (
        "Zoë <zoe@example.com> Open OpenAI realtime transcription sessions as the endpoint accepts them\n"
        "Ada <ada@example.com> pristine\n"
    )
    assert git(repository, "diff", "--summary", "HEAD~1") == ""
    tree = git(repository, "rev-parse", "HEAD^{tree}")
    git(repository, "switch", "--quiet", "-")
    git(repository, "am", "--quiet", str(out / PATCH))
    assert git(repository, "rev-parse", "HEAD^{tree}") == tree
    assert git(repository, "log", "-1", "--format=%B") == git(repository, "log", "-1", "--format=%B", BRANCH)


def test_the_text_names_the_change_and_how_to_open_it(repository: Path) -> None:
    assert make(repository) == 0
    text = (repository.parent / "out/PR.md").read_text()
    assert f"    git switch {BRANCH}\n    git push -u origin HEAD\n    gh pr create --title " in text
    assert "- `app/main.py` line 2: OpenAI refuses `model` beside intent=transcription" in text
    assert "Not run: the tests of this repository." in text
    assert make(repository, "--out", str(repository.parent / "patch"), "--no-branch") == 0
    text = (repository.parent / "patch/PR.md").read_text()
    assert f'    git switch -c {BRANCH}\n    git am "$OUT/{PATCH}"\n    git push -u origin HEAD\n' in text


def test_a_branch_of_any_name_is_quoted_in_the_commands(repository: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert make(repository, "--branch", "fix/$(x)'") == 0
    assert "see it with `git show 'fix/$(x)'\"'\"''`" in capsys.readouterr().out
    assert "    git switch 'fix/$(x)'\"'\"''\n" in (repository.parent / "out/PR.md").read_text()


def test_without_a_branch_the_checkout_is_not_touched(repository: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = state(repository)
    assert make(repository, "--no-branch") == 0
    assert state(repository) == before
    assert "added the branch" not in capsys.readouterr().out


def test_the_output_is_in_the_current_folder_by_default(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(repository.parent)
    assert main(["pr", "--source", "application", "source"]) == 0
    assert sorted(path.name for path in (repository.parent / BRANCH).iterdir()) == [PATCH, "PR.md"]


def test_what_is_fixed_needs_nothing(repository: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert make(repository) == 0
    git(repository, "switch", "--quiet", BRANCH)
    capsys.readouterr()
    assert make(repository, "--out", str(repository.parent / "nothing")) == 0
    assert capsys.readouterr().out == (
        f"{repository} needs no pull request: nothing that is committed in it can be rewritten with certainty\n"
    )
    assert not (repository.parent / "nothing").exists()


def test_what_is_not_committed_is_left_out(repository: Path) -> None:
    (repository / "new.py").write_text(APPLICATION)
    assert make(repository) == 0
    assert "new.py" not in (repository.parent / "out" / PATCH).read_text()
    assert git(repository, "diff", "--name-only", f"HEAD..{BRANCH}") == "app/main.py\n"


def test_committed_windows_line_ends_stay(tmp_path: Path) -> None:
    source = application(tmp_path / "application", APPLICATION.replace("\n", "\r\n"))
    assert make(source) == 0
    git(source, "switch", "--quiet", BRANCH)
    assert (source / "app/main.py").read_bytes() == FIXED.replace("\n", "\r\n").encode()
    git(source, "switch", "--quiet", "-")
    git(source, "am", "--quiet", "--keep-cr", str(tmp_path / "out" / PATCH))


def test_windows_line_ends_that_git_made_are_not_committed(repository: Path) -> None:
    git(repository, "config", "core.autocrlf", "true")
    (repository / "app/main.py").unlink()
    git(repository, "checkout", "--quiet", "app/main.py")
    assert b"\r\n" in (repository / "app/main.py").read_bytes()
    assert make(repository) == 0
    assert git(repository, "show", f"{BRANCH}:app/main.py") == FIXED
    git(repository, "am", "--quiet", str(repository.parent / "out" / PATCH))


def test_a_checkout_may_be_detached_shallow_a_worktree_or_packed(repository: Path, tmp_path: Path) -> None:
    shallow, worktree = tmp_path / "shallow/application", tmp_path / "worktree/application"
    git(tmp_path, "clone", "--quiet", "--depth=1", f"file://{repository}", str(shallow))
    git(shallow, "checkout", "--quiet", "--detach")
    git(repository, "worktree", "add", "--quiet", "-b", "other", str(worktree))
    git(repository, "pack-refs", "--all")
    git(repository, "repack", "-a", "-d", "--quiet")
    for number, source in enumerate((repository, shallow, worktree)):
        name = f"fix/{number}"
        assert make(source, "--branch", name) == 0
        git(source, "fsck", "--strict")
        git(source, "switch", "--quiet", name)
        assert (source / "app/main.py").read_text() == FIXED
        assert git(source, "status", "--porcelain") == ""
    assert git(repository, "branch", "--format=%(refname:short)").split()[:2] == ["fix/0", "fix/2"]


def test_a_repository_with_sha256_gets_its_branch(tmp_path: Path) -> None:
    source = application(tmp_path / "application", init=("--object-format=sha256",))
    assert make(source) == 0
    git(source, "fsck", "--strict")
    assert git(source, "show", f"{BRANCH}:app/main.py") == FIXED


def test_no_program_of_a_strangers_checkout_is_run(tmp_path: Path) -> None:
    repository = application(tmp_path / "application")
    ran = make_hostile(repository)
    (repository / "app/main.py").touch()
    assert make(repository) == 0
    assert not ran.exists()
    assert (repository / ".git/refs/heads" / BRANCH).is_file()
    git(repository, "status")  # what git itself would have run
    assert ran.exists()


@pytest.mark.parametrize(
    "step",
    [
        "rtstt_testkit.source.pull_request.diff",
        "rtstt_testkit.source.pull_request.make_commit",
        "rtstt_testkit.source.pull_request.write_folder",
        "rtstt_testkit.upstream.branch.os.open",
        "pathlib.Path.mkdir",
        "pathlib.Path.rename",
        "pathlib.Path.write_bytes",
    ],
)
@pytest.mark.parametrize("calls", [0, 2])
def test_an_interrupt_leaves_the_checkout_unchanged(
    repository: Path, monkeypatch: pytest.MonkeyPatch, step: str, calls: int
) -> None:
    before = state(repository.parent)
    name, _, attribute = step.rpartition(".")
    owner = Path if name == "pathlib.Path" else __import__(name.removesuffix(".os"), fromlist=["x"])
    owner = os if name.endswith(".os") else owner
    original = getattr(owner, attribute)
    left = calls

    def interrupt(*arguments: Any, **options: Any) -> Any:
        nonlocal left
        # The interpreter itself uses these functions as well; only the checkout and the output count.
        if owner in (os, Path) and str(repository.parent) not in str(arguments[0]):
            return original(*arguments, **options)
        left -= 1
        if left < 0:
            raise KeyboardInterrupt
        return original(*arguments, **options)

    monkeypatch.setattr(owner, attribute, interrupt)
    result = make(repository)
    monkeypatch.undo()
    if left < 0:
        assert result == 130
        assert state(repository.parent) == before
        assert not list(repository.parent.glob(".out.*"))
        assert git(repository, "branch", "--format=%(refname:short)").split() == [current(repository)]
        assert make(repository) == 0
    else:  # the step has fewer calls than that
        assert result == 0


def current(repository: Path) -> str:
    return git(repository, "branch", "--show-current").strip()


class TestBadInput:
    """One sentence, exit code 2, nothing written."""

    def test_no_checkout(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        folder = tmp_path / "folder"
        folder.mkdir()
        assert refused(capsys, folder) == f"{folder} is not a git checkout: give the root of one"

    @pytest.mark.parametrize("packed", [False, True])
    def test_a_branch_of_that_name(self, repository: Path, capsys: pytest.CaptureFixture[str], packed: bool) -> None:
        git(repository, "branch", BRANCH)
        if packed:
            git(repository, "pack-refs", "--all")
        assert refused(capsys, repository) == (
            f"{repository} already has a branch {BRANCH}: delete it, or choose another name with --branch"
        )
        assert refused(capsys, repository, "--branch", f"{BRANCH}/more") == (
            f"{repository} already has a branch {BRANCH}: delete it, or choose another name with --branch"
        )
        assert make(repository, "--branch", "other") == 0

    @pytest.mark.parametrize("name", ["-x", "a..b", "a b", "@{-1}", "", "refs/heads/"])
    def test_a_name_that_is_none(self, repository: Path, capsys: pytest.CaptureFixture[str], name: str) -> None:
        assert refused(capsys, repository, f"--branch={name}") == (
            f"git does not accept the branch name {name!r}: choose another with --branch"
        )

    def test_a_branch_for_an_upstream(self, repository: Path, capsys: pytest.CaptureFixture[str]) -> None:
        words = ["pr", "agents-js/model-param", "--source", str(repository), "--out", "out", "--no-branch"]
        assert main(words) == 2
        assert capsys.readouterr().err == (
            "rtstt-shim: --branch and --no-branch are for `rtstt-shim pr source`: leave them out\n"
        )

    def test_an_author_without_an_address(self, repository: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert refused(capsys, repository, "--author", "Zoë") == "--author 'Zoë' is not in the form 'NAME <ADDRESS>'"

    def test_uncommitted_changes(self, repository: Path, capsys: pytest.CaptureFixture[str]) -> None:
        (repository / "app/main.py").write_text(APPLICATION + "# more\n")
        assert refused(capsys, repository) == (
            f"{repository} has uncommitted changes (app/main.py): commit or stash them first"
        )

    def test_an_operation_in_progress(self, repository: Path, capsys: pytest.CaptureFixture[str]) -> None:
        (repository / ".git/MERGE_HEAD").touch()
        assert refused(capsys, repository) == f"{repository} is in the middle of a merge: finish or abort it first"

    def test_reftables(self, repository: Path, capsys: pytest.CaptureFixture[str]) -> None:
        (repository / ".git/reftable").mkdir()
        assert refused(capsys, repository) == (
            f"{repository} stores its refs as reftables, which are not supported: give a clone of it"
        )

    def test_a_read_only_checkout(
        self, repository: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        opened = os.open

        def refuse(path: Any, flags: int, mode: int = 0o777, **options: Any) -> int:
            if str(path).startswith(str(repository)) and flags & os.O_CREAT:
                raise OSError(errno.EROFS, "Read-only file system", str(path))
            return opened(path, flags, mode, **options)

        monkeypatch.setattr("rtstt_testkit.upstream.branch.os.open", refuse)
        assert refused(capsys, repository) == (
            f"cannot add a branch to {repository} (Read-only file system): make it writable, or give --no-branch"
        )
        assert make(repository, "--no-branch") == 0

    def test_a_lock_of_git(self, repository: Path, capsys: pytest.CaptureFixture[str]) -> None:
        (repository / f".git/refs/heads/{BRANCH}.lock").touch()
        assert refused(capsys, repository) == (
            f"cannot add a branch to {repository} (File exists): make it writable, or give --no-branch"
        )

    @pytest.mark.parametrize("name", ["refs", "objects"])
    def test_a_link_out_of_the_git_folder(
        self, repository: Path, capsys: pytest.CaptureFixture[str], name: str
    ) -> None:
        outside = repository.parent / "outside"
        (repository / ".git" / name).rename(outside)
        (repository / ".git" / name).symlink_to(outside)
        assert refused(capsys, repository) == (
            f"{repository / '.git' / name} is a link that leaves {repository / '.git'}: replace it with a folder"
        )

    def test_used_output(self, repository: Path, capsys: pytest.CaptureFixture[str]) -> None:
        out = repository.parent / "used"
        out.mkdir()
        (out / "PR.md").write_text("mine")
        assert refused(capsys, repository, "--out", str(out)) == (
            f"{out} contains another pull request (PR.md): give another folder, or --force to replace it"
        )
        assert (out / "PR.md").read_text() == "mine"
        assert make(repository, "--out", str(out), "--force") == 0
        shutil.rmtree(out)

    def test_what_verifies_an_upstream(self, repository: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert refused(capsys, repository, "--verify") == (
            "`rtstt-shim pr source` only writes: leave out --verify, --check and --online"
        )
