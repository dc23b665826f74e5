"""From a webhook's URL to the addresses that it may be sent to: asked at creation, and again at every delivery."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from typing import TYPE_CHECKING

from ostinato_shared.webhook_policy import WebhookRefusedError, check_address, check_url, host_of, port_of

if TYPE_CHECKING:
    import httpx

    from ostinato_shared.webhook_policy import Address, WebhookPolicy

Resolve = Callable[[str, int], Awaitable[Sequence[str]]]
RESOLVE_SECONDS = 5  # a host that cannot be found in this time is treated as one that does not resolve


class UnresolvedError(WebhookRefusedError):
    def __init__(self, host: str) -> None:
        super().__init__(f"the host {host!r} does not resolve")


@dataclass(frozen=True)
class Target:
    """A URL that passed, and the addresses of its host, each checked: connect to one of them and to nothing else."""

    url: httpx.URL
    addresses: tuple[Address, ...]

    @property
    def host(self) -> str:
        return host_of(self.url)


async def resolve(host: str, port: int) -> Sequence[str]:
    """The host's addresses in the system's order of preference. Raises OSError when there are none."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(address[0]) for *_, address in found]


async def find_target(text: str, policy: WebhookPolicy, *, resolver: Resolve = resolve) -> Target:
    """Where this URL leads, if all of it may be sent to. Raises WebhookRefusedError, UnresolvedError among them."""
    url = check_url(text, policy)
    host = host_of(url)
    try:
        async with asyncio.timeout(RESOLVE_SECONDS):
            found = await resolver(host, port_of(url))
    except (OSError, UnicodeError) as error:  # TimeoutError is an OSError
        raise UnresolvedError(host) from error
    addresses = tuple(dict.fromkeys(map(ip_address, found)))
    if not addresses:
        raise UnresolvedError(host)
    for address in addresses:  # one that is not allowed condemns the host: which of them is used is chance
        check_address(address, host, policy)
    return Target(url, addresses)
