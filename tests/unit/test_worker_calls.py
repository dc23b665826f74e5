"""From a run's row to the arguments of its graph's call."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest
from langgraph.types import Command, Send

from ostinato_shared.ids import new_id
from ostinato_shared.queries.runs import RunRow
from ostinato_worker.calls import build_command, build_config, build_input, build_options

if TYPE_CHECKING:
    from ostinato_shared.graphs import Graph


def make_run(*, attempt: int = 1, metadata: Any = None, **kwargs: Any) -> RunRow:
    return RunRow(
        run_id=new_id(), thread_id=new_id(), assistant_id=new_id(), graph_id="g", status="running",
        metadata=metadata or {}, kwargs=kwargs, owner=new_id(), attempt=attempt, cron_id=None, firing_id=None,
        fire_time=None,
    )  # fmt: skip


def graph(context_schema: type | None = None) -> Graph:
    return cast("Graph", SimpleNamespace(context_schema=context_schema))


def test_metadata_of_the_run_beats_that_of_its_config() -> None:
    run = make_run(metadata={"a": 1}, config={"metadata": {"a": 2, "b": 3, "run_id": "forged"}})

    assert build_config(run)["metadata"] == {"a": 1, "b": 3, "run_id": str(run.run_id), "attempt": 1}


def test_keys_of_langgraph_itself_are_not_taken_from_clients() -> None:
    run = make_run(config={"configurable": {"__pregel_checkpointer": {}, "__x": 1, "mine": 2}})

    assert build_config(run)["configurable"] == {"mine": 2}


@pytest.mark.parametrize(
    ("kwargs", "found"),
    [
        ({"checkpoint_id": "c"}, {"checkpoint_id": "c"}),
        ({"checkpoint": {"checkpoint_id": "c", "checkpoint_ns": "", "thread_id": "other"}}, {"checkpoint_id": "c"}),
        (
            {"checkpoint": {"checkpoint_id": "c", "checkpoint_ns": "n:1", "checkpoint_map": {"": "d"}}},
            {"checkpoint_id": "c", "checkpoint_ns": "n:1", "checkpoint_map": {"": "d"}},
        ),
        ({"checkpoint": None, "checkpoint_id": None}, {}),
    ],
)
def test_place_to_go_on_from_is_passed_on(kwargs: dict[str, Any], found: dict[str, Any]) -> None:
    assert build_config(make_run(**kwargs))["configurable"] == found


def test_run_that_goes_on_forgets_where_it_was_to_start() -> None:
    run = make_run(checkpoint_id="c", config={"configurable": {"checkpoint_id": "d", "mine": 1}}, attempt=2)

    assert build_config(run, from_start=False)["configurable"] == {"mine": 1}


@pytest.mark.parametrize(
    ("command", "built"),
    [
        ({"resume": "yes", "goto": []}, Command(resume="yes", goto=[])),
        ({"goto": "node"}, Command(goto=["node"])),
        (
            {"goto": ["a", {"node": "b", "input": {"x": 1}}]},
            Command(goto=["a", Send("b", {"x": 1})]),
        ),
        ({"update": {"x": 1}}, Command(update={"x": 1}, goto=[])),
    ],
)
def test_commands_are_built_from_json(command: dict[str, Any], built: Command[Any]) -> None:
    assert build_command(command) == built


@pytest.mark.parametrize("given", [{"x": 1}, [{"x": 1}], None])
def test_input_is_passed_as_it_is(given: Any) -> None:
    assert build_input(make_run(input=given)) == given


@pytest.mark.parametrize(
    ("kwargs", "schema", "options"),
    [
        ({}, None, {"durability": "async"}),
        ({"context": {}}, None, {"durability": "async"}),
        ({"context": {}}, dict, {"durability": "async", "context": {}}),
        ({"context": {"a": 1}}, None, {"durability": "async", "context": {"a": 1}}),
        ({"durability": "sync", "checkpoint_during": False}, None, {"durability": "sync"}),
        ({"checkpoint_during": False}, None, {"durability": "exit"}),
        ({"checkpoint_during": True}, None, {"durability": "async"}),
        ({"interrupt_before": "*", "interrupt_after": []}, None, {"durability": "async", "interrupt_before": "*"}),
    ],
)
def test_options_are_those_of_the_payload(kwargs: dict[str, Any], schema: type | None, options: dict[str, Any]) -> None:
    assert build_options(make_run(**kwargs), graph(schema)) == options
