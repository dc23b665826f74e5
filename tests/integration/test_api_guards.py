"""Policies through the api: written, replaced, removed; and the ways back from a pause."""

from typing import Any

import httpx

from api_setting import change_cron, execute, fetch, make_cron

GUARDED = {"ostinato": {"timeout": "PT5M", "overlap": "skip", "max_runs": 3, "pause_after_failures": 2}}
FACTS = "SELECT enabled, paused_by, note, consecutive_failures, run_count, policy FROM cron"


def facts(database_uri: str) -> dict[str, Any]:
    [row] = fetch(database_uri, FACTS)
    return row


def stop(database_uri: str, by: str) -> None:
    execute(
        database_uri,
        "UPDATE cron SET enabled = false, paused_by = %s, note = 'why', consecutive_failures = 2, run_count = 3",
        by,
    )


async def test_the_checked_policy_is_stored_and_shown_as_given(api: httpx.AsyncClient, database_uri: str) -> None:
    cron = await make_cron(api, metadata={**GUARDED, "labels": {"team": "growth"}})

    assert cron["metadata"] == {**GUARDED, "labels": {"team": "growth"}}
    assert facts(database_uri)["policy"] == {
        "timeout_seconds": 300, "overlap": "skip", "max_runs": 3, "pause_after_failures": 2
    }  # fmt: skip


async def test_patch_replaces_the_policy_whole_and_null_removes_it(api: httpx.AsyncClient, database_uri: str) -> None:
    cron = await make_cron(api, metadata={**GUARDED, "team": "growth"})

    changed = await change_cron(api, cron, metadata={"ostinato": {"overlap": "skip"}})
    assert changed["metadata"] == {"ostinato": {"overlap": "skip"}, "team": "growth"}
    assert facts(database_uri)["policy"] == {"overlap": "skip"}

    assert (await change_cron(api, cron, metadata={"team": "sales"}))["metadata"]["ostinato"] == {"overlap": "skip"}
    assert (await change_cron(api, cron, metadata={"ostinato": None}))["metadata"] == {"team": "sales"}
    assert facts(database_uri)["policy"] is None


async def test_a_refused_policy_leaves_the_cron_as_it_was(api: httpx.AsyncClient, database_uri: str) -> None:
    cron = await make_cron(api, metadata=GUARDED)
    before = facts(database_uri)

    answer = await api.patch(f"/runs/crons/{cron['cron_id']}", json={"metadata": {"ostinato": {"timeout": "5m"}}})

    assert answer.status_code == 422
    assert answer.json()["detail"].startswith("metadata.ostinato.timeout: must be an ISO 8601 duration")
    assert facts(database_uri) == before


async def test_labels_are_checked_where_a_policy_is(api: httpx.AsyncClient) -> None:
    cron = await make_cron(api, metadata={"labels": ["somebody's own"]})
    path = f"/runs/crons/{cron['cron_id']}"

    answer = await api.patch(path, json={"metadata": {"ostinato": {"overlap": "skip"}}})

    assert (answer.status_code, answer.json()["detail"].partition(":")[0]) == (422, "metadata.labels")


async def test_who_switches_a_cron_off_is_told_and_switching_on_begins_afresh(
    api: httpx.AsyncClient, database_uri: str
) -> None:
    cron = await make_cron(api)
    await change_cron(api, cron, enabled=False)
    assert facts(database_uri)["paused_by"] == "user"

    stop(database_uri, "pause_after_failures")
    await change_cron(api, cron, enabled=True)

    now = facts(database_uri)
    assert (now["enabled"], now["paused_by"], now["note"], now["consecutive_failures"]) == (True, None, None, 0)


async def test_a_cron_that_had_its_runs_is_resumed_only_with_more(api: httpx.AsyncClient, database_uri: str) -> None:
    cron = await make_cron(api, metadata=GUARDED)
    stop(database_uri, "max_runs")
    path = f"/runs/crons/{cron['cron_id']}"

    refused = await api.patch(path, json={"enabled": True})
    assert refused.status_code == 409
    assert "has had its 3 runs: raise or remove metadata.ostinato.max_runs first" in refused.json()["detail"]
    assert not facts(database_uri)["enabled"]

    await change_cron(api, cron, enabled=True, metadata={"ostinato": {"max_runs": 4}})
    now = facts(database_uri)
    assert (now["enabled"], now["run_count"], now["paused_by"]) == (True, 3, None)


async def test_without_max_runs_the_count_is_forgotten(api: httpx.AsyncClient, database_uri: str) -> None:
    cron = await make_cron(api, metadata=GUARDED)
    stop(database_uri, "max_runs")

    await change_cron(api, cron, enabled=True, metadata={"ostinato": None})

    assert (facts(database_uri)["enabled"], facts(database_uri)["run_count"]) == (True, 0)
