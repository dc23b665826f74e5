"""Ostinato's own endpoints: previews, what is coming, the ledger, the history, and what their parameters refuse."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest

from api_setting import change_cron, execute, fetch, make_cron

if TYPE_CHECKING:
    import httpx

INSERT = """
INSERT INTO firing (firing_id, cron_id, fire_time, outcome, trigger, cron_revision, assistant_id, name, output, error)
SELECT gen_random_uuid(), %s, timestamptz '2026-01-01T00:00:00Z' + n * interval '1 hour',
       CASE WHEN n %% 5 = 0 THEN 'error' ELSE 'success' END, CASE WHEN n %% 7 = 0 THEN 'catchup' ELSE 'schedule' END,
       1, gen_random_uuid(), 'news', 'out ' || n, CASE WHEN n %% 5 = 0 THEN '{"error": "E", "message": "m"}'::jsonb END
FROM generate_series(0, 24) AS n"""


async def get(api: httpx.AsyncClient, path: str, **query: Any) -> Any:
    answer = await api.get(path, params=query)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def act(api: httpx.AsyncClient, cron: dict[str, Any], what: str, **body: Any) -> Any:
    answer = await api.post(f"/runs/crons/{cron['cron_id']}/{what}", json=body)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def test_preview_gives_words_times_and_traps(api: httpx.AsyncClient) -> None:
    body = {"schedule": "30 2 * * *", "timezone": "Europe/Berlin", "from": "2027-03-27T12:00:00Z", "count": 2}

    answer = await api.post("/crons/preview", json=body)

    assert answer.status_code == 200
    shown = answer.json()
    assert shown["description"] == "At 02:30, every day, in Europe/Berlin"
    assert [coming["at"] for coming in shown["next"]] == ["2027-03-28T01:00:00+00:00", "2027-03-29T00:30:00+00:00"]
    assert "does not exist" in shown["next"][0]["note"]
    assert shown["next"][1]["note"] is None
    assert {trap["code"] for trap in shown["lint"]} == {"clock_change"}


async def test_preview_starts_now_and_stores_nothing(api: httpx.AsyncClient, database_uri: str) -> None:
    answer = await api.post("/crons/preview", json={"schedule": "* * * * *", "timezone": None})

    times = [datetime.fromisoformat(coming["at"]) for coming in answer.json()["next"]]
    assert len(times) == 5
    assert timedelta(0) < times[0] - datetime.now(UTC) < timedelta(minutes=2)
    assert fetch(database_uri, "SELECT FROM cron") == []


@pytest.mark.parametrize(
    ("body", "named"),
    [
        ({}, "schedule: this field is required"),
        ({"schedule": "61 * * * *"}, "Invalid cron schedule: '61 * * * *'"),
        ({"schedule": "0 0 30 2 *"}, "It never fires"),
        ({"schedule": 5}, "schedule: "),
        ({"schedule": "0 9 * * *", "timezone": "Mars"}, "Invalid timezone: 'Mars'"),
        ({"schedule": "0 9 * * *", "count": 0}, "count: "),
        ({"schedule": "0 9 * * *", "count": 101}, "count: "),
        ({"schedule": "0 9 * * *", "count": True}, "count: "),
        ({"schedule": "0 9 * * *", "from": "soon"}, "from: must be an ISO 8601 date and time"),
        ({"schedule": "0 9 * * *", "from": 5}, "from: must be an ISO 8601 date and time"),
    ],
)
async def test_preview_refuses_with_the_fields_name(api: httpx.AsyncClient, body: Any, named: str) -> None:
    answer = await api.post("/crons/preview", json=body)

    assert answer.status_code == 422
    assert named in answer.json()["detail"]


async def test_upcoming_is_in_order_over_all_enabled_crons(api: httpx.AsyncClient) -> None:
    nine = await make_cron(api, schedule="0 9 * * *", metadata={"name": "nine"})
    half = await make_cron(api, schedule="30 */12 * * *", end_time="2031-01-02T10:00:00Z")
    await make_cron(api, schedule="* * * * *", enabled=False)

    found = await get(api, "/crons/upcoming", **{"from": "2031-01-01T09:00:00Z", "to": "2031-01-03T09:00:00Z"})

    assert [(row["at"], row["cron_id"]) for row in found] == [
        ("2031-01-01T09:00:00+00:00", nine["cron_id"]),
        ("2031-01-01T12:30:00+00:00", half["cron_id"]),
        ("2031-01-02T00:30:00+00:00", half["cron_id"]),
        ("2031-01-02T09:00:00+00:00", nine["cron_id"]),
        ("2031-01-03T09:00:00+00:00", nine["cron_id"]),
    ]
    assert found[0] | {"cron_id": ""} == {
        "cron_id": "", "name": "nine", "at": found[0]["at"], "schedule": "0 9 * * *", "timezone": None,
    }  # fmt: skip


async def test_upcoming_ends_with_the_last_of_max_runs(api: httpx.AsyncClient, database_uri: str) -> None:
    await make_cron(api, schedule="0 9 * * *", metadata={"ostinato": {"max_runs": 5}})
    execute(database_uri, "UPDATE cron SET run_count = 2, next_run_date = '2031-01-01T09:00:00Z'")

    whole = await get(api, "/crons/upcoming", **{"from": "2031-01-01T00:00:00Z", "to": "2031-01-31T00:00:00Z"})
    later = await get(api, "/crons/upcoming", **{"from": "2031-01-03T00:00:00Z", "to": "2031-01-31T00:00:00Z"})
    past = await get(api, "/crons/upcoming", **{"from": "2031-01-04T00:00:00Z", "to": "2031-01-31T00:00:00Z"})

    assert [row["at"][:10] for row in whole] == ["2031-01-01", "2031-01-02", "2031-01-03"]
    assert [later, past] == [whole[2:], []]


async def test_upcoming_begins_now_for_a_day_and_its_limit_cuts_the_latest(api: httpx.AsyncClient) -> None:
    for _ in range(3):
        await make_cron(api, schedule="* * * * *")

    found = await get(api, "/crons/upcoming", limit=7)
    all_day = await get(api, "/crons/upcoming", limit=1000)

    assert found == all_day[:7]
    assert [row["at"] for row in all_day] == sorted(row["at"] for row in all_day)
    assert len(all_day) == 1000


async def test_upcoming_of_the_last_day_there_is_ends_with_it(api: httpx.AsyncClient) -> None:
    await make_cron(api, schedule="0 12 * * *")

    found = await get(api, "/crons/upcoming", **{"from": "9999-12-31T00:00:00Z"})

    assert [row["at"] for row in found] == ["9999-12-31T12:00:00+00:00"]


@pytest.mark.parametrize(
    ("query", "named"),
    [
        ({"from": "yesterday"}, "from: "),
        ({"to": "2026-01-01"}, "to: "),
        ({"limit": "0"}, "limit: "),
        ({"limit": "1001"}, "limit: "),
        ({"limit": "many"}, "limit: "),
        ({"from": "2031-01-02T00:00:00Z", "to": "2031-01-01T00:00:00Z"}, "to: must not be before"),
        ({"from": "2031-01-01T00:00:00Z", "to": "2031-02-02T00:00:00Z"}, "to: must be at most 31 days"),
    ],
)
async def test_upcoming_refuses_with_the_parameters_name(api: httpx.AsyncClient, query: Any, named: str) -> None:
    answer = await api.get("/crons/upcoming", params=query)

    assert answer.status_code == 422
    assert named in answer.json()["detail"]


async def test_firings_come_newest_first_page_by_page(api: httpx.AsyncClient, database_uri: str) -> None:
    cron = await make_cron(api)
    execute(database_uri, INSERT, cron["cron_id"])
    execute(database_uri, INSERT, str(uuid4()))
    path = f"/runs/crons/{cron['cron_id']}/firings"

    pages, cursor = [], None
    while True:
        answer = await api.get(path, params={"limit": 10} | ({"cursor": cursor} if cursor else {}))
        pages.append(answer.json())
        cursor = answer.headers.get("x-pagination-next")
        if cursor is None:
            break

    assert [len(page) for page in pages] == [10, 10, 5]
    times = [row["fire_time"] for page in pages for row in page]
    assert times == sorted(set(times), reverse=True)
    assert len(times) == 25
    assert set(pages[0][0]) == {
        "firing_id", "cron_id", "name", "fire_time", "trigger", "outcome", "reason", "run_id", "thread_id",
        "started_at", "ended_at", "lag_ms", "missed_until", "missed_count", "output", "error",
    }  # fmt: skip
    assert pages[-1][-1]["error"] == {"error": "E", "message": "m"}


async def test_firings_are_filtered_by_outcome_trigger_and_time(api: httpx.AsyncClient, database_uri: str) -> None:
    cron = await make_cron(api)
    execute(database_uri, INSERT, cron["cron_id"])
    path = f"/runs/crons/{cron['cron_id']}/firings"

    failed = await get(api, path, outcome="error")
    either = await get(api, path, outcome=["error", "success"])
    late = await get(api, path, trigger="catchup", outcome="success")
    part = await get(api, path, **{"from": "2026-01-01T03:00:00Z", "to": "2026-01-01T06:00:00Z"})

    assert [row["output"] for row in failed] == ["out 20", "out 15", "out 10", "out 5", "out 0"]
    assert len(either) == 25
    assert [row["output"] for row in late] == ["out 21", "out 14", "out 7"]
    assert [row["output"] for row in part] == ["out 5", "out 4", "out 3"]


RUNS = (
    "0aaaaaaa-0000-0000-0000-000000000000",
    "0aaaaaaa-ffff-ffff-ffff-ffffffffffff",
    "0aaaaaab-0000-0000-0000-000000000000",
)


@pytest.mark.parametrize(
    ("run_id", "which"),
    [
        ("0aaaaaaa", [0, 1]),
        ("0AAAAAAA-", [0, 1]),
        ("0aaaaaaa-f", [1]),
        ("0aaaaaaa-ffff-ffff-ffff-fffffffffffe", []),
        (RUNS[1], [1]),
        (RUNS[2], [2]),
        ("0aaaaaac", []),
    ],
)
async def test_a_run_is_found_by_the_beginning_of_its_id(
    api: httpx.AsyncClient, database_uri: str, run_id: str, which: list[int]
) -> None:
    cron = await make_cron(api)
    execute(database_uri, INSERT, cron["cron_id"])
    for n, run in enumerate(RUNS):
        execute(database_uri, "UPDATE firing SET run_id = %s WHERE output = %s", run, f"out {n}")

    found = await get(api, "/crons/firings", run_id=run_id)
    of_it = await get(api, f"/runs/crons/{cron['cron_id']}/firings", run_id=run_id)
    of_another = await get(api, f"/runs/crons/{(await make_cron(api))['cron_id']}/firings", run_id=run_id)

    assert [row["run_id"] for row in reversed(found)] == [RUNS[n] for n in which]
    assert [of_it, of_another] == [found, []]


async def test_firings_and_events_outlive_their_cron(api: httpx.AsyncClient, database_uri: str) -> None:
    cron = await make_cron(api)
    execute(database_uri, INSERT, cron["cron_id"])
    await api.delete(f"/runs/crons/{cron['cron_id']}")

    assert len(await get(api, f"/runs/crons/{cron['cron_id']}/firings")) == 25
    assert await get(api, f"/runs/crons/{cron['cron_id']}/firings", outcome="due") == []
    events = await get(api, f"/runs/crons/{cron['cron_id']}/events")
    assert [event["kind"] for event in events] == ["deleted", "created"]
    assert (await api.get(f"/runs/crons/{cron['cron_id']}/status")).status_code == 404


@pytest.mark.parametrize("path", ["firings", "events", "status"])
async def test_a_cron_that_never_was_is_404(api: httpx.AsyncClient, path: str) -> None:
    answer = await api.get(f"/runs/crons/{uuid4()}/{path}")

    assert answer.status_code == 404
    assert "not found" in answer.json()["detail"]


@pytest.mark.parametrize("what", ["trigger", "pause", "resume"])
async def test_nothing_is_done_to_a_cron_that_is_not_there(
    api: httpx.AsyncClient, database_uri: str, what: str
) -> None:
    answer = await api.post(f"/runs/crons/{uuid4()}/{what}", json={"request_id": "once"})

    assert answer.status_code == 404
    assert fetch(database_uri, "SELECT FROM firing") == fetch(database_uri, "SELECT FROM cron_event") == []


@pytest.mark.parametrize(
    ("path", "query", "named"),
    [
        ("firings", {"outcome": "splendid"}, "outcome"),
        ("firings", {"trigger": "finger"}, "trigger"),
        ("firings", {"from": "x"}, "from: "),
        ("firings", {"to": "x"}, "to: "),
        ("firings", {"limit": "0"}, "limit: "),
        ("firings", {"limit": "1.5"}, "limit: "),
        ("firings", {"cursor": "x"}, "cursor: "),
        ("firings", {"cursor": ""}, "cursor: "),
        ("firings", {"cursor": "OTk5OTk5OTk5OTk5OTk5OTk5OTkuMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDA"}, "cursor: "),
        ("firings", {"cursor": "\u00e9"}, "cursor: "),
        ("firings", {"run_id": ""}, "run_id: "),
        ("firings", {"run_id": "0aaaaaa"}, "run_id: "),
        ("firings", {"run_id": "0aaaaaag"}, "run_id: "),
        ("firings", {"run_id": "0aaaaaaa0"}, "run_id: "),
        ("firings", {"run_id": RUNS[0] + "0"}, "run_id: "),
        ("firings", {"run_id": "0aaaaaa\u0663"}, "run_id: "),
        ("events", {"limit": "1001"}, "limit: "),
        ("events", {"cursor": "-1"}, "cursor: "),
        ("events", {"cursor": "9" * 30}, "cursor: "),
        ("events", {"cursor": "\u0663"}, "cursor: "),
    ],
)
async def test_lists_refuse_with_the_parameters_name(
    api: httpx.AsyncClient, path: str, query: dict[str, str], named: str
) -> None:
    cron = await make_cron(api)

    answer = await api.get(f"/runs/crons/{cron['cron_id']}/{path}", params=query)

    assert answer.status_code == 422, answer.text
    assert answer.json()["detail"].startswith(named)


async def test_an_id_that_is_none_is_422(api: httpx.AsyncClient) -> None:
    for path in ("firings", "events", "status"):
        answer = await api.get(f"/runs/crons/daily/{path}")

        assert (answer.status_code, answer.json()["detail"]) == (422, "Invalid cron ID: must be a UUID")


async def test_events_say_what_each_change_changed(api: httpx.AsyncClient) -> None:
    cron = await make_cron(api, input={"n": 1})
    await change_cron(api, cron, schedule="0 8 * * *", input={"n": 2})
    await act(api, cron, "trigger")
    await act(api, cron, "pause", note="rest")
    path = f"/runs/crons/{cron['cron_id']}/events"

    events = await get(api, path)
    first = await api.get(path, params={"limit": 2})
    rest = await get(api, path, cursor=first.headers["x-pagination-next"])

    assert [event["kind"] for event in events] == ["paused", "triggered", "updated", "created"]
    assert [event["note"] for event in events] == ["rest", None, None, None]
    assert [event["changes"] for event in events] == [
        {"enabled": {"from": True, "to": False}},
        {},
        {"input": {"from": {"n": 1}, "to": {"n": 2}}, "schedule": {"from": "0 9 * * *", "to": "0 8 * * *"}},
        {},
    ]
    assert events[-1]["snapshot"] == cron
    assert [*first.json(), *rest] == events


async def test_status_tells_ostinatos_own_facts(api: httpx.AsyncClient) -> None:
    cron = await make_cron(api, metadata={"name": "news"})

    status = await get(api, f"/runs/crons/{cron['cron_id']}/status")

    assert status == {
        "cron_id": cron["cron_id"], "name": "news", "description": "At 09:00, every day", "enabled": True,
        "paused_by": None, "note": None, "fault": None, "consecutive_failures": 0, "run_count": 0,
        "next_run_date": cron["next_run_date"],
    }  # fmt: skip


async def test_every_endpoint_is_documented_with_examples(api: httpx.AsyncClient) -> None:
    document = (await api.get("/openapi.json")).json()
    ours = {
        (path, method): operation
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
        if "Ostinato" in operation.get("tags", [])
    }

    assert len(ours) == 9
    for operation in ours.values():
        assert operation["description"]
        assert all(
            parameter.get("description") or parameter["in"] == "path" for parameter in operation.get("parameters", [])
        )
    for name in ("FiringOut", "EventOut", "UpcomingOut", "StatusOut", "ComingOut", "LintOut"):
        fields = document["components"]["schemas"][name]["properties"]
        assert all("examples" in field or field.get("description") for field in fields.values()), name
