"""`ostinato doctor`: a healthy installation, and each fault by itself."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import redis

from beat_setting import Ground, held_ground
from ostinato_beat.entries import LOCK_KEY, SCHEDULE_KEY, key_of
from ostinato_cli.doctor import drift, examine, processes, servers
from ostinato_shared.checks import Finding, Level

CHECKS = ["settings", "database", "redis", "clocks", "beat", "workers", "firings", "schedule", "project"]
GRAPH = """
from langgraph.graph import START, MessagesState, StateGraph

print("imported")
graph = StateGraph(MessagesState).add_node("a", lambda state: {}).add_edge(START, "a").compile()
"""


@pytest.fixture
def ground(database_uri: str, redis_uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Ground]:
    """An installation in which all is well: the environment names it."""
    (tmp_path / "graphs.py").write_text(GRAPH)
    config = tmp_path / "langgraph.json"
    config.write_text(json.dumps({"graphs": {"mine": "./graphs.py:graph"}}))
    environment = {"DATABASE_URI": database_uri, "REDIS_URI": redis_uri, "OSTINATO_CONFIG": str(config)}
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(drift, "SETTLE_SECONDS", 0.0)
    monkeypatch.setattr(processes, "TAKEOVER_SECONDS", 0.0)
    with held_ground(database_uri, redis_uri) as ground, set_in_redis(ground.redis, "appendonly", "yes"):
        add_worker(ground)
        yield ground


@contextmanager
def set_in_redis(client: Any, name: str, value: str) -> Iterator[None]:
    """A setting of the server's, put back at the end."""
    before = client.config_get(name)[name]
    client.config_set(name, value)
    try:
        yield
    finally:
        client.config_set(name, before)


def add_worker(ground: Ground, *, expires_in: float = 30) -> None:
    ground.connection.execute(
        "INSERT INTO worker (worker_id, hostname, pid, slots, expires_at)"
        " VALUES (%s, 'host', 1, 200, clock_timestamp() + make_interval(secs => %s))",
        (uuid4(), expires_in),
    )


def add_due_firing(ground: Ground, *, seconds_ago: float) -> None:
    ground.connection.execute(
        "INSERT INTO firing (firing_id, cron_id, fire_time, outcome, trigger, cron_revision, assistant_id, due_at)"
        " VALUES (%s, %s, clock_timestamp(), 'due', 'schedule', 1, %s,"
        " clock_timestamp() - make_interval(secs => %s))",
        (uuid4(), uuid4(), uuid4(), seconds_ago),
    )


def found(check: str) -> Finding:
    """What the check found; every other one must be content."""
    findings = {finding.check: finding for finding in examine()}
    assert {name for name, finding in findings.items() if finding.level is not Level.OK} <= {check}
    return findings[check]


def tomorrow() -> int:
    return int(time.time()) + 86_400


def doctor(*words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-P", "-m", "ostinato_cli", "doctor", *words]
    return subprocess.run(command, env=os.environ, capture_output=True, text=True, check=False)


def test_nothing_is_wrong_with_a_healthy_installation(ground: Ground) -> None:
    ground.make_cron(at=tomorrow())
    ground.make_cron(at=tomorrow(), enabled=False)
    ground.drain()

    assert [(finding.check, finding.level) for finding in examine()] == [(name, Level.OK) for name in CHECKS]


@pytest.mark.usefixtures("ground")
def test_command_prints_a_line_for_each_check() -> None:
    done = doctor()

    assert done.returncode == 0, done.stdout + done.stderr
    assert [line.split(":")[0].split() for line in done.stdout.splitlines()] == [["ok", name] for name in CHECKS]


def test_command_prints_json_and_nothing_else(ground: Ground) -> None:
    ground.redis.delete(LOCK_KEY)

    done = doctor("-o", "json")
    answer = json.loads(done.stdout)

    assert done.returncode == 1
    assert answer["ok"] is False
    assert [check["check"] for check in answer["checks"]] == CHECKS
    assert answer["checks"][4] == {
        "check": "beat", "level": "fail", "text": "none leads, so nothing fires",
        "advice": "Start `ostinato beat`, better two.",
    }  # fmt: skip


def test_warnings_alone_leave_the_exit_code_at_zero(ground: Ground) -> None:
    with set_in_redis(ground.redis, "appendonly", "no"):
        done = doctor()

    assert done.returncode == 0, done.stdout
    assert "WARN  redis: " in done.stdout


def test_missing_settings_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REDIS_URI", "redis://127.0.0.1:1/0")
    monkeypatch.setenv("OSTINATO_PORT", "none")
    monkeypatch.delenv("DATABASE_URI", raising=False)

    (finding,) = examine()

    assert (finding.check, finding.level) == ("settings", Level.FAIL)
    assert "DATABASE_URI is not set" in finding.text
    assert "OSTINATO_PORT: " in finding.text


@pytest.mark.usefixtures("ground")
def test_servers_that_do_not_answer_fail_without_what_builds_on_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("DATABASE_URI", "postgresql://postgres:secret@127.0.0.1:1/none")
    monkeypatch.setenv("REDIS_URI", "redis://:secret@127.0.0.1:1/0")

    findings = list(examine())

    assert [(finding.check, finding.level) for finding in findings] == [
        ("settings", Level.OK), ("database", Level.FAIL), ("redis", Level.FAIL), ("project", Level.OK),
    ]  # fmt: skip
    assert "DATABASE_URI" in findings[1].advice
    assert "REDIS_URI" in findings[2].advice
    assert "secret" not in str(findings)


@pytest.mark.usefixtures("ground")
def test_old_postgres_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(servers, "OLDEST_POSTGRES", 99)

    finding = next(finding for finding in examine() if finding.check == "database")

    assert finding.level is Level.FAIL
    assert "needs 99 or later" in finding.advice


def test_older_schema_asks_for_the_migration(ground: Ground) -> None:
    (version,) = ground.connection.execute("SELECT version_num FROM alembic_version").fetchall()
    ground.connection.execute("UPDATE alembic_version SET version_num = '0000'")
    try:
        findings = {finding.check: finding for finding in examine()}
    finally:
        ground.connection.execute("UPDATE alembic_version SET version_num = %s", (version["version_num"],))

    assert findings["database"].level is Level.FAIL
    assert "ostinato db upgrade" in findings["database"].advice
    assert findings.keys() == {"settings", "database", "redis", "beat", "project"}


def test_redis_that_may_evict_fails(ground: Ground) -> None:
    with set_in_redis(ground.redis, "maxmemory-policy", "allkeys-lru"):
        finding = found("redis")

    assert finding.level is Level.FAIL
    assert "allkeys-lru" in finding.text
    assert "noeviction" in finding.advice


def test_redis_that_forgets_at_a_restart_is_a_warning(ground: Ground) -> None:
    with set_in_redis(ground.redis, "appendonly", "no"):
        finding = found("redis")
        with set_in_redis(ground.redis, "save", "3600 1"):
            snapshots = found("redis")

    assert finding.level is Level.WARN
    assert "appendonly" in finding.advice
    assert (snapshots.level, "snapshots" in snapshots.text) == (Level.OK, True)


def test_redis_in_another_database_fails(ground: Ground, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REDIS_URI", ground.redis_uri.removesuffix("/0") + "/3")

    finding = found("redis")

    assert finding.level is Level.FAIL
    assert "ends with /0" in finding.advice


@pytest.mark.parametrize(
    ("name", "value", "part"),
    [
        ("redis_mode", "cluster", "Cluster"),
        ("server_mode", "cluster", "Cluster"),
        ("aof_last_write_status", "err", "disk"),
    ],
)
@pytest.mark.usefixtures("ground")
def test_redis_that_cannot_carry_the_schedule_fails(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, part: str
) -> None:
    honest = redis.Redis.info
    monkeypatch.setattr(redis.Redis, "info", lambda client: {**honest(client), name: value})

    finding = found("redis")

    assert finding.level is Level.FAIL
    assert part in finding.text


@pytest.mark.parametrize(("server", "asked"), [("Postgres", "_postgres_time"), ("Redis", "_redis_time")])
@pytest.mark.usefixtures("ground")
def test_clocks_that_differ_are_a_warning(monkeypatch: pytest.MonkeyPatch, server: str, asked: str) -> None:
    monkeypatch.setattr(servers, asked, lambda _server: time.time() - 30)

    finding = found("clocks")

    assert finding.level is Level.WARN
    assert finding.text == f"{server} is 30.0 s behind of this host"
    assert "NTP" in finding.advice


def test_no_leading_beat_fails(ground: Ground) -> None:
    ground.redis.delete(LOCK_KEY)

    assert found("beat").level is Level.FAIL


def test_workers_whose_leases_expired_are_none(ground: Ground) -> None:
    ground.connection.execute("DELETE FROM worker")
    add_worker(ground, expires_in=-1)

    finding = found("workers")

    assert finding.level is Level.FAIL
    assert "ostinato worker" in finding.advice


def test_worker_whose_loop_stands_still_is_a_warning_that_names_the_graph(ground: Ground) -> None:
    ground.connection.execute(
        "UPDATE worker SET loop_lag_ms = 12000, blocked_graph = 'busy', blocked_since = clock_timestamp()"
    )

    finding = found("workers")

    assert finding.level is Level.WARN
    assert finding.text == "graph busy has blocked host:1 for 12 s: all its runs wait"
    assert "to a thread" in finding.advice


def test_cron_that_does_not_fire_fails(ground: Ground) -> None:
    ground.make_cron(at=int(time.time()) - 60)
    ground.drain()

    finding = found("firings")

    assert finding.level is Level.FAIL
    assert "1 cron " in finding.text


def test_crons_that_need_not_fire_are_not_late(ground: Ground) -> None:
    past = int(time.time()) - 60
    ground.make_cron(at=past, end=past - 1)
    ground.make_cron(at=past, enabled=False)

    assert found("firings").level is Level.OK


@pytest.mark.parametrize(("seconds", "level"), [(5, Level.OK), (60, Level.WARN), (600, Level.FAIL)])
def test_firings_that_wait_for_a_worker_weigh_by_their_age(ground: Ground, seconds: int, level: Level) -> None:
    add_due_firing(ground, seconds_ago=seconds)

    assert found("firings").level is level


def test_parked_cron_is_a_warning(ground: Ground) -> None:
    cron_id = ground.make_cron(at=tomorrow())
    ground.drain()
    ground.connection.execute("UPDATE cron SET fault = 'cannot be read' WHERE cron_id = %s", (cron_id,))

    finding = found("firings")

    assert finding.level is Level.WARN
    assert "cannot be evaluated" in finding.text


def test_entries_that_differ_from_their_crons_are_counted(ground: Ground) -> None:
    lost, old, _fine = (ground.make_cron(at=tomorrow()) for _ in range(3))
    ground.drain()
    ground.redis.zrem(SCHEDULE_KEY, key_of(lost))
    ground.edit(old, at=tomorrow(), schedule="0 0 * * *")

    finding = found("schedule")

    assert finding.level is Level.FAIL
    assert finding.text == "of 3 entries in Redis 1 missing, 1 out of date"


def test_entry_of_a_deleted_cron_is_a_warning(ground: Ground) -> None:
    cron_id = ground.make_cron(at=tomorrow())
    ground.drain()
    ground.delete(cron_id)

    finding = found("schedule")

    assert finding.level is Level.WARN
    assert "1 left over" in finding.text


def test_change_under_way_is_no_difference(ground: Ground, monkeypatch: pytest.MonkeyPatch) -> None:
    ground.make_cron(at=tomorrow())
    monkeypatch.setattr(time, "sleep", lambda _seconds: ground.drain())

    assert found("schedule").level is Level.OK


@pytest.mark.usefixtures("ground")
def test_project_that_cannot_be_loaded_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OSTINATO_CONFIG", "/none/langgraph.json")

    finding = found("project")

    assert finding.level is Level.FAIL
    assert "--config" in finding.text


def test_server_that_goes_away_meanwhile_is_a_fault_and_no_traceback(
    ground: Ground, monkeypatch: pytest.MonkeyPatch
) -> None:
    honest = servers.examine_redis

    def cut_after(client: redis.Redis) -> Finding:
        ground.connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        return honest(client)

    monkeypatch.setattr(servers, "examine_redis", cut_after)

    levels = {finding.check: finding.level for finding in examine()}

    assert (levels["workers"], levels["beat"], levels["project"]) == (Level.FAIL, Level.OK, Level.OK)
