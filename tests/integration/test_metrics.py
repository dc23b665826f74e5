"""/metrics: true figures from both servers, readable by Prometheus, each name in the docs."""

import re
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest
import redis
from prometheus_client.parser import text_string_to_metric_families

from api_setting import execute, make_cron, new_thread, open_api, put, settings
from ostinato_api.metrics.catalogue import FAMILIES
from ostinato_beat.store import EntryStore, LeaseLostError
from ostinato_shared.broker import connect
from ostinato_shared.task_names import LEADER_KEY, LEADER_STAMP, QUEUE
from whole_stack import REPOSITORY

Labels = tuple[str, ...]
FIRING = """
INSERT INTO firing (firing_id, cron_id, fire_time, outcome, trigger, cron_revision, assistant_id, lag_ms, ended_at)
SELECT gen_random_uuid(), gen_random_uuid(), now() - interval '20 seconds', %s, %s, 1, gen_random_uuid(), %s,
       now() - make_interval(secs => %s)
"""
DUE = """
INSERT INTO firing (firing_id, cron_id, fire_time, outcome, trigger, cron_revision, assistant_id, due_at)
SELECT gen_random_uuid(), gen_random_uuid(), now(), 'due', 'schedule', 1, gen_random_uuid(),
       now() - make_interval(secs => %s)
"""
WORKER = """
INSERT INTO worker (worker_id, hostname, pid, slots, expires_at, loop_lag_ms, blocked_graph)
SELECT gen_random_uuid(), 'node', %s, 200, now() + make_interval(secs => %s), %s, %s
"""
OWED = "INSERT INTO webhook_delivery (run_id, url) VALUES (gen_random_uuid(), 'https://example.com')"


@pytest.fixture
def api(api: httpx.AsyncClient, database_uri: str) -> httpx.AsyncClient:
    execute(database_uri, "DELETE FROM worker")
    return api


async def scrape(api: httpx.AsyncClient) -> dict[str, dict[Labels, float]]:
    """The figures by name and labels' values, as Prometheus' own parser reads them."""
    answer = await api.get("/metrics")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    found: dict[str, dict[Labels, float]] = {}
    for family in text_string_to_metric_families(answer.text):
        assert family.documentation
        for sample in family.samples:
            wanted = FAMILIES[sample.name].labels
            assert set(sample.labels) == set(wanted)
            found.setdefault(sample.name, {})[tuple(sample.labels[label] for label in wanted)] = sample.value
    return found


async def fill(api: httpx.AsyncClient, database_uri: str, redis_uri: str) -> None:
    """Something for each metric."""
    active = await make_cron(api)
    await make_cron(api, enabled=False)
    for column, value in (("fault", "broken"), ("next_run_date", None), ("end_time", "2020-01-01")):
        cron = await make_cron(api)
        execute(database_uri, f"UPDATE cron SET {column} = %s WHERE cron_id = %s", value, cron["cron_id"])  # noqa: S608 - names from above
    late = "UPDATE cron SET next_run_date = now() - interval '40 seconds' WHERE cron_id = %s"
    execute(database_uri, late, active["cron_id"])
    for outcome, trigger, lag, age in (("success", "schedule", 20, 15), ("success", "schedule", 40, 15),
                                       ("error", "manual", 5, 15), ("success", "schedule", 60, 0)):  # fmt: skip
        execute(database_uri, FIRING, outcome, trigger, lag, age)
    execute(database_uri, DUE, 70)
    thread = await new_thread(api)
    await put(api, thread)
    await put(api, thread)
    execute(database_uri, OWED)
    execute(database_uri, WORKER, 1, 60, 2500, "slow")
    execute(database_uri, WORKER, 2, 60, 0, "slow")
    execute(database_uri, WORKER, 3, -60, 0, None)
    with redis.Redis.from_url(redis_uri) as client:
        client.set(LEADER_KEY, "token")
        client.hset(LEADER_STAMP, "at", client.time()[0] - 5)  # type: ignore[index]  # redis types it for both clients


async def test_each_figure_is_what_the_servers_hold(api: httpx.AsyncClient, database_uri: str, redis_uri: str) -> None:
    await fill(api, database_uri, redis_uri)

    found = await scrape(api)

    assert found["ostinato_firings_total"] == {("success", "schedule"): 2, ("error", "manual"): 1}
    assert found["ostinato_firings_due"] == {(): 1}
    assert 70 <= found["ostinato_firings_due_oldest_seconds"][()] < 130
    assert found["ostinato_firing_lag_seconds"] == {("0.5",): 0.04, ("0.99",): 0.06}
    assert found["ostinato_crons"] == {("active",): 1, ("paused",): 1, ("ended",): 2, ("parked",): 1}
    assert 40 <= found["ostinato_crons_overdue_seconds"][()] < 100
    assert found["ostinato_runs"] == {("pending",): 2, ("running",): 0}
    assert found["ostinato_webhooks_owed"] == {(): 1}
    assert found["ostinato_workers"] == {(): 2}
    assert found["ostinato_worker_slots"] == {(): 400}
    assert found["ostinato_worker_loop_lag_seconds"] == {("node", "1"): 2.5, ("node", "2"): 0}
    assert found["ostinato_worker_blocked"] == {("node", "1", "slow"): 1}
    assert found["ostinato_queue_messages"] == {(QUEUE,): 1, (f"{QUEUE}.late",): 0}
    assert found["ostinato_beat_leads"] == {(): 1}
    assert 5 <= found["ostinato_beat_last_tick_seconds"][()] < 65


async def test_docs_list_each_metric_with_its_labels_and_no_other(
    api: httpx.AsyncClient, database_uri: str, redis_uri: str
) -> None:
    rows = re.findall(r"^\| `(\w+)` \|([^|]*)\|", (REPOSITORY / "docs" / "metrics.md").read_text(), re.MULTILINE)
    documented = {name: tuple(re.findall(r"`(\w+)`", labels)) for name, labels in rows}
    await fill(api, database_uri, redis_uri)

    assert documented == {name: tuple(family.labels) for name, family in FAMILIES.items()}
    assert set(documented) == set(await scrape(api))


async def test_a_firing_is_counted_once_however_often_it_is_asked(api: httpx.AsyncClient, database_uri: str) -> None:
    execute(database_uri, FIRING, "success", "schedule", 1, 15)
    first, second = [(await scrape(api))["ostinato_firings_total"] for _ in range(2)]
    execute(database_uri, FIRING, "success", "schedule", 1, 10)  # as if its ten seconds had passed meanwhile
    third = (await scrape(api))["ostinato_firings_total"]

    assert first == second == {("success", "schedule"): 1}
    assert third == {("success", "schedule"): 2}


async def test_with_nothing_there_what_has_no_figure_is_missing(api: httpx.AsyncClient) -> None:
    found = await scrape(api)

    assert found["ostinato_firings_due_oldest_seconds"] == {(): 0}
    assert found["ostinato_crons_overdue_seconds"] == {(): 0}
    assert found["ostinato_beat_leads"] == {(): 0}
    for name in ("ostinato_firing_lag_seconds", "ostinato_firings_total", "ostinato_beat_last_tick_seconds"):
        assert name not in found


async def test_without_redis_its_figures_are_missing_and_the_page_comes(database_uri: str, tmp_path: Path) -> None:
    async with open_api(settings(database_uri, "redis://127.0.0.1:1/0", tmp_path)) as api:
        found = await scrape(api)

    assert (found["ostinato_redis_up"], found["ostinato_postgres_up"]) == ({(): 0}, {(): 1})
    assert not [name for name in found if name.startswith(("ostinato_queue", "ostinato_beat"))]
    assert "ostinato_crons" in found


async def test_without_postgres_its_figures_are_missing_and_the_page_comes(
    api: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(*_: Any) -> None:
        raise psycopg.OperationalError("the server closed the connection unexpectedly")

    monkeypatch.setattr("ostinato_api.metrics.page.database.gather", away)
    found = await scrape(api)

    assert (found["ostinato_redis_up"], found["ostinato_postgres_up"]) == ({(): 1}, {(): 0})
    assert "ostinato_crons" not in found
    assert "ostinato_beat_leads" in found


async def test_names_of_hosts_and_graphs_cannot_break_the_page(api: httpx.AsyncClient, database_uri: str) -> None:
    execute(database_uri, WORKER, 9, 60, 10, 'a"b\\c\nd')

    assert (await scrape(api))["ostinato_worker_blocked"] == {("node", "9", 'a"b\\c\nd'): 1}


async def test_each_look_of_the_leader_is_a_tick_and_none_of_a_standby(api: httpx.AsyncClient, redis_uri: str) -> None:
    with connect(redis_uri) as client:
        client.set(LEADER_KEY, "its token")
        store = EntryStore(client)
        with pytest.raises(LeaseLostError):
            store.claim("another token", now=0.0)
        assert client.hget(LEADER_STAMP, "at") is None
        store.claim("its token", now=0.0)

    assert 0 <= (await scrape(api))["ostinato_beat_last_tick_seconds"][()] < 60


async def test_a_full_redis_does_not_keep_the_leader_from_looking(redis_uri: str) -> None:
    with connect(redis_uri) as client:
        client.set(LEADER_KEY, "its token")
        client.config_set("maxmemory", "1")
        try:
            assert EntryStore(client).claim("its token", now=0.0).entries == []
            assert client.hget(LEADER_STAMP, "at") is None
        finally:
            client.config_set("maxmemory", "0")
