"""Texts that fit the terminal: help, and tables of two columns."""

from __future__ import annotations

import os
import shlex

import pytest

from rtstt_core.cli import COMMANDS, main
from rtstt_core.terminal import fit, row, terminal_width

TEXT = """A paragraph that is as long as a line of the source code may be, and which a terminal of 80 columns breaks.

  rtstt-shim one                 what it does, which is a longer text than there is room for behind the command
  rtstt-shim two --option        short
                                 and continued
  rtstt-shim three 'two words' --with "some more words" --and-other OPTIONS --so-that it-does-not-fit-in-a-line

A list:
- an item that is long enough to be continued on a second line, where two spaces stand before it,
  as in the source code
- another one

The end.
"""


def test_paragraphs_lists_and_tables_are_fitted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    assert fit(TEXT).splitlines() == [
        "A paragraph that is as long as a line of the source code may be, and which a",
        "terminal of 80 columns breaks.",
        "",
        "  rtstt-shim one           what it does, which is a longer text than there is",
        "                           room for behind the command",
        "  rtstt-shim two --option  short and continued",
        "  rtstt-shim three 'two words' --with \"some more words\" --and-other OPTIONS \\",
        "      --so-that it-does-not-fit-in-a-line",
        "",
        "A list:",
        "- an item that is long enough to be continued on a second line, where two spaces",
        "  stand before it, as in the source code",
        "- another one",
        "",
        "The end.",
    ]


def test_a_wide_terminal_gets_lines_of_at_most_120_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "300")
    lines = fit(f"{TEXT}\n{'word ' * 60}").splitlines()
    assert max(map(len, lines)) <= 120
    assert lines[0] == TEXT.splitlines()[0]


def test_a_narrow_terminal_gets_the_second_column_below_the_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    assert row("a-name", "a text of some words that are long", 28) == [
        "a-name",
        "    a text of some words that are long",
    ]
    assert row("", "text", 10) == ["          text"]
    assert row("name", "", 10) == ["name"]
    monkeypatch.setenv("COLUMNS", "5")
    assert terminal_width() == 20


def test_a_command_that_is_continued_is_the_same_command(monkeypatch: pytest.MonkeyPatch) -> None:
    command = "  rtstt-shim exam --only 'clean turn' --only \"1011 during speech\" -- python app.py {wav} it's"
    monkeypatch.setenv("COLUMNS", "40")
    shown = fit(command)
    assert max(map(len, shown.splitlines())) <= 40
    assert shown.replace("\\\n", "").split() == command.split()
    whole = command.removesuffix(" it's")
    assert shlex.split(fit(whole).replace("\\\n", "")) == shlex.split(whole)


@pytest.mark.parametrize("name", ["", *COMMANDS])
def test_every_help_fits_80_columns_where_the_width_is_not_known(
    name: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def unknown(*_: object) -> os.terminal_size:
        raise OSError

    monkeypatch.delenv("COLUMNS", raising=False)
    monkeypatch.setattr(os, "get_terminal_size", unknown)
    with pytest.raises(SystemExit):
        main([*filter(None, [name]), "--help"])
    assert [line for line in capsys.readouterr().out.splitlines() if len(line) > 80] == []
