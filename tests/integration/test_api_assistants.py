"""Assistants over HTTP: those that the system makes, those that people make, and their versions."""

import asyncio
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from psycopg.types.json import Jsonb

from api_setting import (
    AGENT_ID,
    change_assistant,
    contents,
    execute,
    fetch,
    make_assistant,
    settings,
)
from ostinato_shared.settings import Settings

OTHER_ID = "ed0b9f21-cc43-586f-a6ee-ab6a0a3e9d4b"


async def test_every_graph_has_its_assistant(api: httpx.AsyncClient) -> None:
    agent = (await api.get(f"/assistants/{AGENT_ID}")).json()

    assert agent == {
        "assistant_id": AGENT_ID, "graph_id": "agent", "name": "agent", "description": "Answers.", "config": {},
        "context": {}, "metadata": {"created_by": "system"}, "version": 1, "created_at": agent["created_at"],
        "updated_at": agent["created_at"],
    }  # fmt: skip
    found = (await api.post("/assistants/search", json={"metadata": {"created_by": "system"}})).json()
    assert {assistant["graph_id"]: assistant["description"] for assistant in found} == {
        "agent": "Answers.",
        "other": None,
    }


async def restart(settings: Settings) -> dict[str, Any]:
    """The agent's assistant after a start that finds the tables as they are."""
    from ostinato_api.app import create_app  # noqa: PLC0415 - as the next process would

    app = create_app(settings)
    async with app.router.lifespan_context(app):
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            return dict((await client.get(f"/assistants/{AGENT_ID}")).json())


async def test_a_restart_changes_nothing_and_keeps_what_people_changed(
    api: httpx.AsyncClient, database_uri: str, redis_uri: str, tmp_path: Path
) -> None:
    given = settings(database_uri, redis_uri, tmp_path)
    before = (await api.get(f"/assistants/{AGENT_ID}")).json()

    assert await restart(given) == before
    changed = await change_assistant(api, before, description="mine")
    assert await restart(given) == changed


async def test_the_environment_configures_the_system_assistants(
    api: httpx.AsyncClient, database_uri: str, redis_uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LANGGRAPH_CONFIG", '{"agent": {"tags": ["t"], "configurable": {"model": "m"}}}')

    agent = await restart(settings(database_uri, redis_uri, tmp_path))

    assert agent["config"] == {"tags": ["t"], "configurable": {"model": "m"}}
    assert agent["context"] == {"model": "m"}
    assert (await api.post(f"/assistants/{AGENT_ID}/versions", json={})).json()[0]["context"] == {"model": "m"}


async def test_a_new_assistant_has_defaults_and_a_first_version(api: httpx.AsyncClient) -> None:
    made = await make_assistant(api)

    assert made == {
        "assistant_id": made["assistant_id"], "graph_id": "agent", "name": "Untitled", "description": None,
        "config": {}, "context": {}, "metadata": {}, "version": 1, "created_at": made["created_at"],
        "updated_at": made["created_at"],
    }  # fmt: skip
    assert UUID(made["assistant_id"]).version == 7
    versions = (await api.post(f"/assistants/{made['assistant_id']}/versions", json={})).json()
    assert versions == [{key: value for key, value in made.items() if key != "updated_at"}]


@pytest.mark.parametrize(
    ("given", "config", "context"),
    [
        ({"config": {"tags": ["t"], "configurable": {"a": 1}}}, {"tags": ["t"], "configurable": {"a": 1}}, {"a": 1}),
        ({"context": {"a": 1}}, {"configurable": {"a": 1}}, {"a": 1}),
        (
            {"context": {"a": 1}, "config": {"recursion_limit": 3}},
            {"recursion_limit": 3, "configurable": {"a": 1}},
            {"a": 1},
        ),
        ({"config": {"configurable": {}}, "context": {}}, {"configurable": {}}, {}),
    ],
)
async def test_configurable_and_context_mirror_each_other(
    api: httpx.AsyncClient, given: dict[str, Any], config: dict[str, Any], context: dict[str, Any]
) -> None:
    made = await make_assistant(api, **given)
    changed = await change_assistant(api, await make_assistant(api, context={"old": 1}), **given)

    for assistant in (made, changed):
        assert (assistant["config"], assistant["context"]) == (config, context)


async def test_a_new_context_leaves_the_rest_of_the_config(api: httpx.AsyncClient) -> None:
    made = await make_assistant(api, config={"tags": ["t"], "configurable": {"a": 1}})

    changed = await change_assistant(api, made, context={"b": 2})

    assert changed["config"] == {"tags": ["t"], "configurable": {"b": 2}}
    assert changed["context"] == {"b": 2}


async def test_an_id_that_is_taken_is_409_or_the_existing_one(api: httpx.AsyncClient) -> None:
    assistant_id = str(uuid4())
    made = await make_assistant(api, assistant_id=assistant_id.upper(), name="first")

    refused = await api.post("/assistants", json={"graph_id": "agent", "assistant_id": assistant_id, "name": "second"})
    existing = await make_assistant(api, assistant_id=assistant_id, if_exists="do_nothing", name="second")

    assert made["assistant_id"] == assistant_id
    assert refused.status_code == 409
    assert existing == made


async def test_of_many_that_take_one_id_one_gets_it(api: httpx.AsyncClient) -> None:
    body = {"graph_id": "agent", "assistant_id": str(uuid4())}

    answers = await asyncio.gather(*(api.post("/assistants", json=body) for _ in range(8)))

    assert sorted(answer.status_code for answer in answers) == [200] + [409] * 7


async def test_a_change_is_a_new_version(api: httpx.AsyncClient) -> None:
    made = await make_assistant(api, metadata={"a": 1}, config={"tags": ["old"]})

    empty = await change_assistant(api, made)
    changed = await change_assistant(
        api, made, metadata={"b": 2}, config={"tags": ["new"]}, name="n", graph_id="other", description="d"
    )

    assert empty["version"] == 2
    assert changed["version"] == 3
    assert changed["metadata"] == {"a": 1, "b": 2}
    assert (changed["config"], changed["name"], changed["graph_id"]) == ({"tags": ["new"]}, "n", "other")
    assert changed["created_at"] == made["created_at"]
    assert changed["updated_at"] > empty["updated_at"] > made["updated_at"]
    assert (await change_assistant(api, made, description=None))["description"] is None


async def test_changes_at_the_same_time_are_numbered_one_by_one(api: httpx.AsyncClient) -> None:
    made = await make_assistant(api)

    changed = await asyncio.gather(*(change_assistant(api, made, metadata={f"k{n}": n}) for n in range(8)))

    assert sorted(assistant["version"] for assistant in changed) == list(range(2, 10))
    latest = (await api.get(f"/assistants/{made['assistant_id']}")).json()
    assert latest["metadata"] == {f"k{n}": n for n in range(8)}


async def test_an_old_version_can_be_made_the_latest(api: httpx.AsyncClient) -> None:
    made = await make_assistant(api, context={"v": 1}, name="one")
    await change_assistant(api, made, context={"v": 2}, name="two")
    await change_assistant(api, made, name="three")
    path = f"/assistants/{made['assistant_id']}"

    back = (await api.post(f"{path}/latest", json={"version": 1})).json()
    following = await change_assistant(api, made, description="d")
    versions = await api.post(f"{path}/versions", json={"limit": 2})

    assert (back["version"], back["name"], back["context"]) == (1, "one", {"v": 1})
    assert (following["version"], following["name"], following["context"]) == (4, "one", {"v": 1})
    assert [version["version"] for version in versions.json()] == [4, 3]
    assert versions.headers["x-pagination-total"] == "4"
    assert "updated_at" not in versions.json()[0]


async def test_versions_are_found_by_metadata(api: httpx.AsyncClient) -> None:
    made = await make_assistant(api)
    await change_assistant(api, made, metadata={"a": 1})

    found = await api.post(f"/assistants/{made['assistant_id']}/versions", json={"metadata": {"a": 1}})

    assert [version["version"] for version in found.json()] == [2]


REFUSALS = [
    ({}, 422), ({"graph_id": None}, 422), ({"graph_id": 1}, 422), ({"graph_id": "nope"}, 404),
    ({"graph_id": "agent", "assistant_id": "x"}, 422), ({"graph_id": "agent", "name": None}, 422),
    ({"graph_id": "agent", "config": {"tags": 1}}, 422), ({"graph_id": "agent", "context": []}, 422),
    ({"graph_id": "agent", "metadata": "x"}, 422), ({"graph_id": "agent", "if_exists": "replace"}, 422),
    ({"graph_id": "agent", "context": {"a": 1}, "config": {"configurable": {"b": 2}}}, 400),
]  # fmt: skip


@pytest.mark.parametrize(("body", "status"), REFUSALS)
async def test_creation_refuses(api: httpx.AsyncClient, database_uri: str, body: dict[str, Any], status: int) -> None:
    before = contents(database_uri)

    answer = await api.post("/assistants", json=body)

    assert answer.status_code == status
    assert isinstance(answer.json()["detail"], str)
    assert contents(database_uri) == before


async def test_an_unknown_graph_is_answered_with_the_known_ones(api: httpx.AsyncClient) -> None:
    answer = await api.post("/assistants", json={"graph_id": "nope"})

    assert "agent, other" in answer.json()["detail"]


@pytest.mark.parametrize(
    ("body", "status"),
    [case for case in REFUSALS if case[0] and "if_exists" not in case[0] and "assistant_id" not in case[0]],
)
async def test_change_refuses(api: httpx.AsyncClient, database_uri: str, body: dict[str, Any], status: int) -> None:
    made = await make_assistant(api)
    before = contents(database_uri)

    answer = await api.patch(f"/assistants/{made['assistant_id']}", json=body)

    assert answer.status_code == status
    assert contents(database_uri) == before


@pytest.mark.parametrize(("method", "tail", "body"), [
    ("GET", "", None), ("PATCH", "", {}), ("DELETE", "", None), ("POST", "/versions", {}),
    ("POST", "/latest", {"version": 1}),
    ("GET", "/schemas", None), ("GET", "/subgraphs", None), ("GET", "/subgraphs/a", None),
])  # fmt: skip
async def test_ids_are_known_uuids(api: httpx.AsyncClient, method: str, tail: str, body: dict[str, Any] | None) -> None:
    unknown = await api.request(method, f"/assistants/{uuid4()}{tail}", json=body)
    misfit = await api.request(method, f"/assistants/agent{tail}", json=body)

    assert unknown.status_code == 404
    assert (misfit.status_code, misfit.json()) == (422, {"detail": "Invalid assistant ID: must be a UUID"})


@pytest.mark.parametrize("version", [0, 3, "1", None, 10**20])
async def test_a_version_that_is_not_there_cannot_be_chosen(api: httpx.AsyncClient, version: object) -> None:
    made = await make_assistant(api)

    answer = await api.post(f"/assistants/{made['assistant_id']}/latest", json={"version": version})

    assert answer.status_code == (404 if version == 3 else 422)


async def test_deletion_takes_crons_along_and_leaves_threads(api: httpx.AsyncClient, database_uri: str) -> None:
    made = await make_assistant(api)
    crons = [
        await api.post("/runs/crons", json={"assistant_id": made["assistant_id"], "schedule": "0 9 * * *"})
        for _ in range(2)
    ]
    kept = await api.post("/runs/crons", json={"assistant_id": "agent", "schedule": "0 9 * * *"})
    execute(
        database_uri,
        "INSERT INTO thread (thread_id, metadata) VALUES (%s, %s)",
        uuid4(),
        Jsonb({"assistant_id": made["assistant_id"]}),
    )

    deleted = await api.delete(f"/assistants/{made['assistant_id']}")
    again = await api.delete(f"/assistants/{made['assistant_id']}")

    assert [(answer.status_code, answer.content) for answer in (deleted,)] == [(204, b"")]
    assert again.status_code == 404
    assert fetch(database_uri, "SELECT cron_id::text FROM cron") == [{"cron_id": kept.json()["cron_id"]}]
    gone = {cron.json()["cron_id"] for cron in crons}
    assert {
        str(row["cron_id"]) for row in fetch(database_uri, "SELECT cron_id FROM cron_event WHERE kind = 'deleted'")
    } == gone
    assert gone <= {str(row["cron_id"]) for row in fetch(database_uri, "SELECT cron_id FROM outbox")}
    assert len(fetch(database_uri, "SELECT FROM thread")) == 1
    assert fetch(database_uri, "SELECT FROM assistant_version WHERE assistant_id = %s", made["assistant_id"]) == []


async def test_deletion_takes_its_threads_along_when_asked(api: httpx.AsyncClient, database_uri: str) -> None:
    made = await make_assistant(api)
    own, foreign = uuid4(), uuid4()
    for thread_id, assistant_id in ((own, made["assistant_id"]), (foreign, AGENT_ID)):
        execute(
            database_uri,
            "INSERT INTO thread (thread_id, metadata) VALUES (%s, %s)",
            thread_id,
            Jsonb({"assistant_id": assistant_id}),
        )
    await api.post(f"/threads/{own}/runs/crons", json={"assistant_id": "agent", "schedule": "0 9 * * *"})

    answer = await api.delete(f"/assistants/{made['assistant_id']}", params={"delete_threads": "true"})

    assert answer.status_code == 204
    assert [row["thread_id"] for row in fetch(database_uri, "SELECT thread_id FROM thread")] == [foreign]
    assert fetch(database_uri, "SELECT FROM cron") == []


async def test_no_cron_outlives_an_assistant_that_is_deleted_meanwhile(
    api: httpx.AsyncClient, database_uri: str
) -> None:
    for _ in range(10):
        made = await make_assistant(api)
        body = {"assistant_id": made["assistant_id"], "schedule": "0 9 * * *"}

        answers = await asyncio.gather(
            *(api.post("/runs/crons", json=body) for _ in range(3)), api.delete(f"/assistants/{made['assistant_id']}")
        )

        assert {answer.status_code for answer in answers[:3]} <= {200, 404}
        assert answers[3].status_code == 204
        assert fetch(database_uri, "SELECT FROM cron") == []
