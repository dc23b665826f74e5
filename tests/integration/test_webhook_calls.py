"""One webhook's call over real sockets: where it goes, what it carries, and what its answers mean."""

from __future__ import annotations

import socket
import ssl
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
import trustme

from far_end import HANG, FarEnd, far_end
from ostinato_shared.ids import new_id
from ostinato_shared.queries.webhooks import Delivery
from ostinato_shared.webhook_policy import WebhookPolicy
from ostinato_shared.webhook_section import Webhooks
from ostinato_worker.webhook_calls import Caller, Reply, Verdict

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

OPEN = WebhookPolicy(allow_private_network=True, disable_loopback=False)
HERE = "127.0.0.1"


@dataclass
class Names:
    """A name service that gives its answers one after the other, the last again and again."""

    answers: list[list[str]]
    asked: list[str] = field(default_factory=list)

    async def __call__(self, host: str, _port: int) -> Sequence[str]:
        self.asked.append(host)
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


@pytest.fixture
def end() -> Iterator[FarEnd]:
    with far_end() as end:
        yield end


def delivery(url: str) -> Delivery:
    return Delivery(new_id(), url, attempts=0, lease=datetime.now(UTC), body='{"status": "success"}')


def caller(*addresses: str, policy: WebhookPolicy = OPEN, **options: Any) -> Caller:
    headers = options.pop("headers", {})
    return Caller(Webhooks(policy, headers), resolver=Names([list(addresses) or [HERE]]), **options)


async def test_call_carries_body_name_and_headers(end: FarEnd) -> None:
    headers = {"Authorization": "Bearer s3cret", "user-agent": "mine"}

    reply = await caller(headers=headers).call(delivery(end.url("/hook?a=1", host="Hook.test")))

    assert reply == Reply(Verdict.TAKEN)
    [call] = end.calls
    assert call.body == {"status": "success"}
    assert call.path == "/hook?a=1"
    assert call.headers["Host"] == f"hook.test:{end.port}"
    assert call.headers["Content-Type"] == "application/json"
    assert call.headers["Authorization"] == "Bearer s3cret"
    assert [value for name, value in call.headers.items() if name.lower() == "user-agent"] == ["mine"]


@pytest.mark.parametrize(
    ("status", "verdict"),
    [
        (200, Verdict.TAKEN), (204, Verdict.TAKEN), (400, Verdict.OVER), (404, Verdict.OVER), (429, Verdict.AGAIN),
        (500, Verdict.AGAIN), (503, Verdict.AGAIN),
    ],
)  # fmt: skip
async def test_answers_end_it_but_for_a_busy_or_broken_far_end(end: FarEnd, status: int, verdict: Verdict) -> None:
    end.answers.append(status)

    reply = await caller().call(delivery(end.url()))

    assert reply.verdict == verdict
    assert reply.error == (None if verdict == Verdict.TAKEN else f"HTTP {status}")


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_no_redirect_is_followed(end: FarEnd, status: int) -> None:
    with far_end() as inner:
        end.answers.append((status, inner.url("/latest/meta-data")))

        reply = await caller().call(delivery(end.url()))

        assert reply == Reply(Verdict.OVER, f"HTTP {status}")
        assert (len(end.calls), inner.calls) == (1, [])


async def test_name_that_has_become_private_since_it_was_stored_gets_no_call(end: FarEnd) -> None:
    reply = await caller(HERE, policy=WebhookPolicy()).call(delivery(end.url(host="hook.test")))

    assert reply == Reply(Verdict.OVER, "webhook: the host 'hook.test' has a loopback address")
    assert end.calls == []


async def test_name_is_asked_for_once_and_its_checked_address_called(end: FarEnd) -> None:
    rebinding = Names([[HERE], ["169.254.169.254"]])

    reply = await Caller(Webhooks(OPEN), resolver=rebinding).call(delivery(end.url(host="no-such-name.test")))

    assert reply == Reply(Verdict.TAKEN)
    assert rebinding.asked == ["no-such-name.test"]


async def test_proxy_of_the_environment_is_not_used(end: FarEnd, monkeypatch: pytest.MonkeyPatch) -> None:
    with far_end() as proxy:
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, proxy.url(""))

        await caller().call(delivery(end.url()))

        assert (len(end.calls), proxy.calls) == (1, [])


async def test_next_address_is_called_when_one_refuses(end: FarEnd) -> None:
    reply = await caller("127.0.0.9", HERE).call(delivery(end.url(host="hook.test")))

    assert reply == Reply(Verdict.TAKEN)


async def test_refused_connection_is_tried_again() -> None:
    with socket.socket() as bound:  # taken, and nobody listens
        bound.bind((HERE, 0))

        reply = await caller().call(delivery(f"http://hook.test:{bound.getsockname()[1]}"))

    assert reply == Reply(Verdict.AGAIN, "the connection failed: ConnectError")


async def test_silence_is_tried_again(end: FarEnd) -> None:
    end.answers.append(HANG)

    reply = await caller(answer_seconds=0.5).call(delivery(end.url()))

    assert reply == Reply(Verdict.AGAIN, "no answer within 0.5 s")


async def test_host_that_does_not_resolve_is_tried_again() -> None:
    reply = await Caller(Webhooks()).call(delivery("https://nowhere.invalid"))

    assert reply == Reply(Verdict.AGAIN, "webhook: the host 'nowhere.invalid' does not resolve")


async def test_fault_of_ours_ends_it() -> None:
    async def broken(_host: str, _port: int) -> Sequence[str]:
        raise RuntimeError("bug")

    reply = await Caller(Webhooks(), resolver=broken).call(delivery("https://a.example"))

    assert reply == Reply(Verdict.OVER, "the call failed: RuntimeError")


@dataclass(frozen=True)
class Authority:
    """Of the test's own certificates; `trusted` is a file that names it."""

    ca: trustme.CA
    trusted: Path

    def server(self, name: str) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.ca.issue_cert(name).configure_cert(context)
        return context


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    ca = trustme.CA()
    ca.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    return Authority(ca, tmp_path / "ca.pem")


async def test_https_goes_to_the_checked_address_by_the_certificates_name(
    authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.trusted))
    wanted: list[str | None] = []
    context = authority.server("hook.test")
    context.sni_callback = lambda _socket, name, _context: wanted.append(name)  # type: ignore[assignment]  # nothing is refused
    with far_end(context=context) as end:
        reply = await caller().call(delivery(end.url(host="hook.test", scheme="https")))

        assert reply == Reply(Verdict.TAKEN)
        assert wanted == ["hook.test"]
        assert end.calls[0].headers["Host"] == f"hook.test:{end.port}"


async def test_https_with_a_certificate_of_another_name_gets_no_call(
    authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.trusted))
    with far_end(context=authority.server("other.test")) as end:
        reply = await caller().call(delivery(end.url(host="hook.test", scheme="https")))

        assert reply == Reply(Verdict.AGAIN, "the connection failed: ConnectError")
        assert end.calls == []


async def test_https_with_a_certificate_that_nobody_trusts_gets_no_call(authority: Authority) -> None:
    with far_end(context=authority.server("hook.test")) as end:
        reply = await caller().call(delivery(end.url(host="hook.test", scheme="https")))

        assert reply == Reply(Verdict.AGAIN, "the connection failed: ConnectError")
        assert end.calls == []
