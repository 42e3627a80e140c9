from __future__ import annotations

from pathlib import Path

import pytest

from rtstt_core.cli import main
from rtstt_core.commands import node_path


def test_it_prints_the_folder_of_the_preload(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["node-path"]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert (Path(out.removesuffix("\n")) / "register.cjs").is_file()


def test_an_incomplete_installation_is_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(node_path, "_FOLDER", tmp_path)
    assert main(["node-path"]) == 1
    assert capsys.readouterr().err == f"rtstt-shim: {tmp_path} holds no register.cjs; reinstall rtstt-shim\n"
