"""What ``rtstt-shim run`` does in a Python process: the program notices the shim, and nothing else."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import textwrap
import venv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from rtstt_core.commands.activation import BOOTSTRAP

Python = Callable[..., subprocess.CompletedProcess[str]]


def _environ(**more: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("RTSTT_", "PYTHON"))}
    return {**kept, "PYTHONPATH": str(BOOTSTRAP), **more}


@pytest.fixture
def python(tmp_path: Path) -> Python:
    """Run a program under the bootstrap, with this environment's Python unless another is given."""

    def run(program: str, *flags: str, executable: str = sys.executable, **environ: str) -> Any:
        script = tmp_path / "program.py"
        script.write_text(textwrap.dedent(program))
        return subprocess.run(
            [executable, *flags, str(script)], env=_environ(**environ), capture_output=True, text=True, timeout=60
        )

    return run


@pytest.fixture(scope="session")
def bare_python(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A Python in whose environment nothing is installed."""
    folder = tmp_path_factory.mktemp("bare")
    venv.create(folder, symlinks=True)
    return str(folder / "bin" / "python")


def _said(done: subprocess.CompletedProcess[str]) -> Any:
    assert done.stderr == ""
    assert done.returncode == 0
    return json.loads(done.stdout)


STATE = """
import json, sys
print(json.dumps({
    "active": "rtstt_shim" in sys.modules and sys.modules["rtstt_shim"].status().active,
    "testkit": "rtstt_testkit" in sys.modules,
    "finders": [type(finder).__module__ for finder in sys.meta_path].count("_rtstt_bootstrap"),
}))
"""


def test_the_shim_is_active_without_an_edit(python: Python) -> None:
    assert _said(python(STATE)) == {"active": True, "testkit": False, "finders": 1}


@pytest.mark.parametrize("value", ["1", "true", "yes"])
def test_disabled_means_inert(python: Python, value: str) -> None:
    assert _said(python(STATE, RTSTT_SHIM_DISABLE=value)) == {"active": False, "testkit": False, "finders": 0}


@pytest.mark.parametrize("value", ["0", *(pytest.param(value, marks=pytest.mark.heavy) for value in ("", "False"))])
def test_other_values_do_not_disable(python: Python, value: str) -> None:
    assert _said(python(STATE, RTSTT_SHIM_DISABLE=value))["active"]


@pytest.mark.parametrize("flag", ["-I", "-S", "-E"])
def test_an_isolated_python_is_unpatched(python: Python, flag: str) -> None:
    done = python("import sys; print('rtstt_shim' in sys.modules)", flag)
    assert (done.stdout, done.stderr) == ("False\n", "")


# -- the environment of a program that does not have the shim


def test_a_python_without_the_shim_gets_it_and_nothing_else_of_ours(python: Python, bare_python: str) -> None:
    import wrapt

    program = """
        import importlib, importlib.util, json, sys
        names = ["rtstt_shim", "rtstt_testkit", "wrapt", "websockets", "aiohttp", "trustme", "pytest", "openai"]
        print(json.dumps([name for name in names if importlib.util.find_spec(name)]))
    """
    where = str(Path(wrapt.__file__).parents[1])
    assert _said(python(STATE, executable=bare_python, RTSTT_SHIM_WRAPT=where))["active"]
    assert _said(python(program, executable=bare_python, RTSTT_SHIM_WRAPT=where)) == ["rtstt_shim", "wrapt"]


def test_routes_make_the_test_kit_importable_too(python: Python, bare_python: str, tmp_path: Path) -> None:
    import wrapt

    ca = tmp_path / "ca.pem"
    ca.write_text("")
    program = """
        import importlib.util, json, socket
        names = [name for name in ("rtstt_shim", "rtstt_testkit", "wrapt", "trustme") if importlib.util.find_spec(name)]
        print(json.dumps([names, socket.getaddrinfo("api.openai.com", 443)[0][4]]))
    """
    routes = {"RTSTT_TESTKIT_ROUTES": "api.openai.com=127.0.0.1:4321", "RTSTT_TESTKIT_CA": str(ca)}
    where = str(Path(wrapt.__file__).parents[1])
    names, address = _said(python(program, executable=bare_python, RTSTT_SHIM_WRAPT=where, **routes))
    assert names == ["rtstt_shim", "rtstt_testkit", "wrapt"]
    assert address == ["127.0.0.1", 4321]
    names, address = _said(
        python(program, executable=bare_python, RTSTT_SHIM_WRAPT=where, RTSTT_SHIM_DISABLE="1", **routes)
    )
    assert names == ["rtstt_testkit", "wrapt"]
    assert address == ["127.0.0.1", 4321]


def test_what_the_program_has_itself_comes_first(python: Python, bare_python: str, tmp_path: Path) -> None:
    own = tmp_path / "own" / "rtstt_shim.py"
    own.parent.mkdir()
    own.write_text("import sys; sys.stdout.write('its own')")
    path = os.pathsep.join([str(BOOTSTRAP), str(own.parent)])
    assert python("", executable=bare_python, PYTHONPATH=path).stdout == "its own"


def _other_pythons() -> list[str]:
    found = {}
    for minor in range(10, 15):
        for candidate in [
            shutil.which(f"python3.{minor}"),
            *map(str, sorted(Path("~/.pyenv/versions").expanduser().glob(f"3.{minor}.*/bin/python"))),
        ]:
            # A program's own wrapt comes first, and an older one is not ours to replace.
            if candidate and sys.version_info[:2] != (3, minor) and _runs(candidate) and not _runs(candidate, "wrapt"):
                found[minor] = candidate
    return list(found.values())


def _runs(python: str, module: str = "sys") -> bool:
    return subprocess.run([python, "-c", f"import {module}"], capture_output=True).returncode == 0


@pytest.mark.heavy
def test_wrapt_built_for_another_python_serves_as_pure_python(python: Python) -> None:
    import wrapt

    others = _other_pythons()
    if not others:
        pytest.skip("there is no other Python 3.10 or newer here")
    for other in others:
        where = str(Path(wrapt.__file__).parents[1])
        assert _said(python(STATE, executable=other, RTSTT_SHIM_WRAPT=where))["active"], other


@pytest.mark.parametrize("version", ["2.7", "3.6", "3.8", "3.9"])
def test_a_python_too_old_runs_its_program_and_prints_one_line(python: Python, version: str, tmp_path: Path) -> None:
    candidates = [
        *Path("~/.pyenv/versions").expanduser().glob(f"{version}.*/bin/python"),
        Path(f"/usr/bin/python{version}"),
    ]
    old = next((str(path) for path in candidates if path.exists()), None)
    if old is None:
        pytest.skip(f"there is no Python {version} here")
    (tmp_path / "sitecustomize.py").write_text("import sys; sys.stdout.write('mine, ')")
    path = os.pathsep.join([str(BOOTSTRAP), str(tmp_path)])
    done = python("print('done')", executable=old, PYTHONPATH=path, PYTHONDONTWRITEBYTECODE="1")
    assert done.stdout == "mine, done\n"
    assert done.stderr == f"rtstt-shim: not active: this is Python {version}, 3.10 is needed\n"
    done = python("print('done')", executable=old, RTSTT_SHIM_DISABLE="1", PYTHONDONTWRITEBYTECODE="1")
    assert (done.stdout, done.stderr) == ("done\n", "")


# -- failures of ours


def test_a_failure_of_the_shim_is_one_line_and_the_program_runs(python: Python, bare_python: str) -> None:
    done = python("print('done')", executable=bare_python, RTSTT_SHIM_WRAPT="/nowhere")
    assert done.stdout == "done\n"
    assert done.returncode == 0
    assert done.stderr == (
        "rtstt_shim: is not active; the application is unaffected: wrapt 1.16 or newer is needed, and it "
        "cannot be imported: ModuleNotFoundError: No module named 'wrapt' (pip install 'wrapt>=1.16,<3')\n"
    )


def test_a_failure_within_the_shim_is_one_line_too(python: Python, tmp_path: Path) -> None:
    (tmp_path / "rtstt_shim.py").write_text("raise RuntimeError('first line\\nsecond line')")
    done = python("print('done')", PYTHONPATH=os.pathsep.join([str(BOOTSTRAP), str(tmp_path)]))
    assert done.stdout == "done\n"
    [line] = done.stderr.splitlines()
    assert line.startswith("rtstt-shim: not active in process ")
    assert line.endswith(": RuntimeError: first line")


def test_a_failure_to_route_is_one_line_and_the_shim_is_active(python: Python) -> None:
    done = python(STATE, RTSTT_TESTKIT_ROUTES="api.openai.com=127.0.0.1:1", RTSTT_TESTKIT_CA="/nowhere")
    assert json.loads(done.stdout)["active"]
    [line] = done.stderr.splitlines()
    assert line.startswith("rtstt-shim: not routed in process ")
    assert line.endswith(": FileNotFoundError: [Errno 2] No such file or directory: '/nowhere'")


def test_a_broken_bootstrap_is_one_line_and_the_program_runs(python: Python, tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    shutil.copytree(BOOTSTRAP, broken)
    (broken / "_rtstt_bootstrap.py").write_text("raise RuntimeError('broken')")
    done = python("print('done')", PYTHONPATH=str(broken))
    assert (done.stdout, done.returncode) == ("done\n", 0)
    assert done.stderr == "rtstt-shim: not active: RuntimeError('broken')\n"


def test_a_program_without_stderr_is_not_hurt(python: Python) -> None:
    program = "import os; os.write(1, b'done')"
    command = f'exec "$0" -c "{program}" 2>&-'
    done = subprocess.run(
        ["sh", "-c", command, sys.executable],
        env=_environ(RTSTT_TESTKIT_ROUTES="x", RTSTT_TESTKIT_CA="/nowhere"),
        capture_output=True,
        text=True,
    )
    assert (done.stdout, done.returncode) == ("done", 0)


# -- the user's own sitecustomize


def _own(folder: Path, text: str) -> str:
    folder.mkdir(exist_ok=True)
    (folder / "sitecustomize.py").write_text(textwrap.dedent(text))
    return os.pathsep.join([str(BOOTSTRAP), str(folder)])


def test_the_users_sitecustomize_runs_as_it_would_have(python: Python, tmp_path: Path) -> None:
    path = _own(
        tmp_path / "own", "import sys\nranby = [__name__, __file__, __spec__.origin, 'rtstt_shim' in sys.modules]"
    )
    program = """
        import json, sitecustomize, sys
        print(json.dumps([*sitecustomize.ranby, sys.modules["sitecustomize"] is sitecustomize]))
    """
    own = str(tmp_path / "own" / "sitecustomize.py")
    assert _said(python(program, PYTHONPATH=path)) == ["sitecustomize", own, own, True, True]


def test_a_sitecustomize_in_site_packages_runs_too(python: Python, tmp_path: Path) -> None:
    venv.create(tmp_path / "env", symlinks=True)
    [site_packages] = (tmp_path / "env").glob("lib/python3*/site-packages")
    (site_packages / "sitecustomize.py").write_text("import os; os.write(1, b'mine, ')")
    executable = str(tmp_path / "env" / "bin" / "python")
    done = python("print('done')", executable=executable, RTSTT_SHIM_DISABLE="1")
    # Debian's Python has one of its own in the standard library, which comes before.
    without = subprocess.run([executable, "-c", "print('done')"], capture_output=True, text=True, env={})
    assert without.stdout.endswith("done\n")
    assert (done.stdout, done.stderr) == (without.stdout, "")


@pytest.mark.parametrize(
    "text",
    [
        "raise ValueError('mine')",
        "raise SystemExit(3)",
        *(pytest.param(text, marks=pytest.mark.heavy) for text in ("import no_such_module", "1/0")),
    ],
)
def test_what_the_users_sitecustomize_raises_is_left_to_the_interpreter(
    python: Python, tmp_path: Path, text: str
) -> None:
    with_us = python("print('done')", PYTHONPATH=_own(tmp_path / "own", text))
    without = python("print('done')", PYTHONPATH=str(tmp_path / "own"))
    assert with_us.stderr.splitlines()[-1:] == without.stderr.splitlines()[-1:]
    assert (with_us.stdout, with_us.returncode) == (without.stdout, without.returncode)


def test_the_path_is_as_the_environment_says(python: Python, tmp_path: Path) -> None:
    program = "import json, sys; print(json.dumps(sys.path[1:3]))"
    (tmp_path / "more").mkdir()
    path = os.pathsep.join([str(BOOTSTRAP), str(tmp_path / "more")])
    assert _said(python(program, PYTHONPATH=path)) == [str(BOOTSTRAP), str(tmp_path / "more")]


def test_a_path_changed_by_the_users_sitecustomize_stays_changed(python: Python, tmp_path: Path) -> None:
    path = _own(tmp_path / "own", "import sys; sys.path.insert(0, '/mine')")
    program = "import json, sys; print(json.dumps(sys.path[1:3]))"
    assert _said(python(program, PYTHONPATH=path)) == [str(BOOTSTRAP), "/mine"]


# -- children


CHILD = """
import sys
def child(queue=None):
    active = "rtstt_shim" in sys.modules and sys.modules["rtstt_shim"].status().active
    if queue is None:
        print(active)
    else:
        queue.put(active)
"""


@pytest.mark.parametrize("method", ["spawn", pytest.param("forkserver", marks=pytest.mark.heavy), "fork"])
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_multiprocessing_children_have_the_shim(python: Python, method: str, bare_python: str) -> None:
    import wrapt

    program = f"""
{CHILD}
if __name__ == "__main__":
    import json, multiprocessing
    context = multiprocessing.get_context("{method}")
    queue = context.SimpleQueue()
    process = context.Process(target=child, args=(queue,))
    process.start()
    print(json.dumps(queue.get()))
    process.join()
"""
    where = str(Path(wrapt.__file__).parents[1])
    assert _said(python(program, executable=bare_python, RTSTT_SHIM_WRAPT=where)) is True


def test_subprocesses_and_their_subprocesses_have_the_shim(python: Python) -> None:
    leaf = "import sys; print('rtstt_shim' in sys.modules)"
    middle = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {leaf!r}], check=True)"
    done = python(f"import subprocess, sys; subprocess.run([sys.executable, '-c', {middle!r}], check=True)")
    assert (done.stdout, done.stderr) == ("True\n", "")


def test_starting_python_costs_no_client_library(python: Python) -> None:
    program = """
        import json, sys
        print(json.dumps(sorted({name.partition(".")[0] for name in sys.modules} & set(
            ["websockets", "aiohttp", "websocket", "httpx", "openai", "trustme", "cryptography"]
        ))))
    """
    assert _said(python(program)) == []
