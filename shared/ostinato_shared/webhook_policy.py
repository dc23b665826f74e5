"""Where a webhook may go: rules about its URL and about the addresses of its host. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from typing import TYPE_CHECKING

import httpx

from ostinato_shared.errors import InvalidError

if TYPE_CHECKING:
    from collections.abc import Iterator

Address = IPv4Address | IPv6Address

MAX_URL = 65536
DEFAULT_PORTS = {"http": 80, "https": 443}
# Where clouds hand out credentials though the address is not link-local: refused whatever the settings say.
METADATA = frozenset(map(ip_address, ("100.100.100.200", "168.63.129.16", "192.0.0.192", "fd00:ec2::254")))
UNICAST = IPv6Network("2000::/3")  # all of IPv6 that is given out; Python calls more than that global
NAT64 = IPv6Network("64:ff9b::/96")
COMPATIBLE = IPv6Network("::/96")  # IPv4 written as IPv6, by an old rule
LAST_32 = 2**32 - 1


class WebhookRefusedError(InvalidError):
    """The webhook may not go where it points: names the rule, and the host at most."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"webhook: {reason}")


@dataclass(frozen=True)
class WebhookPolicy:
    """`webhooks.url` of langgraph.json, with `ALLOW_PRIVATE_NETWORK`; as it is without the section."""

    require_https: bool = False
    allowed_domains: tuple[str, ...] | None = None
    allowed_ports: frozenset[int] | None = None
    max_url_length: int = MAX_URL
    disable_loopback: bool = True
    allow_private_network: bool = False

    @property
    def allows_loopback(self) -> bool:
        return self.allow_private_network and not self.disable_loopback


def check_url(text: str, policy: WebhookPolicy) -> httpx.URL:
    """The URL, read once: what is checked is what is called. Raises WebhookRefusedError."""
    if len(text) > policy.max_url_length:
        raise WebhookRefusedError(f"the URL must have at most {policy.max_url_length} characters")
    try:
        url = httpx.URL(text)
    except httpx.InvalidURL as error:
        raise WebhookRefusedError("must be an absolute http or https URL") from error
    if url.scheme not in DEFAULT_PORTS or not url.host:
        raise WebhookRefusedError("must be an absolute http or https URL")
    if policy.require_https and url.scheme != "https":
        raise WebhookRefusedError("the URL must begin with https://")
    if policy.allowed_ports is not None and port_of(url) not in policy.allowed_ports:
        raise WebhookRefusedError(f"port {port_of(url)} is not one of webhooks.url.allowed_ports")
    if policy.allowed_domains is not None and not any(_matches(host_of(url), d) for d in policy.allowed_domains):
        raise WebhookRefusedError(f"the host {host_of(url)!r} is not one of webhooks.url.allowed_domains")
    return url


def port_of(url: httpx.URL) -> int:
    """The port to connect to."""
    return url.port or DEFAULT_PORTS[url.scheme]


def host_of(url: httpx.URL) -> str:
    """The host as the network knows it: ASCII, lower case, without a final dot."""
    return url.raw_host.decode("ascii").lower().rstrip(".")


def check_address(address: Address, host: str, policy: WebhookPolicy) -> None:
    """Raises WebhookRefusedError, which names the host and not the address, if no webhook may be sent there."""
    for meant in _meanings(address):
        if meant.is_link_local or meant.is_multicast or meant.is_unspecified or meant in METADATA:
            raise WebhookRefusedError(f"the host {host!r} has an address that no webhook may be sent to")
        if meant.is_loopback:
            if not policy.allows_loopback:
                raise WebhookRefusedError(f"the host {host!r} has a loopback address")
        elif not _is_public(meant) and not policy.allow_private_network:
            raise WebhookRefusedError(f"the host {host!r} has an address that is private or reserved")


def _is_public(address: Address) -> bool:
    if isinstance(address, IPv4Address):
        return address.is_global
    return address in NAT64 or (address in UNICAST and address.is_global)


def _meanings(address: Address) -> Iterator[Address]:
    """The address, and what stands in it for a gateway that translates: each has to pass."""
    if isinstance(address, IPv4Address):
        yield address
        return
    if address.ipv4_mapped is not None:  # to the kernel it is the IPv4 address
        yield address.ipv4_mapped
        return
    yield address
    if address.sixtofour is not None:
        yield address.sixtofour
    if address.teredo is not None:
        yield from address.teredo
    if address in NAT64 or (address in COMPATIBLE and int(address) > 1):
        yield IPv4Address(int(address) & LAST_32)


def _matches(host: str, domain: str) -> bool:
    domain = domain.lower().rstrip(".")
    return host.endswith(domain[1:]) if domain.startswith("*.") else host == domain
