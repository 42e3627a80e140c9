"""Send an unmodified client's ``wss://api.openai.com/…`` sockets to a server on this machine.

What depends on the host name (the URL rule, gateways, regional hosts) must be tested under the real name.
So the client resolves the real name, sends it in TLS (SNI), checks the certificate against it and sends it as
``Host``; only the address is that of a relay on the loopback interface, which terminates TLS and passes the
bytes to the server.

    with route({"api.openai.com": ("127.0.0.1", server.port)}):
        ...  # any client in this process

    with route_env({"api.openai.com": ("127.0.0.1", server.port)}) as additions:
        subprocess.run(command, env={**os.environ, **additions})

The second form reaches a child that calls `activate_from_env` (Python) or is started with ``node --require
route.cjs``; ``rtstt-shim run --route`` does both. Only the names given are routed, in any case,
with or without a trailing dot.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from rtstt_testkit.routing import clients, environment
from rtstt_testkit.routing.environment import Address

__all__ = ["activate_from_env", "route", "route_env"]


@contextmanager
def route(routes: Mapping[str, Address]) -> Iterator[None]:
    """Route host names within this process.

    Routes nest: an inner route takes precedence for its names. Leaving the context undoes every patch and aborts
    the sessions that are still open. A TLS context that the client keeps still trusts the CA, whose key no longer
    exists.

    Args:
        routes: For each host name the ``(host, port)`` of the server that receives its connections, without TLS.

    Raises:
        ValueError: If a host name or an address is malformed.
        ModuleNotFoundError: If the extra ``testkit`` is not installed.
    """
    from rtstt_testkit.routing.relay import Relay

    with Relay(routes) as relay:
        bypass = environment.proxy_bypass(relay.addresses, os.environ)
        before = {name: os.environ.get(name) for name in bypass}
        os.environ.update(bypass)
        try:
            with clients.patched(clients.Layer(relay.addresses, relay.ca_pem)):
                yield
        finally:
            for name, value in before.items():
                if value is None:
                    os.environ.pop(name, None)
                else:
                    os.environ[name] = value


@contextmanager
def route_env(routes: Mapping[str, Address]) -> Iterator[dict[str, str]]:
    """Route host names in child processes.

    Args:
        routes: As for `route`.

    Yields:
        The variables to add to the child's environment. They are valid as long as the context is open.

    Raises:
        ValueError: If a host name or an address is malformed.
        ModuleNotFoundError: If the extra ``testkit`` is not installed.
    """
    from rtstt_testkit.routing.relay import Relay

    with Relay(routes) as relay, tempfile.TemporaryDirectory(prefix="rtstt-route-") as folder:
        ca = Path(folder, "ca.pem")
        ca.write_text(relay.ca_pem, encoding="ascii")
        yield {
            environment.ROUTES: environment.format_routes(relay.addresses),
            environment.CA: str(ca),
            **environment.proxy_bypass(relay.addresses, os.environ),
        }


def activate_from_env() -> None:
    """Apply the routes of the environment, if there are any, until this process ends.

    Raises:
        ValueError: If the variables are malformed.
        OSError: If the certificate they name cannot be read.
    """
    routes = os.environ.get(environment.ROUTES)
    if routes:
        ca_pem = Path(os.environ.get(environment.CA, "")).read_text(encoding="ascii")
        clients.push(clients.Layer(environment.parse_routes(routes), ca_pem))
