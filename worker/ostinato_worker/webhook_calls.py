"""One webhook's call: to an address that was checked just now, and to nothing else."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from importlib.metadata import version
from typing import TYPE_CHECKING

import httpx
import structlog

from ostinato_shared.webhook_policy import WebhookRefusedError
from ostinato_shared.webhook_targets import Resolve, Target, UnresolvedError, find_target, resolve

if TYPE_CHECKING:
    import ssl
    from ipaddress import IPv4Address, IPv6Address

    from ostinato_shared.queries.webhooks import Delivery
    from ostinato_shared.webhook_section import Webhooks

log: structlog.typing.FilteringBoundLogger = structlog.get_logger()
ANSWER_SECONDS = 30.0
CONNECT_SECONDS = 8.0  # to one address: the next one gets its chance
BUSY = 429
AGENT = f"Ostinato/{version('ostinato')}"


class Verdict(StrEnum):
    TAKEN = "taken"
    AGAIN = "again"
    OVER = "over"


@dataclass(frozen=True, slots=True)
class Reply:
    """What came of one call; `error` names the fault and no more."""

    verdict: Verdict
    error: str | None = None


@dataclass(frozen=True)
class Caller:
    """Makes the calls of one process."""

    webhooks: Webhooks
    resolver: Resolve = resolve
    answer_seconds: float = ANSWER_SECONDS

    @cached_property
    def trust(self) -> ssl.SSLContext:
        """The authorities whose certificates count: of SSL_CERT_FILE or SSL_CERT_DIR, else the usual ones."""
        return httpx.create_ssl_context()

    async def call(self, delivery: Delivery) -> Reply:
        """What came of it; never raises."""
        try:
            async with asyncio.timeout(self.answer_seconds):
                target = await find_target(delivery.url, self.webhooks.policy, resolver=self.resolver)
                return _judge(await self._post(target, delivery.body))
        except UnresolvedError as error:
            return Reply(Verdict.AGAIN, str(error))
        except WebhookRefusedError as error:
            return Reply(Verdict.OVER, str(error))
        except TimeoutError:
            return Reply(Verdict.AGAIN, f"no answer within {self.answer_seconds:g} s")
        except httpx.TransportError as error:
            return Reply(Verdict.AGAIN, f"the connection failed: {type(error).__name__}")
        except Exception as error:  # the task boundary: left as it is, the row would come back for ever
            log.exception("webhook_call_failed", run_id=str(delivery.run_id))
            return Reply(Verdict.OVER, f"the call failed: {type(error).__name__}")

    async def _post(self, target: Target, body: str) -> int:
        """The answer's status, from the first of the addresses that takes a connection."""
        # No proxy of the environment's (it would resolve the name anew), and no connection is kept: it was verified
        # for one name, and the pool would give it to another on the same address.
        async with httpx.AsyncClient(
            verify=self.trust,
            trust_env=False,
            timeout=httpx.Timeout(None, connect=CONNECT_SECONDS),
            limits=httpx.Limits(max_keepalive_connections=0),
        ) as client:
            for address in target.addresses[:-1]:
                with suppress(httpx.ConnectError, httpx.ConnectTimeout):
                    return await self._post_to(client, target, address, body)
            return await self._post_to(client, target, target.addresses[-1], body)

    async def _post_to(
        self, client: httpx.AsyncClient, target: Target, address: IPv4Address | IPv6Address, body: str
    ) -> int:
        headers = httpx.Headers({"User-Agent": AGENT})
        headers.update(self.webhooks.headers)
        headers.update({"Host": target.url.netloc.decode("ascii"), "Content-Type": "application/json"})
        async with client.stream(
            "POST",
            target.url.copy_with(host=str(address)),
            content=body.encode(),
            headers=headers,
            follow_redirects=False,
            extensions={"sni_hostname": target.host},  # the name that the certificate must carry
        ) as response:
            return response.status_code  # the body may have no end: nobody reads it


def _judge(status: int) -> Reply:
    if httpx.codes.is_success(status):
        return Reply(Verdict.TAKEN)
    again = status == BUSY or httpx.codes.is_server_error(status)
    return Reply(Verdict.AGAIN if again else Verdict.OVER, f"HTTP {status}")
