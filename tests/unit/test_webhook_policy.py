"""Which URLs and addresses a webhook may go to, and what of a host is looked at."""

from __future__ import annotations

from ipaddress import ip_address
from typing import TYPE_CHECKING

import pytest

from ostinato_shared.webhook_policy import (
    WebhookPolicy,
    WebhookRefusedError,
    check_address,
    check_url,
    host_of,
    port_of,
)
from ostinato_shared.webhook_targets import UnresolvedError, find_target

if TYPE_CHECKING:
    from collections.abc import Sequence

PUBLIC = "93.184.216.34"
PLAIN = WebhookPolicy()
STRICT = WebhookPolicy(require_https=True, allowed_domains=("hooks.example.com", "*.Inner.example"))
PRIVATE = WebhookPolicy(allow_private_network=True)
OPEN = WebhookPolicy(allow_private_network=True, disable_loopback=False)


@pytest.mark.parametrize("url", ["http://a.example/x?y=1", "HTTPS://A.example:8443", "https://u:p@a.example"])
def test_web_addresses_pass_without_a_section(url: str) -> None:
    assert host_of(check_url(url, PLAIN)) == "a.example"


@pytest.mark.parametrize(
    "url", ["", "/hook", "//a.example/x", "ftp://a.example", "http://", "http:///x", "http://a\n.b"]
)
def test_what_is_no_web_address_is_refused(url: str) -> None:
    with pytest.raises(WebhookRefusedError, match="absolute http or https"):
        check_url(url, PLAIN)


@pytest.mark.parametrize(
    "url", ["https://hooks.example.com/x", "https://HOOKS.example.com.", "https://a.inner.example", "https://a.b.INNER.example"]
)  # fmt: skip
def test_allowed_domains_pass_whatever_their_case_and_depth(url: str) -> None:
    check_url(url, STRICT)


@pytest.mark.parametrize(
    "url",
    [
        "https://example.com", "https://a.hooks.example.com", "https://inner.example", "https://evilinner.example",
        "https://hooks.example.com@evil.example", "https://hooks.example.com.evil.example", "https://93.184.216.34",
    ],
)  # fmt: skip
def test_other_domains_are_refused(url: str) -> None:
    with pytest.raises(WebhookRefusedError, match="allowed_domains"):
        check_url(url, STRICT)


def test_https_is_required_when_the_policy_says_so() -> None:
    with pytest.raises(WebhookRefusedError, match="https://"):
        check_url("http://hooks.example.com", STRICT)


def test_ports_count_as_the_scheme_implies_them() -> None:
    policy = WebhookPolicy(allowed_ports=frozenset({443, 8443}))

    assert [port_of(check_url(url, policy)) for url in ("https://a.example", "http://a.example:8443")] == [443, 8443]
    for url in ("http://a.example", "https://a.example:444"):
        with pytest.raises(WebhookRefusedError, match="allowed_ports"):
            check_url(url, policy)


def test_length_is_bounded() -> None:
    policy = WebhookPolicy(max_url_length=20)

    check_url("http://a.example/123", policy)
    with pytest.raises(WebhookRefusedError, match="at most 20 characters"):
        check_url("http://a.example/1234", policy)


NEVER = [
    "169.254.169.254", "fe80::1", "fe80::1%eth0", "::ffff:169.254.169.254", "2002:a9fe:a9fe::1", "64:ff9b::a9fe:a9fe",
    "::169.254.169.254", "::", "224.0.0.1", "ff02::1", "fd00:ec2::254", "100.100.100.200", "::ffff:0.0.0.0",
    "168.63.129.16", "::ffff:168.63.129.16",
    "0.0.0.0",  # noqa: S104 - an address that is refused
]  # fmt: skip
LOOPBACK = ["127.0.0.1", "127.8.9.10", "::1", "::ffff:127.0.0.1", "64:ff9b::7f00:1"]
NOT_PUBLIC = [
    "10.0.0.1", "172.16.0.1", "192.168.1.1", "100.64.0.1", "192.0.2.1", "198.18.0.1", "240.0.0.1", "255.255.255.255",
    "fc00::1", "fd12::1", "fec0::1", "2001:db8::1", "::ffff:10.0.0.1", "64:ff9b::a00:1", "2002:a00:1::1", "4000::1",
]  # fmt: skip


@pytest.mark.parametrize("address", NEVER)
def test_some_addresses_are_refused_whatever_the_settings_say(address: str) -> None:
    for policy in (PLAIN, PRIVATE, OPEN):
        with pytest.raises(WebhookRefusedError):
            check_address(ip_address(address), "a.example", policy)


@pytest.mark.parametrize("address", LOOPBACK)
def test_loopback_needs_both_settings(address: str) -> None:
    for policy in (PLAIN, PRIVATE, WebhookPolicy(disable_loopback=False)):
        with pytest.raises(WebhookRefusedError, match="loopback"):
            check_address(ip_address(address), "a.example", policy)
    check_address(ip_address(address), "a.example", OPEN)


@pytest.mark.parametrize("address", NOT_PUBLIC)
def test_private_and_reserved_addresses_need_the_one_setting(address: str) -> None:
    with pytest.raises(WebhookRefusedError, match="private or reserved") as refused:
        check_address(ip_address(address), "a.example", PLAIN)
    assert address not in str(refused.value)
    check_address(ip_address(address), "a.example", PRIVATE)


@pytest.mark.parametrize("address", [PUBLIC, "2606:2800:220:1::1", "::ffff:93.184.216.34", "64:ff9b::5db8:d822"])
def test_public_addresses_pass(address: str) -> None:
    check_address(ip_address(address), "a.example", PLAIN)


async def test_one_address_that_is_not_allowed_condemns_the_host() -> None:
    async def both(_host: str, _port: int) -> Sequence[str]:
        return [PUBLIC, "10.0.0.1"]

    with pytest.raises(WebhookRefusedError, match="private"):
        await find_target("https://a.example", PLAIN, resolver=both)


async def test_all_addresses_of_a_host_come_back_in_order_and_once() -> None:
    asked = []

    async def three(host: str, port: int) -> Sequence[str]:
        asked.append((host, port))
        return ["2606:2800:220:1::1", PUBLIC, PUBLIC]

    target = await find_target("https://A.example.:8443/x", PLAIN, resolver=three)

    assert [str(address) for address in target.addresses] == ["2606:2800:220:1::1", PUBLIC]
    assert asked == [("a.example", 8443)]


async def test_hosts_without_an_address_are_refused() -> None:
    async def none(_host: str, _port: int) -> Sequence[str]:
        return []

    with pytest.raises(UnresolvedError):
        await find_target("https://a.example", PLAIN, resolver=none)
    with pytest.raises(UnresolvedError, match=r"'nowhere\.invalid' does not resolve"):
        await find_target("https://nowhere.invalid", PLAIN)


@pytest.mark.parametrize("host", ["127.1", "2130706433", "0x7f000001", "017700000001", "localhost", "[::1]"])
async def test_no_way_of_writing_loopback_gets_through(host: str) -> None:
    with pytest.raises(WebhookRefusedError):
        await find_target(f"http://{host}/", PLAIN)
