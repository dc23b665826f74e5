"""kombu's Redis transport without its copy of every message under way.

kombu keeps what was delivered in Redis until it is acknowledged, and restores it an hour later: two transactions a
task. Our messages are hints: the ledger is the promise and the sweep sends again what was lost, so the copy buys
nothing, and its restoring would only repeat old hints.
"""

from __future__ import annotations

from typing import Any

from kombu.transport import TRANSPORT_ALIASES, redis


class HintQoS(redis.QoS):
    restore_at_shutdown = False

    def append(self, message: Any, delivery_tag: str) -> None:
        """Keep nothing."""

    def ack(self, delivery_tag: str) -> None:
        """Nothing was kept."""

    def reject(self, delivery_tag: str, requeue: bool = False) -> None:  # noqa: FBT001, FBT002 - kombu's signature
        """Nothing was kept; the sweep sends again what is still due."""

    def restore_visible(self, *_: Any, **__: Any) -> None:
        """Nothing was kept."""


class HintChannel(redis.Channel):
    QoS = HintQoS


class HintTransport(redis.Transport):
    Channel = HintChannel

    def _reject_inbound_message(self, raw_message: dict[str, Any]) -> None:
        """Give back what Redis still sent when the worker had stopped listening: another is on time, the sweep late."""
        queue = raw_message["properties"]["delivery_info"]["routing_key"]
        for channel in (self.channels or [])[:1]:
            channel._put(queue, raw_message)  # noqa: SLF001 - to publish it would encode it once more


def install() -> None:
    """Use it in this process for redis:// and rediss:// URLs."""
    for scheme in ("redis", "rediss"):
        TRANSPORT_ALIASES[scheme] = f"{__name__}:{HintTransport.__name__}"
