"""The state of threads: read, edited, looked back at. Runs are done by a real worker."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest

from api_setting import execute, open_api
from api_worker import Worker, open_worker, write_graphs
from ostinato_shared.settings import Settings

UNKNOWN = "01a2022d-0bdd-77a7-ad18-a20902c4cc9b"
FRESH = {
    "values": {}, "next": [], "tasks": [], "metadata": None, "created_at": None, "checkpoint": None,
    "parent_checkpoint": None, "interrupts": [], "checkpoint_id": None, "parent_checkpoint_id": None,
}  # fmt: skip


@dataclass
class Stage:
    api: httpx.AsyncClient
    worker: Worker
    database_uri: str

    async def post(self, path: str, body: Any, *, status: int = 200) -> Any:
        answer = await self.api.post(path, json=body)
        assert answer.status_code == status, answer.text
        return answer.json()

    async def get(self, path: str, **query: Any) -> Any:
        answer = await self.api.get(path, params=query)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def thread(self, **fields: Any) -> str:
        return str((await self.post("/threads", fields))["thread_id"])

    async def ran(self, graph: str, *, thread: str | None = None, **body: Any) -> str:
        """The thread on which a run of the graph has ended."""
        thread = thread or await self.thread()
        await self.post(f"/threads/{thread}/runs", {"assistant_id": graph, **body})
        self.worker.work()
        return thread


@pytest.fixture
async def stage(database_uri: str, redis_uri: str, tmp_path: Path) -> AsyncIterator[Stage]:
    config = write_graphs(tmp_path)
    settings = Settings(database_uri=database_uri, redis_uri=redis_uri, config=config, slots=20, drain_seconds=0.2)
    async with open_api(settings) as api:
        with open_worker(settings) as worker:
            yield Stage(api, worker, database_uri)


async def test_fresh_thread_has_an_empty_state(stage: Stage) -> None:
    thread = await stage.thread()
    with_graph = await stage.thread(metadata={"graph_id": "steps"})

    for path in (f"/threads/{thread}/state", f"/threads/{with_graph}/state", f"/threads/{thread}/state/{UNKNOWN}"):
        assert await stage.get(path) == FRESH
    for path in (f"/threads/{thread}/history", f"/threads/{with_graph}/history"):
        assert await stage.get(path) == []


async def test_state_after_a_run(stage: Stage) -> None:
    thread = await stage.ran("steps", input={"parts": ["in"]}, metadata={"team": "growth"})

    state = await stage.get(f"/threads/{thread}/state")

    assert state["values"] == {"parts": ["in", "first", "second"]}
    assert state["next"] == state["tasks"] == state["interrupts"] == []
    assert state["checkpoint"] == {
        "thread_id": thread, "checkpoint_ns": "", "checkpoint_id": state["checkpoint_id"]
    }  # fmt: skip
    assert state["parent_checkpoint"]["checkpoint_id"] == state["parent_checkpoint_id"] < state["checkpoint_id"]
    assert state["created_at"].endswith("+00:00")
    metadata = state["metadata"]
    assert metadata == metadata | {"source": "loop", "step": 2, "graph_id": "steps", "team": "growth"}
    assert set(metadata) >= {"run_id", "assistant_id", "created_by", "parents"}
    shown = await stage.get(f"/threads/{thread}")
    assert shown["values"] == state["values"]
    assert shown["metadata"] == {"graph_id": "steps", "assistant_id": metadata["assistant_id"]}


async def test_history_goes_from_newest_to_oldest(stage: Stage) -> None:
    thread = await stage.ran("steps", input={"parts": ["in"]})
    path = f"/threads/{thread}/history"

    history = await stage.post(path, {"limit": 10})

    assert [state["metadata"]["step"] for state in history] == [2, 1, 0, -1]
    assert history[1]["next"] == ["second"]
    assert history[1]["tasks"][0]["result"] == {"parts": ["second"]}
    ids = [state["checkpoint_id"] for state in history]
    assert await stage.post(path, {}) == await stage.get(path) == history[:1]
    for before in (ids[1], {"checkpoint_id": ids[1]}, {"configurable": {"checkpoint_id": ids[1]}}):
        assert await stage.post(path, {"limit": 10, "before": before}) == history[2:]
    assert await stage.get(path, limit=2, before=ids[0]) == history[1:3]
    assert await stage.post(path, {"limit": 10, "metadata": {"step": 0}}) == [history[2]]
    assert await stage.post(path, {"limit": 10, "metadata": {"step": "0"}}) == []
    assert await stage.post(path, {"limit": 10, "checkpoint": history[0]["checkpoint"]}) == [history[0]]


async def test_state_at_a_checkpoint(stage: Stage) -> None:
    thread = await stage.ran("steps", input={"parts": ["in"]})
    history = await stage.post(f"/threads/{thread}/history", {"limit": 10})
    past = history[1]

    by_id = await stage.get(f"/threads/{thread}/state/{past['checkpoint_id']}")
    by_checkpoint = await stage.post(f"/threads/{thread}/state/checkpoint", {"checkpoint": past["checkpoint"]})

    assert by_id == by_checkpoint == past
    for checkpoint_id in (UNKNOWN, "x"):
        assert await stage.get(f"/threads/{thread}/state/{checkpoint_id}") == FRESH
        body = {"checkpoint": {"checkpoint_id": checkpoint_id}}
        assert await stage.post(f"/threads/{thread}/state/checkpoint", body) == FRESH
    assert await stage.post(f"/threads/{thread}/state/checkpoint", {"checkpoint": {"checkpoint_ns": "nowhere"}}) == {}


async def test_stop_inside_of_a_subgraph_shows_where(stage: Stage) -> None:
    thread = await stage.ran("outer", input={"parts": ["in"]})
    path = f"/threads/{thread}/state"

    state = await stage.get(path)
    deep = await stage.get(path, subgraphs=True)

    (task,) = state["tasks"]
    question = {"id": task["interrupts"][0]["id"], "value": {"question": "go on?"}}
    assert state["next"] == ["inner"]
    assert task["interrupts"] == state["interrupts"] == [question]
    assert task["checkpoint"] == {"thread_id": thread, "checkpoint_ns": f"inner:{task['id']}"}
    assert task["state"] is None
    (deep_task,) = deep["tasks"]
    assert deep_task["checkpoint"] is None
    assert deep_task["state"]["next"] == ["ask"]
    inside = await stage.post(f"{path}/checkpoint", {"checkpoint": task["checkpoint"]})
    assert inside == deep_task["state"]
    history = await stage.post(f"/threads/{thread}/history", {"limit": 10, "checkpoint": task["checkpoint"]})
    assert history[0]["checkpoint_id"] == inside["checkpoint_id"]
    assert len(history) > 1
    thread_now = await stage.get(f"/threads/{thread}")
    assert thread_now["status"] == "interrupted"
    assert thread_now["interrupts"] == {task["id"]: [question]}

    edited = await stage.post(path, {"values": {"parts": ["edited"]}, "checkpoint": task["checkpoint"]})

    assert edited["checkpoint"]["checkpoint_ns"] == task["checkpoint"]["checkpoint_ns"]
    assert (await stage.get(path, subgraphs=True))["tasks"][0]["state"]["values"]["parts"][-1] == "edited"
    assert (await stage.get(f"/threads/{thread}"))["values"] == state["values"]


async def test_edit_writes_a_checkpoint_and_the_thread_follows(stage: Stage) -> None:
    thread = await stage.ran("steps", input={"parts": ["in"]}, metadata={"team": "growth"})
    before = await stage.get(f"/threads/{thread}/state")

    edited = await stage.post(f"/threads/{thread}/state", {"values": {"parts": ["edit"]}})

    state = await stage.get(f"/threads/{thread}/state")
    assert edited["checkpoint"] == edited["configurable"] == state["checkpoint"]
    assert edited["checkpoint_id"] == state["checkpoint_id"]
    assert state["values"]["parts"] == ["in", "first", "second", "edit"]
    assert state["parent_checkpoint_id"] == before["checkpoint_id"]
    assert state["metadata"] == {"source": "update", "step": 3, "parents": {}}
    shown = await stage.get(f"/threads/{thread}")
    assert (shown["values"], shown["status"]) == (state["values"], "idle")


async def test_edit_that_leaves_something_next_interrupts_the_thread(stage: Stage) -> None:
    thread = await stage.ran("steps", input={"parts": ["in"]})
    history = await stage.post(f"/threads/{thread}/history", {"limit": 10})

    for place in ({"checkpoint": history[1]["checkpoint"]}, {"checkpoint_id": history[1]["checkpoint_id"]}):
        await stage.post(f"/threads/{thread}/state", {"values": {"parts": ["fork"]}, "as_node": "first", **place})

        state = await stage.get(f"/threads/{thread}/state")
        assert state["next"] == ["second"]
        assert state["values"]["parts"] == ["in", "first", "fork"]
        assert (await stage.get(f"/threads/{thread}"))["status"] == "interrupted"


async def test_messages_are_plain_objects(stage: Stage) -> None:
    thread = await stage.ran("chatter", input={"messages": [{"role": "user", "content": "What time is it?"}]})

    for values in (
        (await stage.get(f"/threads/{thread}/state"))["values"],
        (await stage.get(f"/threads/{thread}"))["values"],
    ):
        asked, said = values["messages"]
        assert asked == asked | {
            "type": "human", "content": "What time is it?", "additional_kwargs": {}, "response_metadata": {},
            "name": None,
        }  # fmt: skip
        assert said == said | {"type": "ai", "content": "It is noon.", "tool_calls": [], "invalid_tool_calls": []}
        assert asked["id"]
        assert said["usage_metadata"] is None
    edit = {"values": {"messages": [{"role": "user", "content": "And now?"}]}, "as_node": "chat"}
    await stage.post(f"/threads/{thread}/state", edit)
    assert (await stage.get(f"/threads/{thread}"))["values"]["messages"][-1]["content"] == "And now?"


async def test_graph_made_by_a_factory_has_a_state(stage: Stage) -> None:
    thread = await stage.ran("factory", input={"parts": ["in"]})

    assert (await stage.get(f"/threads/{thread}/state"))["values"] == {"parts": ["in", "first"]}


async def test_factory_that_needs_what_the_run_was_given_finds_it_when_the_state_is_read(stage: Stage) -> None:
    thread = await stage.ran("picky", input={"parts": []}, config={"configurable": {"model": "m"}})
    bare = await stage.thread(metadata={"graph_id": "picky"})

    refusal = await stage.api.get(f"/threads/{bare}/state")

    assert (await stage.get(f"/threads/{thread}/state"))["values"] == {"parts": ["first"]}
    assert refusal.status_code == 422
    assert refusal.json()["detail"] == "Graph 'picky': its factory failed: KeyError: 'model'"


async def test_fresh_thread_may_name_a_graph_that_is_not_there(stage: Stage) -> None:
    thread = await stage.thread(metadata={"graph_id": "nowhere"})

    assert await stage.get(f"/threads/{thread}/state") == FRESH
    assert await stage.post(f"/threads/{thread}/history", {}) == []


async def test_edits_that_make_no_sense_are_400(stage: Stage) -> None:
    thread = await stage.ran("steps", input={"parts": ["in"]})
    before = await stage.get(f"/threads/{thread}/state")
    path = f"/threads/{thread}/state"

    for body in (
        {"values": {"parts": ["x"]}, "as_node": "nobody"},
        {"values": {"parts": 7}},
        {"values": ["x"], "as_node": "first"},
        {"values": {"parts": ["x"]}, "checkpoint": {"checkpoint_ns": "nowhere:1"}},
        {"values": {"parts": ["x"]}, "as_node": "__input__", "checkpoint": {"checkpoint_ns": "|||"}},
    ):
        assert (await stage.api.post(path, json=body)).status_code == 400, body
    graphless = await stage.thread()
    assert (await stage.api.post(f"/threads/{graphless}/state", json={"values": {}})).status_code == 400
    assert await stage.get(path) == before


async def test_edit_of_a_busy_thread_is_a_conflict(stage: Stage) -> None:
    thread = await stage.thread()
    await stage.post(f"/threads/{thread}/runs", {"assistant_id": "steps", "input": {"parts": []}})

    await stage.post(f"/threads/{thread}/state", {"values": {"parts": ["x"]}}, status=409)


async def test_questions_that_do_not_fit_are_422(stage: Stage) -> None:
    thread = await stage.thread(metadata={"graph_id": "steps"})
    path = f"/threads/{thread}"
    for suffix, body in [
        ("state", {"values": "x"}), ("state", {"values": {}, "as_node": 7}), ("state", {"checkpoint": 7}),
        ("state", []), ("state", {"values": {}, "checkpoint_id": 7}),
        ("state/checkpoint", {}), ("state/checkpoint", {"checkpoint": []}),
        ("state/checkpoint", {"checkpoint": {"checkpoint_id": 7}}),
        ("state/checkpoint", {"checkpoint": {}, "subgraphs": 7}),
        ("history", {"limit": 0}), ("history", {"limit": 1001}), ("history", {"before": 7}),
        ("history", {"metadata": []}), ("history", {"checkpoint": "x"}), ("history", {"limit": None}),
    ]:  # fmt: skip
        await stage.post(f"{path}/{suffix}", body, status=422)
    for query in ({"limit": 0}, {"limit": "x"}, {"before": "\0"}):
        answer = await stage.api.get(f"{path}/history", params=query)
        assert answer.status_code == 422
    assert (await stage.api.get(f"{path}/state/%00")).status_code == 422
    assert (await stage.api.get(f"{path}/state", params={"subgraphs": "x"})).status_code == 422


async def test_graph_that_exits_when_its_state_is_changed_ends_the_request_only(stage: Stage) -> None:
    thread = await stage.ran("exiting", input={"word": "in"})
    refusal = await stage.post(f"/threads/{thread}/state", {"values": {"word": "exit"}}, status=400)
    assert refusal["detail"] == "SystemExit: 3"
    assert (await stage.get(f"/threads/{thread}/state"))["values"] == {"word": "said"}


async def test_thread_whose_graph_is_gone_is_404(stage: Stage) -> None:
    thread = await stage.ran("steps", input={"parts": []})
    execute(stage.database_uri, 'UPDATE thread SET metadata = \'{"graph_id": "gone"}\'')

    answer = await stage.api.get(f"/threads/{thread}/state")

    assert answer.status_code == 404
    assert "gone" in answer.json()["detail"]


async def test_thread_made_by_supersteps_has_their_state(stage: Stage) -> None:
    supersteps = [
        {"updates": [{"values": {"parts": ["in"]}, "as_node": "__input__"}]},
        {"updates": [{"values": {"parts": ["start"]}, "as_node": "__start__"}]},
        {"updates": [{"values": None, "command": {"update": {"parts": ["told"]}}, "as_node": "first"}]},
    ]

    thread = await stage.post("/threads", {"metadata": {"graph_id": "steps"}, "supersteps": supersteps})

    state = await stage.get(f"/threads/{thread['thread_id']}/state")
    assert thread["values"] == state["values"]
    assert state["values"]["parts"][-1] == "told"
    assert (state["next"], thread["status"]) == (["second"], "interrupted")


async def test_supersteps_that_fail_leave_no_thread(stage: Stage) -> None:
    thread_id = str(uuid4())
    bad = [{"updates": [{"values": {"parts": ["x"]}, "as_node": "nobody"}]}]

    for metadata, status in (({"graph_id": "steps"}, 400), ({}, 400), ({"graph_id": "gone"}, 404)):
        body = {"thread_id": thread_id, "metadata": metadata, "supersteps": bad}
        await stage.post("/threads", body, status=status)

        assert (await stage.api.get(f"/threads/{thread_id}")).status_code == 404


async def test_copy_has_the_state_and_history_and_a_life_of_its_own(stage: Stage) -> None:
    thread = await stage.ran("asker", thread=await stage.thread(metadata={"team": "growth"}), input={"parts": ["in"]})
    original = await stage.get(f"/threads/{thread}")

    copied = await stage.post(f"/threads/{thread}/copy", None)

    copy = str(copied["thread_id"])
    assert copy != thread
    for name in ("metadata", "status", "values", "interrupts", "config", "error"):
        assert copied[name] == original[name], name
    assert copied["status"] == "interrupted"
    assert await stage.get(f"/threads/{copy}/runs") == []
    histories = [await stage.post(f"/threads/{one}/history", {"limit": 10}) for one in (thread, copy)]
    ids = [[state["checkpoint_id"] for state in history] for history in histories]
    assert ids[0] == ids[1]
    assert [state["values"] for state in histories[0]] == [state["values"] for state in histories[1]]

    await stage.ran("asker", thread=copy, command={"resume": "yes"})

    assert (await stage.get(f"/threads/{copy}/state"))["values"] == {"parts": ["in", "first"], "answer": "yes"}
    assert await stage.get(f"/threads/{thread}") == original
    await stage.api.delete(f"/threads/{thread}")
    assert (await stage.get(f"/threads/{copy}/state"))["values"]["answer"] == "yes"


async def test_copy_of_a_busy_thread_is_at_rest(stage: Stage) -> None:
    thread = await stage.ran("steps", input={"parts": []})
    await stage.post(f"/threads/{thread}/runs", {"assistant_id": "steps", "input": {"parts": []}})

    assert (await stage.post(f"/threads/{thread}/copy", None))["status"] == "idle"


async def test_prune_can_keep_the_latest_state(stage: Stage) -> None:
    thread = await stage.ran("steps", input={"parts": ["in"]})
    busy = await stage.ran("steps", input={"parts": ["in"]})
    await stage.post(f"/threads/{busy}/runs", {"assistant_id": "steps", "input": {"parts": []}})
    body = {"thread_ids": [thread, busy, UNKNOWN], "strategy": "keep_latest"}

    answer = await stage.post("/threads/prune", body)

    assert answer == {"pruned_count": 1}
    (state,) = await stage.post(f"/threads/{thread}/history", {"limit": 10})
    assert state["values"] == (await stage.get(f"/threads/{thread}"))["values"]
    assert len(await stage.post(f"/threads/{busy}/history", {"limit": 10})) == 4


async def test_no_edit_and_no_question_is_a_server_error(stage: Stage) -> None:
    made = [await stage.ran(graph, input={"parts": ["in"]}) for graph in ("steps", "outer", "failing")]
    threads = [*made, await stage.thread(metadata={"graph_id": "steps"}), await stage.thread()]
    nodes = ("__copy__", "__end__", "__input__", "__start__", "__interrupt__", "", "first", "inner", "inner|ask")
    values = (
        None,
        {},
        [],
        [[{"parts": []}, "first"]],
        [["x", "y"]],
        [7],
        {"parts": None},
        {"x": 1},
        {"answer": {"a": []}},
    )
    places = (
        {},
        {"checkpoint": {"checkpoint_ns": "inner"}},
        {"checkpoint": {"checkpoint_ns": ":|:"}},
        {"checkpoint_id": "x"},
    )

    for thread in threads:
        for node in nodes:
            for given in values:
                body = {"values": given, "as_node": node}
                answer = await stage.api.post(f"/threads/{thread}/state", json=body)
                assert answer.status_code in {200, 400}, (body, answer.text)
        for place in places:
            body = {"values": {"parts": ["x"]}, **place}
            answer = await stage.api.post(f"/threads/{thread}/state", json=body)
            assert answer.status_code in {200, 400}, (body, answer.text)
            checkpoint = place.get("checkpoint", {"checkpoint_id": "x"})
            for path, asked in (("state/checkpoint", {"subgraphs": True}), ("history", {"limit": 1000})):
                body = {"checkpoint": checkpoint, **asked}
                answer = await stage.api.post(f"/threads/{thread}/{path}", json=body)
                assert answer.status_code == 200, (body, answer.text)
        assert (await stage.api.get(f"/threads/{thread}/state", params={"subgraphs": True})).status_code == 200
