from __future__ import annotations

import subprocess
import sys
from importlib import metadata

import pytest

import rtstt_shim
from rtstt_shim.cli import COMMANDS, Entry, main


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


def test_without_a_command_the_help_is_shown_and_it_is_wrong_use(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    assert capsys.readouterr().out.startswith("usage: rtstt-shim")


@pytest.mark.parametrize("words", [["nope"], ["doctor", "--nope"], ["mock", "--port", "many"]])
def test_wrong_use_is_one_sentence(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.startswith("rtstt-shim: ")
    assert shown.err.count("\n") == 1
    assert "--help" in shown.err


def test_a_command_whose_extra_is_missing_says_what_to_install(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(COMMANDS, "mock", Entry("somelib.deep", "serve"))
    assert main(["mock"]) == 2
    assert capsys.readouterr().err == (
        "rtstt-shim: `rtstt-shim mock` needs somelib, which the base install leaves out; "
        "install it with: pip install 'rtstt-shim[testkit]'\n"
    )


def test_an_error_of_our_own_is_not_called_a_missing_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(COMMANDS, "mock", Entry("rtstt_testkit.nope", "serve"))
    with pytest.raises(ModuleNotFoundError):
        main(["mock"])


def test_the_command_does_not_correct_its_own_sockets(capsys: pytest.CaptureFixture[str]) -> None:
    rtstt_shim.install()
    main(["--version"])
    assert not rtstt_shim.status().active


@pytest.mark.parametrize(("error", "code"), [("KeyboardInterrupt", 130), ("BrokenPipeError", 1)])
def test_an_interrupt_or_a_closed_pipe_ends_it_quietly(error: str, code: int) -> None:
    program = f"""
from rtstt_shim import cli
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
        [sys.executable, "-c", "from rtstt_shim.cli import main; raise SystemExit(main(['nope']))"],
        capture_output=True,
        text=True,
    )
    assert result.returncode == 2
    assert "Traceback" not in result.stderr
