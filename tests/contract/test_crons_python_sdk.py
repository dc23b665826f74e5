"""The official Python SDK against a running api: crons and assistants, each method with each of its arguments."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from uuid import uuid4
from zoneinfo import ZoneInfo

import pytest
from langgraph_sdk import get_client, get_sync_client
from langgraph_sdk.client import LangGraphClient
from langgraph_sdk.errors import (
    BadRequestError,
    ConflictError,
    NotFoundError,
    UnprocessableEntityError,
)

from api_setting import AGENT_ID, serve_api, settings
from ostinato_cli.embedded import EmbeddedValkey


@pytest.fixture(scope="module")
def url(database_uri: str, valkey_server: EmbeddedValkey, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with serve_api(settings(database_uri, valkey_server.uri, tmp_path_factory.mktemp("project"))) as url:
        yield url


@pytest.fixture
async def client(url: str) -> Any:
    client = get_client(url=url, api_key="lsv2_of_somebody")
    yield client
    await client.aclose()


def fields(answer: Any) -> dict[str, Any]:
    """The SDK types creations as Run; what comes back is a Cron."""
    return dict(answer)


async def test_create_takes_all_its_arguments(client: LangGraphClient) -> None:
    cron = fields(
        await client.crons.create(
            "agent",
            schedule="0 9 * * MON-FRI",
            input={"messages": [{"role": "user", "content": "What time is it?"}]},
            metadata={"team": "growth"},
            config={"tags": ["t"], "recursion_limit": 10, "configurable": {"model": "m"}},
            interrupt_before=["answer"],
            interrupt_after="*",
            on_run_completed="keep",
            multitask_strategy="enqueue",
            end_time=datetime(2090, 1, 1, tzinfo=timezone(timedelta(hours=2))),
            enabled=False,
            timezone=ZoneInfo("America/New_York"),
            stream_mode=["values", "updates"],
            stream_subgraphs=True,
            stream_resumable=True,
            durability="sync",
        )
    )

    assert cron["assistant_id"] == AGENT_ID
    assert cron["timezone"] == "America/New_York"
    assert cron["end_time"] == "2089-12-31T22:00:00+00:00"
    assert (cron["enabled"], cron["on_run_completed"]) == (False, "keep")
    assert cron["payload"]["config"]["configurable"] == {"model": "m", "cron_id": cron["cron_id"]}


async def test_create_for_thread_makes_a_cron_on_the_thread(client: LangGraphClient) -> None:
    thread = await client.threads.create()

    cron = fields(
        await client.crons.create_for_thread(
            thread["thread_id"], AGENT_ID, schedule="*/5 * * * *", context={"a": 1}, timezone=UTC, durability="exit"
        )
    )

    assert cron["thread_id"] == thread["thread_id"]
    assert (cron["timezone"], cron["on_run_completed"]) == ("UTC", None)
    assert [c["cron_id"] for c in await client.crons.search(thread_id=thread["thread_id"])] == [cron["cron_id"]]


async def test_update_changes_and_clears(client: LangGraphClient) -> None:
    made = fields(
        await client.crons.create(
            "agent", schedule="0 9 * * *", end_time=datetime(2090, 1, 1, tzinfo=UTC), metadata={"a": 1}
        )
    )

    changed = await client.crons.update(
        made["cron_id"], schedule="30 8 * * *", timezone="Europe/Berlin", enabled=False, metadata={"b": 2},
        input={"messages": []}, config={"tags": ["x"]}, on_run_completed="keep", stream_mode="updates",
    )  # fmt: skip
    cleared = await client.crons.update(made["cron_id"], end_time=None)

    assert (changed["schedule"], changed["timezone"], changed["enabled"]) == ("30 8 * * *", "Europe/Berlin", False)
    assert changed["end_time"] == "2090-01-01T00:00:00+00:00"
    assert changed["metadata"] == {"a": 1, "b": 2}
    assert cleared["end_time"] is None
    assert cleared["schedule"] == "30 8 * * *"


async def test_search_count_and_delete(client: LangGraphClient) -> None:
    mark = str(uuid4())
    made = [
        fields(await client.crons.create("agent", schedule="0 9 * * *", metadata={"mark": mark, "n": n}, enabled=n > 0))
        for n in range(3)
    ]

    found = await client.crons.search(
        assistant_id="agent", metadata={"mark": mark}, sort_by="created_at", sort_order="asc", limit=2, offset=1
    )
    selected = await client.crons.search(metadata={"mark": mark}, enabled=False, select=["cron_id", "metadata"])

    assert [cron["cron_id"] for cron in found] == [cron["cron_id"] for cron in made[1:]]
    assert selected == [{"cron_id": made[0]["cron_id"], "metadata": {"mark": mark, "n": 0}}]
    assert await client.crons.count(assistant_id=AGENT_ID, metadata={"mark": mark}) == 3
    for cron in made:
        await client.crons.delete(cron["cron_id"])
    assert await client.crons.count(metadata={"mark": mark}) == 0


async def test_refusals_are_the_errors_that_the_sdk_knows(client: LangGraphClient) -> None:
    made = fields(await client.crons.create("agent", schedule="0 9 * * *"))

    with pytest.raises(UnprocessableEntityError, match="Invalid cron schedule: 'bogus'"):
        await client.crons.create("agent", schedule="bogus")
    with pytest.raises(UnprocessableEntityError, match="Invalid timezone"):
        await client.crons.create("agent", schedule="0 9 * * *", timezone="Mars/Olympus")
    with pytest.raises(NotFoundError, match="Assistant 'nobody' not found"):
        await client.crons.create("nobody", schedule="0 9 * * *")
    with pytest.raises(NotFoundError, match="not found"):
        await client.crons.create_for_thread(str(uuid4()), "agent", schedule="0 9 * * *")
    with pytest.raises(BadRequestError, match="Request body cannot be empty"):
        await client.crons.update(made["cron_id"])
    with pytest.raises(UnprocessableEntityError, match="private or reserved"):
        await client.crons.update(made["cron_id"], webhook="https://10.0.0.1")
    with pytest.raises(UnprocessableEntityError, match="must be a UUID"):
        await client.crons.delete("nobody")
    await client.crons.delete(made["cron_id"])
    with pytest.raises(NotFoundError, match="Not Found"):
        await client.crons.delete(made["cron_id"])


def test_the_synchronous_client_works_alike(url: str) -> None:
    with get_sync_client(url=url) as client:
        cron = fields(client.crons.create("agent", schedule="0 9 * * *"))

        assert client.crons.update(cron["cron_id"], enabled=False)["enabled"] is False
        client.crons.delete(cron["cron_id"])


async def test_assistants_live_from_creation_to_deletion(client: LangGraphClient) -> None:
    made = await client.assistants.create(
        "agent", config={"configurable": {"model": "m"}}, metadata={"a": 1}, name="Reporter", description="d"
    )
    assistant_id = made["assistant_id"]

    same = await client.assistants.create("agent", assistant_id=assistant_id, if_exists="do_nothing")
    with pytest.raises(ConflictError):
        await client.assistants.create("agent", assistant_id=assistant_id)
    changed = await client.assistants.update(assistant_id, context={"model": "n"}, metadata={"b": 2})
    versions = await client.assistants.get_versions(assistant_id)
    first = await client.assistants.set_latest(assistant_id, 1)
    page = await client.assistants.search(name="report", response_format="object", limit=1)

    assert same == made
    assert (changed["version"], changed["metadata"]) == (2, {"a": 1, "b": 2})
    assert [version["version"] for version in versions] == [2, 1]
    assert first["context"] == {"model": "m"}
    assert [assistant["assistant_id"] for assistant in page["assistants"]] == [assistant_id]
    assert await client.assistants.count(graph_id="agent", metadata={"a": 1}) == 1
    await client.assistants.delete(assistant_id, delete_threads=True)
    with pytest.raises(NotFoundError):
        await client.assistants.get(assistant_id)


async def test_assistants_show_their_graphs(client: LangGraphClient) -> None:
    drawn = await client.assistants.get_graph("agent", xray=True)
    schemas = await client.assistants.get_schemas(AGENT_ID)
    subgraphs = await client.assistants.get_subgraphs(AGENT_ID, recurse=True)

    assert {node["id"] for node in drawn["nodes"]} >= {"__start__", "answer"}
    assert "messages" in (schemas["state_schema"] or {})["properties"]
    assert subgraphs == {}
