from __future__ import annotations

import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest

from rtstt_core.cli import COMMANDS, main
from rtstt_testkit.commands.arguments import patch_npm as arguments
from rtstt_testkit.upstream.managers import MANAGERS


def test_help_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--help"])
    assert ended.value.code == 0
    shown = capsys.readouterr().out
    for name, entry in COMMANDS.items():
        assert name in shown
        assert entry.summary.split()[0] in shown


@pytest.mark.parametrize("name", COMMANDS)
def test_the_help_of_each_command_says_how_it_is_used(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main([name, "--help"])
    assert ended.value.code == 0
    shown = capsys.readouterr().out
    assert f"rtstt-shim {name}" in shown
    assert len(shown.splitlines()) > 5


def test_the_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"rtstt-shim {metadata.version('rtstt-shim')}\n"


def test_without_a_command_the_help_is_shown_and_it_is_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    assert capsys.readouterr().out.startswith("usage: rtstt-shim")


@pytest.mark.parametrize("words", [["nope"], ["doctor", "--nope"], ["mock", "--port", "many"]])
def test_a_usage_error_is_one_sentence(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.startswith("rtstt-shim: ")
    assert shown.err.count("\n") == 1
    assert "--help" in shown.err


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (["mok"], "there is no command 'mok'; did you mean `rtstt-shim mock`?"),
        (["patchnpm"], "there is no command 'patchnpm'; did you mean `rtstt-shim patch-npm`?"),
        (["serve"], "there is no command 'serve'; see `rtstt-shim --help`"),
        (["doctor", "--jsn"], "unrecognized arguments: --jsn; see `rtstt-shim doctor --help`"),
        (["doctor", "a", "b", "--x=1"], "unrecognized arguments: b --x=1; see `rtstt-shim doctor --help`"),
        (["--jsn"], "unrecognized arguments: --jsn; see `rtstt-shim --help`"),
    ],
)
def test_a_misspelled_word_leads_to_the_right_help(
    words: list[str], error: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words) == 2
    assert capsys.readouterr().err == f"rtstt-shim: {error}\n"


def test_a_command_whose_extra_is_missing_says_what_to_install(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(COMMANDS, "mock", COMMANDS["mock"]._replace(command="somelib.deep"))
    assert main(["mock"]) == 2
    assert capsys.readouterr().err == (
        "rtstt-shim: `rtstt-shim mock` needs somelib, which the base install leaves out; "
        "install it with: pip install 'rtstt-shim[testkit]'\n"
    )


def test_the_help_of_patch_npm_names_every_package_manager() -> None:
    assert ("auto", *MANAGERS) == arguments.MANAGERS


def test_an_error_of_our_own_is_not_called_a_missing_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(COMMANDS, "mock", COMMANDS["mock"]._replace(command="rtstt_testkit.nope"))
    with pytest.raises(ModuleNotFoundError):
        main(["mock"])


UNPATCHED = """
import sys, wrapt, websockets.asyncio.client as client, websockets.client as sansio, websockets.sync.client as sync
{code}
assert "rtstt_shim" not in sys.modules
wrapped = [client.connect.__await__, sansio.ClientProtocol.__init__, sync.connect, client.connect.__init__]
assert not any(isinstance(function, wrapt.BaseObjectProxy) for function in wrapped), wrapped
print("unpatched")
"""


@pytest.mark.parametrize(
    "code",
    [
        *(
            f"from rtstt_core.cli import main; main([{words}])"
            for words in ("'--version'", "'node-path'", "'doctor', '--python', '{empty}', '{empty}'")
        ),
        "import pkgutil, importlib, rtstt_core\n"
        "for found in pkgutil.walk_packages(rtstt_core.__path__, 'rtstt_core.'):\n"
        "    own = found.name.endswith('__main__') or found.name.split('.')[1] in ('bootstrap', 'pyinstaller')\n"
        "    None if own else importlib.import_module(found.name)",
        "import pkgutil, importlib, rtstt_testkit\n"
        "for found in pkgutil.walk_packages(rtstt_testkit.__path__, 'rtstt_testkit.'):\n"
        "    importlib.import_module(found.name) if found.name not in {skipped} else None",
    ],
    ids=["version", "node-path", "doctor", "every module of the core", "every module of the test kit"],
)
def test_neither_the_command_nor_the_test_kit_patches_websockets(code: str, tmp_path: Path) -> None:
    (tmp_path / "lib" / "python3.12" / "site-packages").mkdir(parents=True)
    (tmp_path / "pyvenv.cfg").write_text("version = 3.12.4\n")
    code = code.replace("{empty}", tmp_path.as_posix())
    code = code.replace("{skipped}", "{'rtstt_testkit.locust', 'rtstt_testkit._pytest_asyncio'}")  # their own extras
    done = subprocess.run(
        [sys.executable, "-c", UNPATCHED.format(code=code)], capture_output=True, text=True, timeout=60
    )
    assert done.stdout.endswith("unpatched\n"), done.stderr


@pytest.mark.parametrize(("error", "code"), [("KeyboardInterrupt", 130), ("BrokenPipeError", 1)])
def test_an_interrupt_or_a_closed_pipe_ends_it_quietly(error: str, code: int) -> None:
    program = f"""
from rtstt_core import cli
def ended(words):
    print("something that is still in the buffer")
    raise {error}
cli._parse = ended
raise SystemExit(cli.main(["doctor"]))
"""
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        if error == "BrokenPipeError":
            process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == code


def test_it_is_installed_as_a_command() -> None:
    result = subprocess.run(
        [sys.executable, "-c", "from rtstt_core.cli import main; raise SystemExit(main(['nope']))"],
        capture_output=True,
        text=True,
    )
    assert result.returncode == 2
    assert "Traceback" not in result.stderr
