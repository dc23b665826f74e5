"""The messages of a herd: `broker.fire_message` made once for a fire time and filled in for each firing."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from functools import lru_cache
from uuid import UUID

from uuid_utils import uuid4

from ostinato_shared.broker import fire_message, shown_name
from ostinato_shared.task_names import QUEUE

# Marks for what differs between the messages of one fire time.
_CRON, _FIRING, _NAME = (str(UUID(int=n)) for n in range(1, 4))


def fire(*, cron_id: str, fire_time: int, firing_id: str, name: str | None, queue: str = QUEUE) -> str:
    """What `broker.fire_message` gives, at a fifth of its cost; `fire_time` in seconds since the epoch."""
    return _template(fire_time, queue) % {
        "cron": cron_id,
        "firing": firing_id,
        "task": uuid4(),
        "tag": uuid4(),
        "shown": json.dumps(repr(shown_name(name, cron_id)))[1:-1],
    }


@lru_cache(maxsize=1024)
def _template(fire_time: int, queue: str) -> str:
    """The message with names for what is filled in."""
    at = datetime.fromtimestamp(fire_time, UTC)
    text = fire_message(cron_id=UUID(_CRON), fire_time=at, firing_id=UUID(_FIRING), name=_NAME, queue=queue)
    made = json.loads(text)
    text = text.replace("%", "%%").replace(json.dumps(repr(_NAME))[1:-1], "%(shown)s")
    marks = {"cron": _CRON, "firing": _FIRING, "task": made["headers"]["id"]}
    for key, mark in {**marks, "tag": made["properties"]["delivery_tag"]}.items():
        text = text.replace(mark, f"%({key})s")
    return text
