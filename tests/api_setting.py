"""A running api for the tests: in this process over ASGI, or on a free port for the official SDKs."""

import json
import socket
import threading
from collections.abc import AsyncIterator, Awaitable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import psycopg
import redis
import uvicorn
from psycopg.rows import dict_row
from psycopg.types.json import Jsonb

from ostinato_api.app import create_app
from ostinato_api.dependencies import Services
from ostinato_shared.settings import Settings
from ostinato_shared.task_names import QUEUE

GRAPH = """
from typing import TypedDict

from langgraph.graph import END, START, StateGraph


class State(TypedDict):
    messages: list


def answer(state: State) -> State:
    return {"messages": state.get("messages", []) + ["answer"]}


builder = StateGraph(State)
builder.add_node("answer", answer)
builder.add_edge(START, "answer")
builder.add_edge("answer", END)
"""
TABLES = (
    "assistant", "assistant_version", "cron", "cron_event", "outbox", "firing", "run", "thread",
    "webhook_delivery", "checkpoints", "checkpoint_blobs", "checkpoint_writes",
)  # fmt: skip
BROWSER = {"accept": "text/html,application/xhtml+xml,*/*;q=0.8"}  # headers
HTMX = {"hx-request": "true", "accept": "*/*"}
AGENT_ID = "fe096781-5601-53d2-b2f6-0d3403f7e9ca"  # of the system assistant of a graph called `agent`


def write_project(folder: Path) -> Path:
    """A langgraph.json with two graphs."""
    (folder / "graph.py").write_text(GRAPH)
    graphs = {"agent": {"path": "./graph.py:builder", "description": "Answers."}, "other": "./graph.py:builder"}
    config = folder / "langgraph.json"
    config.write_text(json.dumps({"dependencies": ["."], "graphs": graphs}))
    return config


def settings(database_uri: str, redis_uri: str, folder: Path, **more: Any) -> Settings:
    return Settings(database_uri=database_uri, redis_uri=redis_uri, config=write_project(folder), **more)


@asynccontextmanager
async def open_api(settings: Settings) -> AsyncIterator[httpx.AsyncClient]:
    """A client of an api in this process; its tables begin empty."""
    empty(settings.database_dsn)
    app = create_app(settings)
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://localhost", timeout=60) as client,
    ):
        yield client


def services_of(client: httpx.AsyncClient) -> Services:
    """What the api behind a client of `open_api` holds."""
    found: Services = client._transport.app.state.services  # type: ignore[attr-defined]  # of an ASGITransport
    return found


@contextmanager
def serve_api(settings: Settings) -> Iterator[str]:
    """The URL of an api on a free port; its tables begin empty."""
    empty(settings.database_dsn)
    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(create_app(settings), log_config=None, access_log=False))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    try:
        httpx.get(f"{url}/ok", timeout=30).raise_for_status()  # the backlog holds it until the server is up
        yield url
    finally:
        server.should_exit = True
        thread.join()


def empty(database_uri: str) -> None:
    with psycopg.connect(database_uri) as connection:
        for table in reversed(TABLES):
            connection.execute(f"DELETE FROM {table}")  # type: ignore[arg-type]  # noqa: S608 - names from above


def fetch(database_uri: str, query: str, *values: Any) -> list[dict[str, Any]]:
    """The rows of a query, by another connection than the api's."""
    with psycopg.connect(database_uri, row_factory=dict_row) as connection:
        return connection.execute(query, values).fetchall()  # type: ignore[arg-type]  # tests write their own SQL


def execute(database_uri: str, statement: str, *values: Any) -> None:
    with psycopg.connect(database_uri) as connection:
        connection.execute(statement, values)  # type: ignore[arg-type]  # tests write their own SQL


def contents(database_uri: str) -> dict[str, list[dict[str, Any]]]:
    """All rows of all tables."""
    with psycopg.connect(database_uri, row_factory=dict_row) as connection:
        return {table: connection.execute(f"SELECT * FROM {table} ORDER BY 1").fetchall() for table in TABLES}  # type: ignore[arg-type]  # noqa: S608 - likewise


async def make_cron(api: httpx.AsyncClient, **fields: Any) -> dict[str, Any]:
    return await _answered(api.post("/runs/crons", json={"assistant_id": "agent", "schedule": "0 9 * * *", **fields}))


async def change_cron(api: httpx.AsyncClient, cron: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return await _answered(api.patch(f"/runs/crons/{cron['cron_id']}", json=fields))


async def make_assistant(api: httpx.AsyncClient, **fields: Any) -> dict[str, Any]:
    return await _answered(api.post("/assistants", json={"graph_id": "agent", **fields}))


async def change_assistant(api: httpx.AsyncClient, assistant: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return await _answered(api.patch(f"/assistants/{assistant['assistant_id']}", json=fields))


async def _answered(request: Awaitable[httpx.Response]) -> dict[str, Any]:
    answer = await request
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def make_thread(database_uri: str, **metadata: str) -> str:
    thread_id = str(uuid4())
    statement = "INSERT INTO thread (thread_id, metadata) VALUES (%s, %s)"
    execute(database_uri, statement, thread_id, Jsonb(metadata))
    return thread_id


async def new_thread(api: httpx.AsyncClient, **fields: Any) -> str:
    return str((await api.post("/threads", json=fields)).json()["thread_id"])


async def put(api: httpx.AsyncClient, thread_id: str, **body: Any) -> Any:
    answer = await api.post(f"/threads/{thread_id}/runs", json={"assistant_id": "agent", **body})
    assert answer.status_code == 200, answer.text
    return answer.json()


def sent(redis_uri: str) -> list[str]:
    """The ids of the runs whose messages lie in the queue, in the order in which they are taken."""
    with redis.Redis.from_url(redis_uri, decode_responses=True) as client:
        messages: Any = client.lrange(QUEUE, 0, -1)
    return [json.loads(json.loads(message)["body"])[0][0]["run_id"] for message in reversed(messages)]
