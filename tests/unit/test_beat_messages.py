import json
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest

from ostinato_beat import messages
from ostinato_shared.broker import fire_message
from ostinato_shared.task_names import LATE_QUEUE, QUEUE

CRON_ID, FIRING_ID = UUID(int=77), UUID(int=88)
AT = datetime(2026, 11, 24, 12, tzinfo=UTC)


@pytest.mark.parametrize("name", [None, "news", 'it\'s "quoted" 100% %s %(cron)s', "back\\slash", "日本 ♪ é", "{}[]"])
@pytest.mark.parametrize("queue", [QUEUE, LATE_QUEUE])
def test_the_template_gives_what_the_broker_gives(name: str | None, queue: str) -> None:
    text = messages.fire(
        cron_id=str(CRON_ID), fire_time=int(AT.timestamp()), firing_id=str(FIRING_ID), name=name, queue=queue
    )

    expected = fire_message(cron_id=CRON_ID, fire_time=AT, firing_id=FIRING_ID, name=name, queue=queue)
    assert without_ids(text) == without_ids(expected)


def test_each_message_has_ids_of_its_own() -> None:
    made = [json.loads(messages.fire(cron_id="c", fire_time=0, firing_id=str(FIRING_ID), name=None)) for _ in range(2)]

    ids = {m["headers"]["id"] for m in made} | {m["properties"]["delivery_tag"] for m in made}
    assert len(ids) == 4
    assert all(m["headers"]["root_id"] == m["properties"]["correlation_id"] == m["headers"]["id"] for m in made)


def without_ids(text: str) -> dict[str, Any]:
    message: dict[str, Any] = json.loads(text)
    for key in ("id", "root_id"):
        UUID(message["headers"].pop(key))
    UUID(message["properties"].pop("correlation_id"))
    UUID(message["properties"].pop("delivery_tag"))
    return message
