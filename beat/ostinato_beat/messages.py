"""The messages of a herd: `broker.fire_message` made once for a fire time and filled in for each firing."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from functools import lru_cache
from uuid import UUID

from uuid_utils import uuid4

from ostinato_shared.broker import fire_message
from ostinato_shared.task_names import QUEUE

# Marks for what differs between the messages of one fire time.
_CRON, _FIRING, _TASK, _TAG, _NAME = (str(UUID(int=n)) for n in range(1, 6))


def fire(*, cron_id: str, fire_time: int, firing_id: UUID, name: str | None, queue: str = QUEUE) -> str:
    """What `broker.fire_message` gives, at a fifth of its cost; `fire_time` in seconds since the epoch."""
    shown = json.dumps(repr(name or cron_id))[1:-1]
    task, tag = str(uuid4()), str(uuid4())
    values = {_CRON: cron_id, _FIRING: str(firing_id), _TASK: task, _TAG: tag, _NAME: shown}
    return "".join([values.get(part, part) for part in _template(fire_time, queue)])


@lru_cache(maxsize=1024)
def _template(fire_time: int, queue: str) -> list[str]:
    """The message in parts: text, and between it the marks of what is filled in."""
    at = datetime.fromtimestamp(fire_time, UTC)
    text = fire_message(cron_id=UUID(_CRON), fire_time=at, firing_id=UUID(_FIRING), name=_NAME, queue=queue)
    made = json.loads(text)
    marks = {
        made["headers"]["id"]: _TASK,
        made["properties"]["delivery_tag"]: _TAG,
        json.dumps(repr(_NAME))[1:-1]: _NAME,
        _CRON: _CRON,
        _FIRING: _FIRING,
    }
    return [marks.get(part, part) for part in re.split(f"({'|'.join(map(re.escape, marks))})", text)]
