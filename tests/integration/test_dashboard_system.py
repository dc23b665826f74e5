"""The system page: what it tells while all is well, and while a server is away."""

import re
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
import redis
from sqlalchemy.ext.asyncio import create_async_engine

from api_process import free_port
from api_setting import BROWSER, HTMX, execute, make_cron, open_api, services_of, settings
from ostinato_shared.task_names import ENTRIES_KEY, LATE_QUEUE, LEADER_KEY, LEADER_STAMP, QUEUE

WORKER = (
    "INSERT INTO worker (worker_id, hostname, pid, slots, expires_at, loop_lag_ms, blocked_graph, blocked_since)"
    " VALUES (gen_random_uuid(), %s, 42, 8, now() + %s * interval '1 s', %s, %s, now())"
)


@pytest.fixture
async def api(database_uri: str, redis_uri: str, tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    more = {"flower_url": "http://flower.example:5555"}
    async with open_api(settings(database_uri, redis_uri, tmp_path, **more)) as client:
        execute(database_uri, "DELETE FROM worker")
        yield client
        execute(database_uri, "DELETE FROM worker")


@pytest.fixture
def broker(redis_uri: str) -> redis.Redis:
    return redis.Redis.from_url(redis_uri, decode_responses=True)


async def page(api: httpx.AsyncClient) -> str:
    answer = await api.get("/ui/system", headers=BROWSER)
    assert answer.status_code == 200, answer.text
    return answer.text


async def test_a_server_at_work_is_told_in_figures(
    api: httpx.AsyncClient, database_uri: str, broker: redis.Redis
) -> None:
    cron = await make_cron(api)
    broker.zadd(ENTRIES_KEY, {f"redbeat:{cron['cron_id']}": 2e9})
    broker.set(LEADER_KEY, "token")
    (seconds, _) = broker.time()
    broker.hset(LEADER_STAMP, mapping={"who": "beat-1:7", "since": seconds - 60, "at": seconds - 3})
    broker.lpush(QUEUE, "a", "b")
    broker.lpush(LATE_QUEUE, "c")
    execute(database_uri, WORKER, "sturdy", 30, 0, None)
    execute(
        database_uri,
        "INSERT INTO firing (firing_id, cron_id, fire_time, outcome, trigger, cron_revision, assistant_id, lag_ms)"
        " VALUES (gen_random_uuid(), %s, now() - interval '5 min', 'success', 'schedule', 1, %s, 38)",
        cron["cron_id"], cron["assistant_id"],
    )  # fmt: skip

    shown = await page(api)

    for told in ("beat-1:7", "38 ms", "+ 1 late", "sturdy", "0 of 8 slots busy", "1 = 1", 'class="lag"'):
        assert told in shown, told
    marks = re.findall(r'class="mark (\w+)-text"[^>]*>.</span><div><b>([^<]+)</b>', shown)
    tones = {name: tone for tone, name in marks}
    assert {name: tone for name, tone in tones.items() if name != "Redis"} == dict.fromkeys(
        ("Database", "Clocks", "Beat", "Workers", "Firings", "In step"), "ok"
    )  # the tests' Redis keeps nothing on disk
    assert 'href="http://flower.example:5555"' in shown
    assert "beat-1:7" in (await api.get("/ui/leader", headers=HTMX)).text


async def test_what_is_not_well_is_told_with_advice(
    api: httpx.AsyncClient, database_uri: str, broker: redis.Redis
) -> None:
    await make_cron(api)
    broker.flushdb()
    execute(database_uri, "UPDATE cron SET next_run_date = now() - interval '1 min'")
    execute(database_uri, WORKER, "stuck", 30, 4000, "<b>heavy</b>")
    execute(database_uri, WORKER, "vanished", -60, 0, None)

    shown = await page(api)

    for told in (
        "none leads",
        "1 cron has come and is not in the ledger",
        "! blocked",
        "&lt;b&gt;heavy&lt;/b&gt;",
        "✕ lost",
        "1 ≠ 0",
    ):
        assert told in shown, told
    assert "✕ 2 of 7 checks failed" in shown


async def test_a_redis_that_is_away_hides_nothing_else(api: httpx.AsyncClient, database_uri: str) -> None:
    execute(database_uri, WORKER, "sturdy", 30, 0, None)
    pool = services_of(api).redis.connection_pool
    await pool.disconnect()
    pool.connection_kwargs["port"] = free_port()

    shown = await page(api)
    header = (await api.get("/ui/leader", headers=HTMX)).text
    runs = await api.get("/ui/runs", headers=BROWSER)

    assert "Redis</b>" in shown
    assert "does not answer" in shown
    assert "sturdy" in shown
    assert "Redis does not answer" in header
    assert runs.status_code == 200


async def test_of_a_postgres_that_is_away_no_page_says_that_nothing_ran(api: httpx.AsyncClient) -> None:
    nowhere = create_async_engine(f"postgresql+psycopg://nobody@127.0.0.1:{free_port()}/nothing")
    services_of(api).sessions.configure(bind=nowhere)

    shown = await page(api)

    assert "in the last hour" not in shown
    assert shown.count("Postgres does not answer") == 4  # lag, its drawing, workers twice


async def test_the_next_hour_is_drawn_minute_by_minute(api: httpx.AsyncClient) -> None:
    for _ in range(2):
        await make_cron(api, schedule="* * * * *")

    shown = (await api.get("/ui/system/load", headers=HTMX)).text

    many = shown.count('class="f-next"')
    assert many in {59, 60}  # the minute under way has had its time already, but for its first instant
    assert f"{2 * many} fire times" in shown
    assert "Most in a minute: 2" in shown
