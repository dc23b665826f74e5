"""Every refusal of the contract's section on crons, and that a refused request leaves all tables as they were."""

from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import httpx
import pytest
import pytest_asyncio

from api_setting import contents, execute, open_api, settings
from ostinato_cli.embedded import EmbeddedValkey

CRON: dict[str, Any] = {"assistant_id": "agent", "schedule": "0 9 * * *"}
ABSENT = object()


pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def api(
    database_uri: str, valkey_server: EmbeddedValkey, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[httpx.AsyncClient]:
    async with open_api(settings(database_uri, valkey_server.uri, tmp_path_factory.mktemp("project"))) as client:
        yield client


@pytest.fixture
def thread_id(database_uri: str) -> str:
    thread_id = str(uuid4())
    execute(database_uri, "INSERT INTO thread (thread_id) VALUES (%s)", thread_id)
    return thread_id


CREATION = [  # field, value, status, what the detail names
    ("assistant_id", ABSENT, 422, "assistant_id"),
    ("assistant_id", 1, 422, "assistant_id"),
    ("assistant_id", None, 422, "assistant_id"),
    ("assistant_id", "", 422, "assistant_id"),
    ("assistant_id", "nobody", 404, "Assistant 'nobody' not found"),
    ("assistant_id", "11111111-2222-4333-8444-555555555555", 404, "not found"),
    ("schedule", ABSENT, 422, "schedule"),
    ("schedule", None, 422, "schedule"),
    ("schedule", 5, 422, "schedule"),
    ("schedule", "", 422, "Invalid cron schedule"),
    ("schedule", "bogus", 422, "Invalid cron schedule: 'bogus'. Reason: "),
    ("schedule", "* * * *", 422, "Invalid cron schedule"),
    ("schedule", "60 * * * *", 422, "Invalid cron schedule"),
    ("schedule", "*/0 * * * *", 422, "Invalid cron schedule"),
    ("schedule", "@reboot", 422, "Invalid cron schedule"),
    ("schedule", "@every 5m", 422, "Invalid cron schedule"),
    ("schedule", "H * * * *", 422, "Invalid cron schedule"),
    ("schedule", "CRON_TZ=UTC * * * * *", 422, "Invalid cron schedule"),
    ("schedule", "0 0 31 2 *", 422, "never"),
    ("schedule", "0 0 1 1 * 0 2001", 422, "never"),
    ("schedule", "0," * 200 + "0 * * * *", 422, "Invalid cron schedule"),
    ("timezone", None, 422, "timezone"),
    ("timezone", "", 422, "Invalid timezone: ''"),
    ("timezone", "+02:00", 422, "Invalid timezone: '+02:00'. "),
    ("timezone", "Z", 422, "Invalid timezone"),
    ("timezone", "europe/berlin", 422, "Invalid timezone"),
    ("timezone", "Mars/Olympus", 422, "Invalid timezone"),
    ("timezone", "../../etc/passwd", 422, "Invalid timezone"),
    ("timezone", 2, 422, "timezone"),
    ("end_time", None, 422, "end_time"),
    ("end_time", "tomorrow", 422, "end_time"),
    ("end_time", "2030-02-30T00:00:00Z", 422, "end_time"),
    ("end_time", 1893456000, 422, "end_time"),
    ("end_time", "0001-01-01T00:00:00+14:00", 422, "end_time"),
    ("end_time", "9999-12-31T23:59:59-14:00", 422, "end_time"),
    ("input", None, 422, "input"),
    ("input", "text", 422, "input"),
    ("input", 1, 422, "input"),
    ("input", ["text"], 422, "input"),
    ("metadata", None, 422, "metadata"),
    ("metadata", "text", 422, "metadata"),
    ("metadata", ["a"], 422, "metadata"),
    ("metadata", {"a": "x" * 2**16}, 422, "metadata"),
    ("metadata", {"ostinato": {"jitter": "PT30S"}}, 422, "metadata.ostinato.jitter: not supported yet"),
    ("metadata", {"ostinato": {"overlap": "buffer_one"}}, 422, 'metadata.ostinato.overlap: must be "allow" or "skip"'),
    ("metadata", {"ostinato": {"timeout": "5m"}}, 422, "metadata.ostinato.timeout: must be an ISO 8601 duration"),
    ("metadata", {"ostinato": {"max_runs": 0}}, 422, "metadata.ostinato.max_runs: must be a whole number from 1"),
    ("metadata", {"ostinato": {}, "labels": ["a"]}, 422, "metadata.labels"),
    ("metadata", {"ostinato": {"typo": 1}}, 422, "metadata.ostinato.typo"),
    ("metadata", {"ostinato": "skip"}, 422, "metadata.ostinato"),
    ("config", None, 422, "config"),
    ("config", [], 422, "config"),
    ("config", {"tags": "a"}, 422, "config.tags"),
    ("config", {"tags": [1]}, 422, "config.tags"),
    ("config", {"recursion_limit": "25"}, 422, "config.recursion_limit"),
    ("config", {"recursion_limit": 2.5}, 422, "config.recursion_limit"),
    ("config", {"recursion_limit": True}, 422, "config.recursion_limit"),
    ("config", {"recursion_limit": 0}, 422, "config.recursion_limit"),
    ("config", {"recursion_limit": 10**30}, 422, "config.recursion_limit"),
    ("config", {"configurable": []}, 422, "config.configurable"),
    ("config", {"configurable": None}, 422, "config.configurable"),
    ("context", None, 422, "context"),
    ("context", "text", 422, "context"),
    ("webhook", None, 422, "webhook"),
    ("webhook", "", 422, "webhook"),
    ("webhook", 7, 422, "webhook"),
    ("webhook", "/relative", 422, "webhook"),
    ("webhook", "ftp://example.com", 422, "webhook"),
    ("webhook", "http://[", 422, "webhook"),
    ("webhook", "http://example.com/" + "x" * 65536, 422, "webhook"),
    ("webhook", "https://nowhere.invalid/hook", 422, "webhook: the host 'nowhere.invalid' does not resolve"),
    ("webhook", "https://10.0.0.1/hook", 422, "webhook: the host '10.0.0.1' has an address that is private"),
    ("interrupt_before", None, 422, "interrupt_before"),
    ("interrupt_before", "node", 422, "interrupt_before"),
    ("interrupt_before", [1], 422, "interrupt_before"),
    ("interrupt_after", {}, 422, "interrupt_after"),
    ("on_run_completed", None, 422, "on_run_completed"),
    ("on_run_completed", "archive", 422, "on_run_completed"),
    ("multitask_strategy", None, 422, "multitask_strategy"),
    ("multitask_strategy", "queue", 422, "multitask_strategy"),
    ("enabled", None, 422, "enabled"),
    ("enabled", "true", 422, "enabled"),
    ("enabled", 1, 422, "enabled"),
    ("stream_mode", None, 422, "stream_mode"),
    ("stream_mode", "everything", 422, "stream_mode"),
    ("stream_mode", ["values", "everything"], 422, "stream_mode"),
    ("stream_mode", 1, 422, "stream_mode"),
    ("stream_subgraphs", "no", 422, "stream_subgraphs"),
    ("stream_resumable", 0, 422, "stream_resumable"),
    ("durability", "never", 422, "durability"),
    ("durability", None, 422, "durability"),
    ("checkpoint_during", "yes", 422, "checkpoint_during"),
]  # fmt: skip


@pytest.mark.parametrize(("field", "value", "status", "named"), CREATION)
async def test_creation_refuses(  # noqa: PLR0917 - pytest passes them by name
    api: httpx.AsyncClient, thread_id: str, database_uri: str, field: str, value: object, status: int, named: str
) -> None:
    body = {**CRON, field: value}
    if value is ABSENT:
        del body[field]
    before = contents(database_uri)

    for path in ("/runs/crons", f"/threads/{thread_id}/runs/crons"):
        answer = await api.post(path, json=body)

        assert answer.status_code == status
        assert named in answer.json()["detail"]
    assert contents(database_uri) == before


async def test_creation_refuses_context_beside_configurable(api: httpx.AsyncClient) -> None:
    both = {**CRON, "context": {"a": 1}, "config": {"configurable": {"b": 2}}}

    answer = await api.post("/runs/crons", json=both)

    assert answer.status_code == 400
    assert "context" in answer.json()["detail"]


async def test_creation_refuses_a_thread_that_is_not_there(api: httpx.AsyncClient, database_uri: str) -> None:
    hidden = uuid4()
    execute(database_uri, "INSERT INTO thread (thread_id, deleted_at) VALUES (%s, now())", hidden)

    for thread_id in (uuid4(), hidden):
        answer = await api.post(f"/threads/{thread_id}/runs/crons", json=CRON)

        assert answer.status_code == 404
        assert f"Thread with ID '{thread_id}' not found" in answer.json()["detail"]


@pytest.mark.parametrize(
    "bad", ["x", "1", "fe096781-5601-53d2-b2f6-0d3403f7e9c", "fe096781560153d2b2f60d3403f7e9ca", "%00"]
)
async def test_ids_that_are_no_uuids_are_refused(api: httpx.AsyncClient, bad: str) -> None:
    cron = [await api.get(f"/runs/crons/{bad}"), await api.patch(f"/runs/crons/{bad}", json={"enabled": True}),
            await api.delete(f"/runs/crons/{bad}")]  # fmt: skip
    thread = await api.post(f"/threads/{bad}/runs/crons", json=CRON)

    assert [answer.status_code for answer in [*cron, thread]] == [422] * 4
    assert {answer.json()["detail"] for answer in cron} == {"Invalid cron ID: must be a UUID"}
    assert thread.json() == {"detail": "Invalid thread ID: must be a UUID"}


async def test_unknown_crons_are_404(api: httpx.AsyncClient) -> None:
    unknown = uuid4()

    read = await api.get(f"/runs/crons/{unknown}")
    changed = await api.patch(f"/runs/crons/{unknown}", json={"enabled": False})
    deleted = await api.delete(f"/runs/crons/{unknown}")

    assert [answer.status_code for answer in (read, changed, deleted)] == [404] * 3
    assert changed.json() == {"detail": f"Cron '{unknown}' not found"}
    assert deleted.json() == {"detail": "Not Found"}


IGNORED_BY_PATCH = {"assistant_id", "multitask_strategy"}
PATCHES = [
    (field, value, 400 if value is ABSENT else status, named)
    for field, value, status, named in CREATION
    if field not in IGNORED_BY_PATCH and value is not ABSENT and (field, value) != ("end_time", None)
]


@pytest.mark.parametrize(("field", "value", "status", "named"), PATCHES)
async def test_change_refuses_and_leaves_the_cron_as_it_was(  # noqa: PLR0917 - pytest passes them by name
    api: httpx.AsyncClient, database_uri: str, field: str, value: object, status: int, named: str
) -> None:
    made = (await api.post("/runs/crons", json={**CRON, "metadata": {"k": "v"}})).json()
    before = contents(database_uri)

    answer = await api.patch(f"/runs/crons/{made['cron_id']}", json={"on_run_completed": "keep"} | {field: value})

    assert answer.status_code == status
    assert named in answer.json()["detail"]
    assert contents(database_uri) == before


async def test_change_refuses_an_empty_body(api: httpx.AsyncClient) -> None:
    made = (await api.post("/runs/crons", json=CRON)).json()

    answer = await api.patch(f"/runs/crons/{made['cron_id']}", json={})

    assert (answer.status_code, answer.json()) == (400, {"detail": "Request body cannot be empty"})


@pytest.mark.parametrize("change", [{"context": {"a": 1}, "config": {"configurable": {"b": 2}}}, {"context": {"a": 1}}])
async def test_change_refuses_context_beside_configurable(
    api: httpx.AsyncClient, database_uri: str, change: dict[str, Any]
) -> None:
    made = (await api.post("/runs/crons", json={**CRON, "config": {"configurable": {"b": 2}}})).json()
    before = contents(database_uri)

    answer = await api.patch(f"/runs/crons/{made['cron_id']}", json=change)

    assert answer.status_code == 400
    assert contents(database_uri) == before


async def test_change_refuses_metadata_that_grows_too_large(api: httpx.AsyncClient, database_uri: str) -> None:
    made = (await api.post("/runs/crons", json={**CRON, "metadata": {"a": "x" * 40_000}})).json()
    before = contents(database_uri)

    answer = await api.patch(f"/runs/crons/{made['cron_id']}", json={"metadata": {"b": "x" * 40_000}})

    assert answer.status_code == 422
    assert contents(database_uri) == before


SEARCH = [
    ("limit", 0), ("limit", 1001), ("limit", "10"), ("limit", 1.5), ("limit", None), ("limit", True),
    ("offset", -1), ("offset", "0"), ("offset", 10**20), ("sort_by", "schedule"), ("sort_by", 1), ("sort_order", "up"),
    ("select", ["now"]), ("select", ["nope"]), ("select", "cron_id"), ("select", [1]), ("thread_id", "nope"),
    ("thread_id", 1), ("assistant_id", 1), ("enabled", "true"), ("metadata", "x"), ("metadata", []),
]  # fmt: skip


@pytest.mark.parametrize(("field", "value"), SEARCH)
async def test_search_refuses(api: httpx.AsyncClient, field: str, value: object) -> None:
    answer = await api.post("/runs/crons/search", json={field: value})

    assert answer.status_code == 422
    assert isinstance(answer.json()["detail"], str)


@pytest.mark.parametrize(
    ("field", "value"), [("thread_id", "nope"), ("assistant_id", 1), ("metadata", "x"), ("enabled", 1)]
)
async def test_count_refuses(api: httpx.AsyncClient, field: str, value: object) -> None:
    answer = await api.post("/runs/crons/count", json={field: value})

    assert answer.status_code == 422
