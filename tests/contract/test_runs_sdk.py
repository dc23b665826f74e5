"""Runs, threads and states through the official Python SDK, against a served api and a real worker."""

import asyncio
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest
import uvicorn
from langgraph_sdk import get_client
from langgraph_sdk.errors import ConflictError, NotFoundError, UnprocessableEntityError

from api_setting import fetch
from api_worker import Worker
from ostinato_api.app import create_app
from ostinato_api.main import STOP_SECONDS, Server
from ostinato_api.routes import runs as routes
from ostinato_shared.settings import Settings
from sdk_stage import Stage


async def test_threads_from_creation_to_deletion(stage: Stage) -> None:
    threads = stage.client.threads
    thread = await threads.create(metadata={"team": "growth"}, graph_id="steps")

    assert thread["metadata"] == {"team": "growth", "graph_id": "steps"}
    assert await threads.get(thread["thread_id"]) == thread
    assert (await threads.update(thread["thread_id"], metadata={"n": 1}))["metadata"]["n"] == 1
    assert await threads.update(thread["thread_id"], metadata={"n": 2}, return_minimal=True) is None
    assert [found["thread_id"] for found in await threads.search(metadata={"n": 2})] == [thread["thread_id"]]
    assert await threads.search(ids=[thread["thread_id"]], select=["status"]) == [{"status": "idle"}]
    assert await threads.count(metadata={"team": "growth"}) == 1
    with pytest.raises(ConflictError):
        await threads.create(thread_id=thread["thread_id"])
    same = await threads.create(thread_id=thread["thread_id"], if_exists="do_nothing")
    assert same["thread_id"] == thread["thread_id"]
    with pytest.raises(UnprocessableEntityError, match="not supported yet"):
        await threads.create(ttl=5)
    await threads.delete(thread["thread_id"])
    with pytest.raises(NotFoundError, match="not found"):
        await threads.get(thread["thread_id"])


async def test_wait_gives_the_values_and_names_its_run(stage: Stage) -> None:
    thread = await stage.client.threads.create()
    created: list[Any] = []

    waiting = asyncio.create_task(
        stage.client.runs.wait(thread["thread_id"], "steps", input={"parts": ["in"]}, on_run_created=created.append)
    )
    await stage.work()

    assert await waiting == {"parts": ["in", "first", "second"]}
    (run,) = created
    assert run["thread_id"] == thread["thread_id"]
    assert (await stage.client.runs.get(thread["thread_id"], run["run_id"]))["status"] == "success"
    assert await stage.client.runs.join(thread["thread_id"], run["run_id"]) == await waiting
    state = await stage.client.threads.get_state(thread["thread_id"])
    assert state["values"] == await waiting
    history = await stage.client.threads.get_history(thread["thread_id"])
    assert [past["metadata"]["step"] for past in history] == [2, 1, 0, -1]


async def test_stateless_wait_gives_values_and_leaves_no_thread(stage: Stage) -> None:
    waiting = asyncio.create_task(stage.client.runs.wait(None, "steps", input={"parts": []}))
    await stage.work()

    assert await waiting == {"parts": ["first", "second"]}
    assert await stage.client.threads.search() == []


async def test_interrupt_is_answered_by_a_command(stage: Stage) -> None:
    thread_id = (await stage.client.threads.create())["thread_id"]
    waiting = asyncio.create_task(stage.client.runs.wait(thread_id, "asker", input={"parts": []}))
    await stage.work()
    asked: Any = await waiting
    thread = await stage.client.threads.get(thread_id)
    (questions,) = thread["interrupts"].values()

    waiting = asyncio.create_task(stage.client.runs.wait(thread_id, "asker", command={"resume": "yes"}))
    await stage.work()

    assert asked["__interrupt__"] == questions == [{"id": questions[0]["id"], "value": {"question": "go on?"}}]
    assert thread["status"] == "interrupted"
    assert await waiting == {"parts": ["first"], "answer": "yes"}
    assert (await stage.client.threads.get(thread_id))["status"] == "idle"


async def test_command_goes_where_it_says(stage: Stage) -> None:
    thread_id = (await stage.client.threads.create())["thread_id"]
    await stage.client.runs.create(thread_id, "steps", input={"parts": []})
    await stage.work()
    command: Any = {"update": {"parts": ["told"]}, "goto": {"node": "second", "input": {"parts": []}}}

    waiting = asyncio.create_task(stage.client.runs.wait(thread_id, "steps", command=command))
    await stage.work()

    assert await waiting == {"parts": ["first", "second", "told", "second"]}


async def test_breakpoint_stops_the_run_in_success_and_the_next_run_goes_on(stage: Stage) -> None:
    thread_id = (await stage.client.threads.create())["thread_id"]
    waiting = asyncio.create_task(
        stage.client.runs.wait(thread_id, "steps", input={"parts": []}, interrupt_before=["second"])
    )
    await stage.work()

    assert await waiting == {"parts": ["first"]}
    assert (await stage.client.threads.get(thread_id))["status"] == "interrupted"
    assert [run["status"] for run in await stage.client.runs.list(thread_id)] == ["success"]
    waiting = asyncio.create_task(stage.client.runs.wait(thread_id, "steps"))
    await stage.work()
    assert await waiting == {"parts": ["first", "second"]}


async def test_failed_run_raises_where_it_is_waited_for(stage: Stage) -> None:
    thread_id = (await stage.client.threads.create())["thread_id"]
    waiting = asyncio.create_task(stage.client.runs.wait(thread_id, "failing", input={"parts": []}))
    await stage.work()

    with pytest.raises(Exception, match="ValueError: boom: x"):
        await waiting
    (run,) = await stage.client.runs.list(thread_id)
    assert run["status"] == "error"
    joined: Any = await stage.client.runs.join(thread_id, run["run_id"])
    assert joined == {"__error__": {"error": "ValueError", "message": "boom: x"}}
    thread: Any = await stage.client.threads.get(thread_id)
    assert (thread["status"], thread["error"]) == ("error", joined["__error__"])


async def test_run_without_input_fails_as_langgraph_says(stage: Stage) -> None:
    waiting = asyncio.create_task(stage.client.runs.wait(None, "steps"))
    await stage.work()

    with pytest.raises(Exception, match="EmptyInputError"):
        await waiting


async def test_runs_of_a_thread_go_in_order(stage: Stage) -> None:
    thread_id = (await stage.client.threads.create())["thread_id"]
    runs = [await stage.client.runs.create(thread_id, "steps", input={"parts": [n]}) for n in range(3)]

    await stage.work(3)

    state: Any = await stage.client.threads.get_state(thread_id)
    assert [part for part in state["values"]["parts"] if isinstance(part, int)] == [0, 1, 2]
    listed = await stage.client.runs.list(thread_id, select=["run_id", "status"])
    assert listed == [{"run_id": run["run_id"], "status": "success"} for run in reversed(runs)]
    with pytest.raises(NotFoundError, match="Thread or assistant not found"):
        await stage.client.runs.create("01a2022d-0bdd-77a7-ad18-a20902c4cc9b", "steps")


async def test_batch_and_deletion(stage: Stage) -> None:
    runs = await stage.client.runs.create_batch(
        [{"assistant_id": "steps", "input": {"parts": [n]}, "on_completion": "keep"} for n in range(2)]
    )
    await stage.work(2)

    for n, run in enumerate(runs):
        assert (await stage.client.runs.join(run["thread_id"], run["run_id"]))["parts"][0] == n
        await stage.client.runs.delete(run["thread_id"], run["run_id"])
        assert await stage.client.runs.list(run["thread_id"]) == []


async def test_update_of_a_state(stage: Stage) -> None:
    thread_id = (await stage.client.threads.create(graph_id="steps"))["thread_id"]

    await stage.client.threads.update_state(thread_id, {"parts": ["edit"]}, as_node="first")

    state = await stage.client.threads.get_state(thread_id)
    assert (state["values"], state["next"]) == ({"parts": ["edit"]}, ["second"])
    past = await stage.client.threads.get_state(thread_id, checkpoint=state["checkpoint"])
    by_id = await stage.client.threads.get_state(thread_id, checkpoint_id=state["checkpoint"]["checkpoint_id"] or "")
    assert past == by_id == state
    waiting = asyncio.create_task(stage.client.runs.wait(thread_id, "steps"))
    await stage.work()
    assert await waiting == {"parts": ["edit", "second"]}


async def test_wait_answers_newlines_meanwhile_and_goes_on_without_its_client(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(routes, "HEARTBEAT_SECONDS", 0.05)
    body = {"assistant_id": "steps", "input": {"parts": []}}
    async with (
        httpx.AsyncClient(base_url=stage.url) as client,
        client.stream("POST", "/runs/wait", json=body) as answer,
    ):
        location, content = answer.headers["location"], answer.headers["content-location"]
        heard = await anext(answer.aiter_bytes())

    assert set(heard) == {ord("\n")}
    assert location == f"{content}/join"
    await stage.work()
    async with httpx.AsyncClient(base_url=stage.url) as client:
        joined = await client.get(location)
    assert joined.json() == {"parts": ["first", "second"]}
    assert joined.headers["content-type"] == "application/json"


async def test_deleting_a_busy_thread_ends_its_run(stage: Stage) -> None:
    thread_id = (await stage.client.threads.create())["thread_id"]
    await stage.client.runs.create(thread_id, "steps", input={"parts": []})

    await stage.client.threads.delete(thread_id)
    await stage.work()

    assert fetch(stage.settings.database_dsn, "SELECT 1 FROM run UNION ALL SELECT 1 FROM checkpoints") == []


@contextmanager
def served(settings: Settings, listener: socket.socket) -> Iterator[None]:
    """The api in a thread, as its own process would serve it; stopped as by SIGTERM."""
    app = create_app(settings)
    server = SilentServer(app, uvicorn.Config(app, log_config=None, timeout_graceful_shutdown=STOP_SECONDS))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    try:
        yield
    finally:
        server.should_exit = True
        thread.join()


class SilentServer(Server):
    """Signals belong to the main thread, which is the tests'."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@pytest.mark.filterwarnings("ignore:Request failed, attempting reconnect")
@pytest.mark.parametrize("on_disconnect", ["continue", "cancel"])
async def test_waiter_outlives_the_server(settings: Settings, worker: Worker, on_disconnect: Any) -> None:
    """The SDK asks again, at Location, of the process that came next."""
    listener = socket.create_server(("127.0.0.1", 0), reuse_port=False)
    port = listener.getsockname()[1]
    async with get_client(url=f"http://127.0.0.1:{port}") as client:
        created = asyncio.Event()
        with served(settings, listener):
            waiting = asyncio.create_task(
                client.runs.wait(
                    *(None, "steps"),
                    input={"parts": []},
                    on_disconnect=on_disconnect,
                    on_run_created=lambda _: created.set(),
                )
            )
            await created.wait()
            stopped = asyncio.get_running_loop().time()
        assert asyncio.get_running_loop().time() - stopped < 3
        with served(settings, socket.create_server(("127.0.0.1", port))):
            await asyncio.to_thread(worker.work)

            assert await waiting == {"parts": ["first", "second"]}
