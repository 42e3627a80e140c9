"""The gates: which versions and shapes of a library are patched, and what is logged of the others."""

from __future__ import annotations

import importlib
import logging
import sys
import types
import warnings
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest

import rtstt_shim
from rtstt_core.patching.guard import Counters, PatchContext
from rtstt_core.patching.installation import Installation
from rtstt_core.patching.targets import (
    TARGETS,
    Parameter,
    ShapeError,
    Target,
    numbers,
    require_attributes,
    require_callable,
    require_parameter,
)

Records = list[logging.LogRecord]

# The versions of the table in README.md: the last version before, the first, the last and the first after.
TESTED = {
    "websockets": ("13.0.1", "13.1", "17.4.9", "17.5"),
    "aiohttp": ("3.8.6", "3.9", "3.14.99", "3.15"),
    "websocket-client": ("1.5.3", "1.6", "1.9.9", "1.10"),
}
# The websockets that has a client for trio is younger.
TESTED_FOR = {"websockets.trio": ("16.1.1", "17", "17.4.9", "17.5")}


def named(name: str) -> Target:
    [target] = [target for target in TARGETS if target.name == name]
    return target


def is_installed(target: Target) -> bool:
    """Return whether the installed version has the client; Python 3.10 gets a websockets without trio's."""
    return target.tested_with(metadata.version(target.library))


def import_all() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        for target in filter(is_installed, TARGETS):
            importlib.import_module(target.module)


class TestVersions:
    def test_these_are_the_libraries(self) -> None:
        names = [target.name for target in TARGETS]
        assert {"websockets", "websockets.legacy", "aiohttp", "websocket-client"} <= set(names)
        assert len(set(names)) == len(names)
        for target in TARGETS:  # a library, or the client in it
            assert target.library in TESTED
            assert target.name == target.library or f"{target.name}.client" == target.module

    @pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
    def test_a_library_is_patched_in_the_versions_the_readme_names(self, target: Target) -> None:
        before, first, last, after = TESTED_FOR.get(target.name) or TESTED[target.library]
        versions = (before, first, f"{first}.0", last, after, f"{after}.0")
        assert [target.tested_with(version) for version in versions] == [False, True, True, True, False, False]

    @pytest.mark.parametrize(
        ("version", "release"),
        [
            ("1", (1,)),
            ("13.1", (13, 1)),
            ("3.14.5", (3, 14, 5)),
            ("2.0.0rc1", (2, 0, 0)),
            ("1.2.dev3", (1, 2)),
            ("1.2.", (1, 2)),
            ("3a1", (3,)),
            ("10.20.30", (10, 20, 30)),
            ("v1.2", ()),
            ("newest", ()),
            ("", ()),
        ],
    )
    def test_the_numbers_of_a_version(self, version: str, release: tuple[int, ...]) -> None:
        assert numbers(version) == release

    def test_a_version_without_numbers_is_not_one_that_was_tested(self) -> None:
        assert not named("aiohttp").tested_with("")

    def test_every_library_that_is_imported_is_patched_in_the_version_that_is_installed(self, shim: None) -> None:
        import_all()
        for target, row in zip(TARGETS, rtstt_shim.status().targets, strict=True):
            patched = (metadata.version(target.library), "patched", "")
            assert row == (target.name, *(patched if is_installed(target) else ("", "waiting", "")))

    def test_the_module_of_each_target_is_the_one_that_has_what_is_patched(self, shim: None) -> None:
        """Uninstalled, each is what it was; installed, each is wrapped."""
        import_all()
        modules = sys.modules
        patched: list[Callable[[], Any]] = [
            lambda: modules["websockets.client"].ClientProtocol.__init__,
            lambda: modules["websockets.legacy.client"].WebSocketClientProtocol.handshake,
            lambda: modules["aiohttp.client"].ClientSession.ws_connect,
            lambda: modules["websocket._core"].WebSocket.connect,
        ]
        assert all(hasattr(find(), "__wrapped__") for find in patched)
        rtstt_shim.uninstall()
        assert not any(hasattr(find(), "__wrapped__") for find in patched)


class TestShapesOfTheRealLibraries:
    """Every method and attribute that a patch uses is checked, so that a library without it is left unpatched."""

    @pytest.mark.parametrize(
        ("name", "path"),
        [
            ("websockets", "ClientProtocol.events_received"),
            ("websockets", "ClientProtocol.receive_eof"),
            ("websockets", "ClientProtocol.send_text"),
            ("websockets", "WebSocketURI"),
            ("websockets.asyncio", "connect.__await__"),
            ("websockets.legacy", "WebSocketClientProtocol.handshake"),
            ("websockets.legacy", "WebSocketClientProtocol.read_frame"),
            ("websockets.legacy", "WebSocketClientProtocol.send"),
            ("websockets.legacy", "Connect.__await__"),
            ("websocket-client", "WebSocket.recv_frame"),
            ("websocket-client", "WebSocket.send"),
        ],
    )
    def test_without_a_method(self, name: str, path: str, monkeypatch: pytest.MonkeyPatch) -> None:
        target = named(name)
        import_all()
        owner, _, attribute = f"{target.module}.{path}".rpartition(".")
        monkeypatch.setattr(f"{owner}.{attribute}", None)
        self.expect(target, f"{target.module} has no {path}")

    @pytest.mark.parametrize(
        ("name", "owner", "attribute"),
        [
            ("websockets.asyncio", "connect", "uri"),
            ("websockets.legacy", "Connect", "_uri"),
            ("websocket-client", "WebSocket", "connected"),
        ],
    )
    def test_without_an_attribute_of_instances(
        self, name: str, owner: str, attribute: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        target = named(name)
        import_all()
        monkeypatch.setattr(f"{target.module}.{owner}.__init__", lambda self: None)
        self.expect(target, f" has no {owner}.{attribute}")

    def expect(self, target: Target, detail: str) -> None:
        installation = Installation((target,))
        installation.install()
        [row] = installation.status().targets
        installation.uninstall()
        assert row.state == "failed"
        assert row.detail.endswith(detail)


class TestArguments:
    """A wrapper reads one argument, which callers give by position or by name."""

    def test_by_position(self) -> None:
        assert Parameter(1, "url").get(("a", "b"), {}) == "b"
        assert Parameter(1, "url").put(("a", "b", "c"), {"d": 1}, "x") == (("a", "x", "c"), {"d": 1})
        assert Parameter(0, "url").put(("a", "b"), {}, "x") == (("x", "b"), {})

    def test_by_name(self) -> None:
        kwargs = {"url": "b", "d": 1}
        assert Parameter(1, "url").get(("a",), kwargs) == "b"
        assert Parameter(1, "url").put(("a",), kwargs, "x") == (("a",), {"url": "x", "d": 1})
        assert kwargs == {"url": "b", "d": 1}

    @pytest.mark.parametrize("url", [None, ""])
    def test_an_argument_that_is_nothing_is_still_one(self, url: str | None) -> None:
        assert Parameter(0, "url").get(("positional",), {"url": url}) is url

    def test_a_missing_argument_raises_for_the_client_to_report(self) -> None:
        with pytest.raises(LookupError):
            Parameter(0, "url").get((), {})


class TestShapes:
    def test_a_parameter_is_found_by_any_of_its_names_and_counted_without_self(self) -> None:
        class Client:
            def connect(self, address: str, url: str, uri: str) -> None: ...

        assert require_parameter(Client.connect, "url", "uri") == (1, "url")
        assert require_parameter(Client.connect, "uri") == (2, "uri")
        assert require_parameter(Client.connect, "address") == (0, "address")
        with pytest.raises(ShapeError) as raised:
            require_parameter(Client.connect, "host", "port")
        assert str(raised.value) == f"{Client.connect.__qualname__} has no parameter host or port"

    def test_a_method_is_found_at_the_end_of_its_path(self) -> None:
        module = types.ModuleType("fakelib")
        inner = types.SimpleNamespace(connect=print, version="1")
        module.__dict__.update(client=inner, connect=repr)
        assert require_callable(module, "client.connect") is print
        assert require_callable(module, "connect") is repr

    def test_an_attribute_is_the_classs_own_or_set_by_a_constructor_in_its_hierarchy(self) -> None:
        class Base:
            def __init__(self) -> None:
                self.sent = None

        class Client(Base):
            code: int

            def __init__(self) -> None:
                super().__init__()
                self.received = None

            @property
            def closed(self) -> bool:
                return True

        require_attributes(Client, "sent", "received", "closed", "code")
        with pytest.raises(ShapeError) as raised:
            require_attributes(Client, "sent", "vanished")
        assert str(raised.value) == f"{__name__} has no Client.vanished"

    @pytest.mark.parametrize("path", ["client.version", "client.nothing", "nothing.connect", "client.connect.more"])
    def test_what_is_not_there_or_cannot_be_called_is_named(self, path: str) -> None:
        module = types.ModuleType("fakelib")
        module.__dict__["client"] = types.SimpleNamespace(connect=print, version="1")
        with pytest.raises(ShapeError) as raised:
            require_callable(module, path)
        assert str(raised.value) == f"fakelib has no {path}"


@pytest.fixture
def library(fakelib: types.ModuleType, installation: Installation) -> types.ModuleType:
    """The library of one class, whose distribution is wrapt's."""
    installation.targets = (Target("fake", "wrapt", "fakelib", (1, 6), (99,), "websocket_client"),)
    return fakelib


def texts(records: Records) -> list[str]:
    return [record.getMessage() for record in records]


class TestInstalling:
    @pytest.mark.parametrize("given", [None, (1, 8), 1.8])
    def test_without_a_version_attribute_the_version_is_the_distributions(
        self, given: Any, library: types.ModuleType, installation: Installation
    ) -> None:
        library.__dict__["__version__"] = given
        installation.install()
        assert installation.status().targets == (("fake", metadata.version("wrapt"), "patched", ""),)

    def distribution(self, file: Path, fakelib: types.ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
        """Give the library a distribution, and its module no version."""
        file.parent.mkdir()
        file.write_text("Metadata-Version: 2.1\nName: fakelib\nVersion: 1.9.1\n\nNews\nVersion: 0.1\n")
        monkeypatch.syspath_prepend(file.parents[1])
        del fakelib.__dict__["__version__"]

    def test_the_metadata_of_a_distribution_is_not_parsed_as_an_email_which_is_slow(
        self, fakelib: types.ModuleType, installation: Installation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        self.distribution(tmp_path / "fakelib-1.9.1.dist-info" / "METADATA", fakelib, monkeypatch)
        monkeypatch.delattr(metadata.Distribution, "version")
        installation.install()
        assert installation.status().targets == (("fake", "1.9.1", "patched", ""),)

    def test_an_egg_has_a_version_too(
        self, fakelib: types.ModuleType, installation: Installation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        self.distribution(tmp_path / "fakelib-1.9.1.egg-info" / "PKG-INFO", fakelib, monkeypatch)
        installation.install()
        assert installation.status().targets == (("fake", "1.9.1", "patched", ""),)

    def test_the_version_is_that_of_the_package_the_module_is_in(
        self, library: types.ModuleType, installation: Installation, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        inner = types.ModuleType("fakelib.inner.client")
        inner.__dict__.update(WebSocket=library.WebSocket, __version__="0.1")
        monkeypatch.setitem(sys.modules, "fakelib.inner.client", inner)
        [target] = installation.targets
        installation.targets = (target._replace(module="fakelib.inner.client"),)
        installation.install()
        assert installation.status().targets == (("fake", "1.8.0", "patched", ""),)

    def test_an_unknown_version_is_logged_as_unknown(
        self,
        library: types.ModuleType,
        installation: Installation,
        warnings_logged: Records,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        del library.__dict__["__version__"]
        [target] = installation.targets
        installation.targets = (target._replace(library="no-such-library-anywhere"),)
        installation.install()
        assert texts(warnings_logged) == [
            "rtstt_shim: fake (version unknown) is left unpatched: tested with 1.6 up to, not including, 99"
        ]

    def test_a_skipped_library_is_patched_once_its_version_is_tested(
        self, library: types.ModuleType, installation: Installation, warnings_logged: Records
    ) -> None:
        library.__dict__["__version__"] = "99.0"
        installation.install()
        library.__dict__["__version__"] = "1.8.0"
        installation.install()
        assert installation.status().targets == (("fake", "1.8.0", "patched", ""),)
        assert len(warnings_logged) == 1

    def test_another_reason_is_another_warning(
        self, library: types.ModuleType, installation: Installation, warnings_logged: Records
    ) -> None:
        library.__dict__["__version__"] = "99.0"
        installation.install()
        library.__dict__["__version__"] = "1.8.0"
        connect = library.WebSocket.connect
        del library.WebSocket.connect
        installation.install()
        installation.install()
        assert texts(warnings_logged) == [
            "rtstt_shim: fake 99.0 is left unpatched: tested with 1.6 up to, not including, 99",
            "rtstt_shim: fake 1.8.0 is left unpatched: fakelib has no WebSocket.connect",
        ]
        library.WebSocket.connect = connect

    @pytest.mark.parametrize("spec", [types.SimpleNamespace(), None, ...])
    def test_a_patch_in_place_is_not_made_again(
        self, spec: Any, library: types.ModuleType, installation: Installation, warnings_logged: Records
    ) -> None:
        library.__spec__ = spec
        if spec is ...:
            del library.__spec__
        installation.install()
        once = vars(library.WebSocket)["connect"]
        installation.install()
        assert vars(library.WebSocket)["connect"] is once
        assert warnings_logged == []

    def test_after_a_reload_the_new_class_is_patched_too_and_both_are_restored(
        self, library: types.ModuleType, installation: Installation, warnings_logged: Records
    ) -> None:
        class Reloaded:
            connected = False

            def connect(self, url: str) -> str:
                return url

            def recv_frame(self) -> None: ...

            def send(self, payload: str) -> None: ...

        old, before = library.WebSocket, [vars(one)["connect"] for one in (library.WebSocket, Reloaded)]
        installation.install()
        library.__dict__["WebSocket"] = Reloaded
        library.__spec__ = types.SimpleNamespace()  # type: ignore[assignment]
        installation.install()
        installation.install()
        patched = [vars(one)["connect"] for one in (old, Reloaded)]
        assert [one.__wrapped__ for one in patched] == before
        assert installation.status().targets == (("fake", "1.8.0", "patched", ""),)
        installation.uninstall()
        # By identity: a wrapper is equal to what it wraps.
        assert all(vars(one)["connect"] is was for one, was in zip((old, Reloaded), before, strict=True))
        assert warnings_logged == []

    def test_a_half_imported_module_is_patched_later_without_a_warning(
        self, library: types.ModuleType, installation: Installation, warnings_logged: Records
    ) -> None:
        connect = library.WebSocket.connect
        del library.WebSocket.connect
        library.__spec__ = types.SimpleNamespace(_initializing=True)  # type: ignore[assignment]
        installation.install()
        assert installation.status().targets == (("fake", "1.8.0", "waiting", "fakelib has no WebSocket.connect"),)
        library.WebSocket.connect = connect
        assert installation.status().targets == (("fake", "1.8.0", "patched", ""),)
        assert warnings_logged == []

    def test_the_import_of_another_thread_is_waited_for(
        self,
        library: types.ModuleType,
        installation: Installation,
        warnings_logged: Records,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        connect = library.WebSocket.connect
        del library.WebSocket.connect
        spec = types.SimpleNamespace(_initializing=True)
        library.__spec__ = spec  # type: ignore[assignment]
        imported = importlib.import_module

        def wait(name: str) -> types.ModuleType:
            """Return as after waiting for the module's lock, when the other thread is done."""
            if name == "fakelib":
                library.WebSocket.connect = connect
                spec._initializing = False
            return imported(name)

        monkeypatch.setattr(importlib, "import_module", wait)
        installation.install()
        # By what is wrapped: `status()` would patch it now if it had not been.
        assert hasattr(library.WebSocket.connect, "__wrapped__")
        assert warnings_logged == []

    def test_a_spec_without_a_state_means_a_module_imported_whole(
        self, library: types.ModuleType, installation: Installation, warnings_logged: Records
    ) -> None:
        del library.WebSocket.connect
        library.__spec__ = types.SimpleNamespace()  # type: ignore[assignment]
        installation.install()
        assert [row.state for row in installation.status().targets] == ["failed"]
        assert len(warnings_logged) == 1

    def test_a_module_without_a_spec_is_one_that_is_imported_whole(
        self, library: types.ModuleType, installation: Installation, warnings_logged: Records
    ) -> None:
        del library.WebSocket.connect
        del library.__spec__
        installation.install()
        assert [row.state for row in installation.status().targets] == ["failed"]
        assert texts(warnings_logged) == ["rtstt_shim: fake 1.8.0 is left unpatched: fakelib has no WebSocket.connect"]

    def test_a_patch_that_fails_half_way_is_removed_whole(
        self,
        library: types.ModuleType,
        installation: Installation,
        warnings_logged: Records,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        before = vars(library.WebSocket)["connect"]

        def patch(module: Any, context: PatchContext) -> None:
            context.wrap(module, "WebSocket.connect", lambda wrapped, _, args, kwargs: "patched")
            context.wrap(module, "WebSocket.vanished", lambda wrapped, _, args, kwargs: "patched")

        monkeypatch.setattr("rtstt_core.patching.websocket_client.patch", patch)
        installation.install()
        assert vars(library.WebSocket)["connect"] is before
        assert installation.status().targets == (("fake", "1.8.0", "failed", "fakelib has no WebSocket.vanished"),)
        assert texts(warnings_logged) == ["rtstt_shim: fake 1.8.0 is left unpatched: fakelib has no WebSocket.vanished"]

    def test_an_internal_error_is_logged_with_its_type_and_without_keys(
        self,
        library: types.ModuleType,
        installation: Installation,
        warnings_logged: Records,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        def patch(module: Any, context: PatchContext) -> None:
            raise KeyError("sk-0123456789")

        monkeypatch.setattr("rtstt_core.patching.websocket_client.patch", patch)
        installation.install()
        assert installation.status().targets == (("fake", "1.8.0", "failed", "KeyError: 'sk-***'"),)
        assert texts(warnings_logged) == ["rtstt_shim: fake 1.8.0 is left unpatched: KeyError: 'sk-***'"]

    def test_an_error_before_the_gates_is_one_warning_and_no_failed_import(
        self,
        library: types.ModuleType,
        installation: Installation,
        warnings_logged: Records,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        def broken(target: Any, module: Any) -> str:
            raise RuntimeError("no version")

        monkeypatch.setattr("rtstt_core.patching.installation._version_of", broken)
        installation.install()
        assert texts(warnings_logged) == [
            "rtstt_shim: internal error on fake; the client is left unpatched: RuntimeError: no version"
        ]


class TestInternalErrors:
    """What a wrapper does between ``with context.capture_internal_errors():`` and its end."""

    @pytest.fixture
    def context(self) -> PatchContext:
        return PatchContext(Target("fake", "fakelib", "fakelib", (1, 6), (2,), "websocket_client"), "1.8.0", Counters())

    def test_the_first_is_logged_and_kept_and_the_others_are_neither(
        self, context: PatchContext, warnings_logged: Records
    ) -> None:
        for text in ("the first", "the second"):
            with context.capture_internal_errors():
                raise ValueError(text)
        assert texts(warnings_logged) == [
            "rtstt_shim: internal error on fake 1.8.0; the client is unaffected: ValueError: the first"
        ]
        assert (context.state, context.detail) == ("failed", "ValueError: the first")

    def test_status_shows_it(
        self, library: types.ModuleType, installation: Installation, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        installation.install()
        monkeypatch.setattr("rtstt_core.patching.guard.fix_url", None)
        library.WebSocket().connect("ws://h/")
        [row] = installation.status().targets
        assert row == ("fake", "1.8.0", "failed", "TypeError: 'NoneType' object is not callable")

    @pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit, GeneratorExit])
    def test_what_ends_a_program_is_not_swallowed(
        self, kind: type[BaseException], context: PatchContext, warnings_logged: Records
    ) -> None:
        with pytest.raises(kind), context.capture_internal_errors():
            raise kind
        assert warnings_logged == []

    def test_nothing_is_logged_where_nothing_failed(self, context: PatchContext, warnings_logged: Records) -> None:
        with context.capture_internal_errors():
            pass
        assert warnings_logged == []
        assert context.state == "patched"
