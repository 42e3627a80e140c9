"""The text form of routes in environment variables, and the comparison of host names."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterable, Mapping

__all__ = [
    "CA",
    "ROUTES",
    "Address",
    "canonical",
    "format_routes",
    "not_written",
    "parse_address",
    "parse_routes",
    "proxy_bypass",
]

Address = tuple[str, int]
"""Host (name or IP address) and TCP port."""

ROUTES = "RTSTT_TESTKIT_ROUTES"
"""``host=address:port`` pairs, separated by commas: where the relay listens for each host."""

CA = "RTSTT_TESTKIT_CA"
"""The file with the relay's CA certificate (PEM)."""


_HOST_NAME = r"(?=.{1,253}\Z)[\w-]{1,63}(?:\.[\w-]{1,63})*"


def canonical(host: str) -> str:
    """Return a host name in canonical form: lower case, no trailing dot.

    Raises:
        ValueError: If the text is not a host name.
    """
    name = host.removesuffix(".").lower()
    if not re.fullmatch(_HOST_NAME, name):
        raise ValueError(f"{host!r} is not a host name")
    return name


def parse_address(text: str) -> Address:
    """Parse ``HOST:PORT`` (an IPv6 address in brackets).

    Raises:
        ValueError: If the text has another form.
    """
    host, colon, port = text.rpartition(":")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in host:
        raise ValueError(f"{text!r} is not HOST:PORT")
    if not (host and colon and port.isascii() and port.isdigit()):
        raise ValueError(f"{text!r} is not HOST:PORT")
    if not 0 < int(port) < 65536:
        raise ValueError(f"port {port} is not between 1 and 65535")
    return host, int(port)


def format_routes(routes: Mapping[str, Address]) -> str:
    """Return routes as the value of `ROUTES`."""
    return ",".join(f"{host}={address}:{port}" for host, (address, port) in routes.items())


def parse_routes(text: str) -> dict[str, Address]:
    """Parse the value of `ROUTES`.

    Raises:
        ValueError: If a pair is malformed.
    """
    routes: dict[str, Address] = {}
    for pair in text.split(","):
        host, _, address = pair.partition("=")
        routes[canonical(host)] = parse_address(address)
    return routes


def proxy_bypass(hosts: Iterable[str], environ: Mapping[str, str]) -> dict[str, str]:
    """Return the ``no_proxy`` variables that exclude routed hosts from a configured proxy."""
    names = [form for host in hosts for form in (host, f"{host}.")]
    known = [environ[name] for name in ("no_proxy", "NO_PROXY") if environ.get(name)]
    value = ",".join(known[:1] + names)
    return {"no_proxy": value, "NO_PROXY": value}


def not_written(error: OSError) -> str:
    """Return the sentence that a host's certificate cannot be written for the programs that need it.

    Args:
        error: Why.
    """
    sentence = "cannot write the certificate of a host"
    try:
        folder = tempfile.gettempdir()
    except OSError:  # it has tried them all
        return f"{sentence}: no folder for temporary files can be written; set TMPDIR to one that can"
    return f"{sentence} to {folder}: {error.strerror or error}; make room there, or set TMPDIR to another folder"
