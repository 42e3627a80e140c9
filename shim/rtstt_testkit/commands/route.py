"""The work of ``rtstt-shim run --route``."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from rtstt_core.errors import UsageError
from rtstt_testkit.routing import environment, relay, route_env

__all__ = ["NODE_PRELOAD", "routed"]

NODE_PRELOAD = Path(relay.__file__).parents[1] / "node" / "route.cjs"
"""What routes a Node program, beside the variables that `routed` yields."""

_EXAMPLE = "write it like --route api.openai.com=127.0.0.1:8765"


@contextmanager
def routed(texts: Sequence[str]) -> Iterator[dict[str, str]]:
    """Route host names in child processes.

    Args:
        texts: Routes as on the command line, ``HOST=HOST:PORT``.

    Yields:
        The variables to add to a child's environment. They hold while the context is open.

    Raises:
        UsageError: A route is malformed, a host is routed twice, or there is no room for its certificate.
    """
    routes: dict[str, environment.Address] = {}
    for text in texts:
        host, equals, address = text.partition("=")
        try:
            if not equals:
                raise ValueError("it is not HOST=HOST:PORT")
            name, target = environment.canonical(host), environment.parse_address(address)
        except ValueError as error:
            raise UsageError(f"--route {text}: {error}; {_EXAMPLE}") from None
        if name in routes:
            raise UsageError(f"--route {text}: {name} is routed twice; give each host once")
        routes[name] = target
    with ExitStack() as stack:
        try:
            additions = stack.enter_context(route_env(routes))
        except ValueError as error:
            # No certificate can be made for such a name.
            raise UsageError(f"--route {', '.join(routes)}: not a host name: {error}; {_EXAMPLE}") from None
        except OSError as error:
            raise UsageError(environment.not_written(error)) from None
        yield additions
