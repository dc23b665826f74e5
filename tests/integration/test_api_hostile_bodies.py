"""Valid bodies with one thing changed: each is answered by 2xx or 4xx, and after a 4xx all tables are as before."""

import copy
import json
from collections.abc import AsyncIterator, Iterator
from itertools import islice
from typing import Any, LiteralString
from uuid import uuid4

import httpx
import psycopg
import pytest
import pytest_asyncio

from api_setting import AGENT_ID, TABLES, execute, open_api, settings
from ostinato_cli.embedded import EmbeddedValkey

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(600)]

OPTIONS: dict[str, Any] = {
    "input": {"messages": []},
    "metadata": {"k": "v", "name": "n", "ostinato": {}},
    "config": {"tags": ["t"], "recursion_limit": 5, "configurable": {"a": 1}},
    "interrupt_before": ["answer"],
    "interrupt_after": "*",
    "stream_mode": ["values"],
    "stream_subgraphs": False,
    "durability": "async",
    "multitask_strategy": "enqueue",
}
CRON = {
    "assistant_id": "agent", "schedule": "0 9 * * *", "timezone": "UTC", "end_time": "2090-01-01T00:00:00Z",
    "on_run_completed": "keep", "enabled": True, **OPTIONS,
}  # fmt: skip
CHANGE = {name: CRON[name] for name in CRON if name not in {"assistant_id", "multitask_strategy"}}
RUN = {"assistant_id": "agent", "if_not_exists": "create", "on_completion": "keep", "after_seconds": 0, **OPTIONS}
ASSISTANT = {
    "graph_id": "agent", "assistant_id": str(uuid4()), "name": "n", "description": "d", "if_exists": "do_nothing",
    "config": OPTIONS["config"], "context": {}, "metadata": {"k": "v"},
}  # fmt: skip
PAGE = {"metadata": {"k": "v"}, "limit": 1, "offset": 0, "sort_by": "created_at", "sort_order": "asc"}
CRON_SEARCH = {"assistant_id": "agent", "thread_id": str(uuid4()), "enabled": True, "select": ["cron_id"], **PAGE}
ASSISTANT_SEARCH = {"graph_id": "agent", "name": "a", "select": ["name"], **PAGE}
THREAD_SEARCH = {
    "status": "idle", "values": {"a": 1}, "ids": [str(uuid4())], "extract": {"a": "values.messages[-1]"},
    "select": ["thread_id"], **PAGE,
}  # fmt: skip
THREAD = {
    "thread_id": str(uuid4()), "metadata": {"graph_id": "agent"}, "if_exists": "do_nothing",
    "supersteps": [{"updates": [{"values": {"messages": []}, "as_node": "__input__"}]}],
}  # fmt: skip
STATE = {"values": {"messages": ["x"]}, "as_node": "answer", "checkpoint": {"checkpoint_ns": ""}}
HISTORY = {"limit": 5, "metadata": {"source": "update"}, "checkpoint": {"checkpoint_ns": ""}}
ROUTES = {
    "cron": ("POST", "/runs/crons", CRON),
    "thread cron": ("POST", "/threads/{thread}/runs/crons", CRON),
    "cron change": ("PATCH", "/runs/crons/{cron}", CHANGE),
    "cron search": ("POST", "/runs/crons/search", CRON_SEARCH),
    "cron count": ("POST", "/runs/crons/count", CRON_SEARCH),
    "assistant": ("POST", "/assistants", ASSISTANT),
    "assistant change": ("PATCH", "/assistants/{assistant}", ASSISTANT),
    "assistant search": ("POST", "/assistants/search", ASSISTANT_SEARCH),
    "assistant version": ("POST", "/assistants/{assistant}/latest", {"version": 1}),
    "thread": ("POST", "/threads", THREAD),
    "thread change": ("PATCH", "/threads/{thread}", {"metadata": {"k": "v"}}),
    "thread search": ("POST", "/threads/search", THREAD_SEARCH),
    "state": ("POST", "/threads/{thread with state}/state", STATE),
    "history": ("POST", "/threads/{thread with state}/history", HISTORY),
    "run": ("POST", "/runs", RUN),
    "run on a thread": ("POST", "/threads/{thread}/runs", RUN),
    "batch": ("POST", "/runs/batch", [RUN]),
}

STRIDE = 7  # every seventh of some 9,000 cases; all of them pass, in three minutes

RAW = "\x01raw\x01"  # stands for what json.dumps would not write
RAW_VALUES = [
    "NaN", "-Infinity", "1e999", "1" * 4299, "1" * 4301, "-0", "1e-999", '"\\u0000"',
    '"a\\u0000b"', '"\\ud800"', '"\\udc00\\ud800"',
    '{"\\u0000": 1}', '{"\\ud83d": 1}', "[" * 60 + "]" * 60, "[" * 99 + "]" * 99, "[" * 300 + "]" * 300,
    "[" * 90_000 + "]" * 90_000,
    '{"a":' * 60 + "1" + "}" * 60, '{"a": 1, "a": 2}',
]  # fmt: skip
VALUES = [
    None, True, False, 0, 1, -1, 1.5, 2**31, 2**63, -(2**63), 2**64, 1e308, 5e-324, "", " ", "x", "x" * 300,
    "x" * 70_000,
    "\u202e\ufeff\U0010ffff", "%s %(a)s {} $1", "'; DROP TABLE cron; --", str(uuid4()), "2030-01-01",
    "9999-12-31T23:59:59-23:59",
    "*", "agent", [], [None], [1], ["x"], [[]], [{}], ["x"] * 2000, {}, {"": ""}, {"a": None},
    {"a": {"b": [1, "x", None]}},
    {f"k{n}": n for n in range(2000)}, {"cron_id": 1, "run_id": [], "thread_id": {}}, {"configurable": 1}, {"node": 1},
]  # fmt: skip


def cases(valid: Any) -> Iterator[bytes]:
    """The valid body with one field, at any depth, set to each value; without it; and with something added."""
    for path in paths(valid):
        for value in VALUES:
            yield json.dumps(replaced(valid, path, value)).encode()
        for raw in RAW_VALUES:
            yield json.dumps(replaced(valid, path, RAW)).replace(json.dumps(RAW), raw).encode()
        yield json.dumps(removed(valid, path)).encode()
    for raw in RAW_VALUES:
        yield raw.encode()


def paths(value: Any, above: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, below in items:
        yield (*above, key)
        yield from paths(below, (*above, key))


def replaced(valid: Any, path: tuple[Any, ...], value: Any) -> Any:
    changed = copy.deepcopy(valid)
    spot = changed
    for key in path[:-1]:
        spot = spot[key]
    spot[path[-1]] = value
    return changed


def removed(valid: Any, path: tuple[Any, ...]) -> Any:
    changed = copy.deepcopy(valid)
    spot = changed
    for key in path[:-1]:
        spot = spot[key]
    del spot[path[-1]]
    return changed


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def api(
    database_uri: str, valkey_server: EmbeddedValkey, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[httpx.AsyncClient]:
    async with open_api(settings(database_uri, valkey_server.uri, tmp_path_factory.mktemp("project"))) as client:
        yield client


@pytest.fixture
def database(database_uri: str) -> Iterator[psycopg.Connection]:
    with psycopg.connect(database_uri, autocommit=True) as connection:
        yield connection


def fingerprint(database: psycopg.Connection) -> list[Any]:
    """Changes with every row that is written or removed."""
    each: list[LiteralString] = [f"SELECT count(*), max(xmin::text::bigint) FROM {table}" for table in TABLES]  # type: ignore[misc]  # noqa: S608 - our own tables
    return database.execute(" UNION ALL ".join(each)).fetchall()


async def places(api: httpx.AsyncClient, database_uri: str) -> dict[str, str]:
    thread_id = str(uuid4())
    execute(database_uri, "INSERT INTO thread (thread_id) VALUES (%s)", thread_id)
    cron = await api.post("/runs/crons", json={"assistant_id": "agent", "schedule": "0 9 * * *"})
    assistant = await api.post("/assistants", json={"graph_id": "agent"})
    with_state = await api.post("/threads", json={**THREAD, "thread_id": str(uuid4())})
    return {
        "thread": thread_id,
        "thread with state": with_state.json()["thread_id"],
        "cron": cron.json()["cron_id"],
        "assistant": assistant.json()["assistant_id"],
    }


@pytest.mark.parametrize("route", ROUTES)
async def test_one_change_to_a_valid_body_never_breaks_the_server(
    api: httpx.AsyncClient, database_uri: str, database: psycopg.Connection, route: str
) -> None:
    method, template, valid = ROUTES[route]
    path = template.format(**await places(api, database_uri))
    accepted = await api.request(method, path, json=valid)
    before = fingerprint(database)
    statuses: set[int] = set()
    tried = 0

    for body in islice(cases(valid), 0, None, STRIDE):
        answer = await api.request(method, path, content=body)

        after = fingerprint(database)
        shown = f"{body[:300]!r} -> {answer.status_code} {answer.text[:300]}"
        assert 200 <= answer.status_code < 300 or 400 <= answer.status_code < 500, shown
        if answer.status_code >= 400:
            assert isinstance(answer.json()["detail"], str), shown
            assert after == before, shown
        before = after
        statuses.add(answer.status_code)
        tried += 1

    assert accepted.status_code == 200, accepted.text
    assert 422 in statuses
    assert tried > STRIDE


async def test_the_cases_are_many_and_of_all_kinds() -> None:
    tried = [body for _, _, valid in ROUTES.values() for body in islice(cases(valid), 0, None, STRIDE)]

    assert len(tried) >= 500
    assert (len(VALUES) + len(RAW_VALUES) + 1) % STRIDE, "the stride would meet the same values in every field"


@pytest.mark.parametrize("route", ["cron", "thread cron", "assistant", "thread", "run", "run on a thread"])
async def test_what_is_too_large_is_refused(
    api: httpx.AsyncClient, database_uri: str, database: psycopg.Connection, route: str
) -> None:
    method, template, valid = ROUTES[route]
    path = template.format(**await places(api, database_uri))
    before = fingerprint(database)

    for field in valid:
        answer = await api.request(method, path, json={**valid, field: "x" * (10 * 2**20)})

        assert answer.status_code == 413
    assert fingerprint(database) == before


async def test_what_was_taken_can_be_read_back(api: httpx.AsyncClient) -> None:
    for kind in ("runs/crons", "assistants", "threads"):
        offset: int | None = 0
        while offset is not None:
            page = await api.post(f"/{kind}/search", json={"limit": 500, "offset": offset})
            assert page.status_code == 200
            following = page.headers.get("x-pagination-next")
            offset = int(following) if following else None
    assert (await api.get(f"/assistants/{AGENT_ID}")).status_code == 200
