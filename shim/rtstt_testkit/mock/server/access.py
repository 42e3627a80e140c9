"""Access to a server: the host names it answers to, the web pages that may use it, the token of the control API.

A browser sends requests of any page to any address, loopback included. `Origin` names the page, and refuses pages of
other sites; `Host` names what the page believes to talk to, and refuses a name that an attacker's DNS points to this
machine (DNS rebinding).
"""

from __future__ import annotations

import hmac
import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass, field
from urllib.parse import parse_qs, urlsplit

from rtstt_testkit.mock.server.http import Head, HttpResponse, json_error

__all__ = ["Access"]

#: The names that the mock stands in for, and their subdomains: a client that is routed to it still sends this name.
#: No one else can point them to this machine.
_ENDPOINTS = ("api.openai.com", "openai.azure.com")


@dataclass(frozen=True)
class Access:
    """The rules of a server.

    Attributes:
        address: The address that it listens on.
        hosts: Names that it answers to, besides loopback and its address; ``*`` is any.
        origins: The origins of web pages that may use it, such as ``http://localhost:5173``; ``*`` is any.
        token: The token of the control API, None for none.
    """

    address: str
    hosts: Sequence[str] = ()
    origins: Sequence[str] = ()
    token: str | None = field(default=None, repr=False)

    def refusal(self, head: Head) -> HttpResponse | None:
        """Return the response that refuses a request, None if it is allowed.

        Args:
            head: The request line and the headers.
        """
        host = head.header("host") or ""
        if host and not self._allows_host(_name(host)):
            return json_error(
                403,
                f"The mock does not answer to the host {_name(host)!r}; allow it with --allow-host, or allow_hosts.",
                code="host_not_allowed",
            )
        origin = head.header("origin")
        if origin is not None and not self._allows_origin(origin, host):
            return json_error(
                403,
                f"Pages of the origin {origin!r} may not use the mock; allow it with --allow-origin, or allow_origins.",
                code="origin_not_allowed",
            )
        return None

    def cors(self, head: Head) -> list[tuple[str, str]]:
        """Return the headers that let a page of an allowed origin read the response.

        Args:
            head: The request line and the headers.
        """
        origin = head.header("origin")
        if origin is None or not ("*" in self.origins or origin in self.origins):
            return []
        return [("Access-Control-Allow-Origin", origin), ("Vary", "Origin")]

    def control_refusal(self, head: Head) -> HttpResponse | None:
        """Return the response that refuses a request to the control API, None if it is allowed.

        Args:
            head: The request line and the headers.
        """
        if self.token is None:
            return None
        scheme, _, given = (head.header("authorization") or "").partition(" ")
        if scheme.lower() != "bearer":
            given = _query_token(head) or ""
        if hmac.compare_digest(given.strip().encode(), self.token.encode()):
            return None
        return json_error(401, "The control API needs the token of --token as `Authorization: Bearer TOKEN`.")

    def _allows_host(self, name: str) -> bool:
        if name == self.address.lower() or any(
            name == known or name.endswith(f".{known}") for known in ("localhost", *_ENDPOINTS)
        ):
            return True
        if "*" in self.hosts or name in [allowed.lower() for allowed in self.hosts]:
            return True
        try:
            address = ipaddress.ip_address(name)
        except ValueError:
            return False
        # An address cannot be rebound; on every interface each address of the machine is the server's.
        return address.is_loopback or self.address in {"", "0.0.0.0", "::"}

    def _allows_origin(self, origin: str, host: str) -> bool:
        if "*" in self.origins or origin in self.origins:
            return True
        try:
            return bool(host) and urlsplit(origin).netloc.lower() == host.lower()
        except ValueError:
            return False


def _query_token(head: Head) -> str | None:
    """Return the token that a page has in its URL, since it cannot set the headers of what a browser loads for it."""
    if head.method not in {"GET", "HEAD"}:
        return None
    return parse_qs(head.target.partition("?")[2]).get("token", [None])[0]


def _name(host: str) -> str:
    """Return the name or the address of a Host header, without the port, in lower case."""
    if host.startswith("["):
        return host[1:].partition("]")[0].lower()
    return host.partition(":")[0].lower().rstrip(".")
