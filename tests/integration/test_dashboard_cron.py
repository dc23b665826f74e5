"""One cron's page and its parts, as a browser gets them."""

import json
import re
from uuid import uuid4

import httpx
import pytest

from api_setting import BROWSER, HTMX, execute, fetch, make_cron

FIRE = """
    INSERT INTO firing (firing_id, cron_id, fire_time, outcome, reason, trigger, cron_revision, assistant_id,
                        started_at, ended_at, lag_ms, error, output)
    SELECT gen_random_uuid(), %s, now() - n * interval '1 hour', %s, %s, 'schedule', 1, gen_random_uuid(),
           now() - n * interval '1 hour', now() - n * interval '1 hour' + interval '2 seconds', 12, %s, %s
    FROM generate_series(1, %s) AS n
"""


@pytest.fixture
def uri(database_uri: str) -> str:
    return database_uri


async def page(api: httpx.AsyncClient, path: str) -> str:
    answer = await api.get(path, headers=BROWSER)
    assert answer.status_code == 200, answer.text
    return answer.text


async def part(api: httpx.AsyncClient, path: str) -> str:
    answer = await api.get(path, headers=HTMX)
    assert answer.status_code == 200, answer.text
    assert "<!doctype" not in answer.text
    return answer.text


async def test_new_cron_says_when_it_runs_and_how_it_behaves(api: httpx.AsyncClient) -> None:
    cron = await make_cron(api, schedule="0 8 * * 1-5", timezone="Europe/Rome", metadata={"name": "daily-news"})

    shown = await page(api, f"/ui/crons/{cron['cron_id']}")

    assert "At 08:00, Monday to Friday" in shown
    assert "It has not fired yet" in shown
    assert "a new one each time, deleted after" in shown
    assert shown.count('data-zone="Europe/Rome"') >= 7  # the next runs
    assert "<b>created</b>" in shown


@pytest.mark.parametrize("run_count", [2, 3])
async def test_no_more_runs_are_shown_than_max_runs_leaves(api: httpx.AsyncClient, uri: str, run_count: int) -> None:
    cron = await make_cron(api, timezone="Europe/Rome", metadata={"ostinato": {"max_runs": 3}})
    execute(uri, "UPDATE cron SET run_count = %s", run_count)

    shown = await page(api, f"/ui/crons/{cron['cron_id']}")

    coming = shown.split('id="cron-next"')[1].split("</section>")[0]
    assert coming.count("<li>") == 3 - run_count
    assert ("It has no more runs to come" in coming) == (run_count == 3)


async def test_failures_in_a_row_are_told_with_their_error(api: httpx.AsyncClient, uri: str) -> None:
    cron = await make_cron(api, metadata={"name": "flaky"})
    error = json.dumps({"error": "RateLimitError", "message": "529 <overloaded>"})
    execute(uri, FIRE, cron["cron_id"], "error", None, error, None, 3)
    execute(uri, "UPDATE cron SET consecutive_failures = 3 WHERE cron_id = %s", cron["cron_id"])

    shown = await page(api, f"/ui/crons/{cron['cron_id']}")

    assert "The last 3 runs failed" in shown
    assert "RateLimitError: 529 &lt;overloaded&gt;" in shown


async def test_error_that_paused_a_cron_is_told_once(api: httpx.AsyncClient, uri: str) -> None:
    cron = await make_cron(api, metadata={"ostinato": {"pause_after_failures": 3}})
    execute(uri, FIRE, cron["cron_id"], "error", None, json.dumps({"error": "Boom", "message": "x"}), None, 3)
    execute(
        uri, "UPDATE cron SET enabled = false, next_run_date = NULL, paused_by = 'pause_after_failures',"
        " note = 'paused after 3 failures in a row; last: Boom: x', consecutive_failures = 3",
    )  # fmt: skip

    failing = await part(api, f"/ui/crons/{cron['cron_id']}/head")
    execute(uri, "UPDATE cron SET consecutive_failures = 0")
    mended = await part(api, f"/ui/crons/{cron['cron_id']}/head")

    assert failing.count("Boom: x") == 1
    assert "Paused by its own guard. The last 3 runs failed" in failing
    assert "paused after 3 failures in a row" in mended


async def test_history_says_what_was_and_what_is(api: httpx.AsyncClient) -> None:
    cron = await make_cron(api, schedule="0 8 * * *", input={"topic": "<b>plasticity</b> and what follows from it"})
    path = f"/runs/crons/{cron['cron_id']}"
    await api.patch(path, json={"schedule": "30 9 * * *", "input": {"topic": "rain"}})
    await api.post(f"{path}/pause", json={"note": "Holidays."})

    history = (await page(api, f"/ui/crons/{cron['cron_id']}")).split("<h2>History</h2>")[1]

    assert "schedule: 0 8 * * * → 30 9 * * *" in history
    was, now = re.findall(r"<summary>input</summary>was<pre[^>]*>([^<]*)</pre>is<pre[^>]*>([^<]*)</pre>", history)[0]
    assert "&lt;b&gt;plasticity&lt;/b&gt; and what follows" in was
    assert "rain" in now
    assert "enabled" not in history


async def test_ledger_is_read_page_by_page_without_gap_or_double(api: httpx.AsyncClient, uri: str) -> None:
    cron = await make_cron(api)
    execute(uri, FIRE, cron["cron_id"], "success", None, None, "done", 40)

    seen: list[str] = []
    path = f"/ui/crons/{cron['cron_id']}/runs"
    while path:
        shown = await part(api, path)
        seen += [piece.split('"')[0] for piece in shown.split('id="firing-')[1:]]
        older = shown.partition('id="older"')[2].partition('hx-get="')[2].partition('"')[0]
        path = older.replace("&amp;", "&")

    assert len(seen) == len(set(seen)) == 40


async def test_skipped_time_says_why(api: httpx.AsyncClient, uri: str) -> None:
    cron = await make_cron(api)
    execute(uri, FIRE, cron["cron_id"], "skipped", "overlap", None, None, 1)

    assert "the run before was still under way" in await part(api, f"/ui/crons/{cron['cron_id']}/runs")


async def test_calendar_marks_the_days_that_failed(api: httpx.AsyncClient, uri: str) -> None:
    cron = await make_cron(api, timezone="Asia/Tokyo")
    execute(uri, FIRE, cron["cron_id"], "error", None, None, None, 1)

    shown = await part(api, f"/ui/crons/{cron['cron_id']}/calendar")

    assert 'class="bad' in shown
    assert "1 days with failures" in shown


async def test_deleted_from_its_page_it_is_gone(api: httpx.AsyncClient, uri: str) -> None:
    cron = await make_cron(api)

    answer = await api.post(f"/ui/crons/{cron['cron_id']}/delete", headers=HTMX)

    assert (answer.status_code, answer.headers["hx-redirect"]) == (204, "/ui/crons")
    assert fetch(uri, "SELECT count(*) FROM cron WHERE cron_id = %s", cron["cron_id"]) == [{"count": 0}]


async def test_foreign_page_cannot_delete(api: httpx.AsyncClient, uri: str) -> None:
    cron = await make_cron(api)

    answer = await api.post(f"/ui/crons/{cron['cron_id']}/delete", headers={"sec-fetch-site": "cross-site"})

    assert answer.status_code == 403
    assert fetch(uri, "SELECT count(*) FROM cron WHERE cron_id = %s", cron["cron_id"]) == [{"count": 1}]


async def test_unknown_cron_is_a_page_that_says_so(api: httpx.AsyncClient) -> None:
    answer = await api.get(f"/ui/crons/{uuid4()}", headers=BROWSER)

    assert answer.status_code == 404
    assert answer.text.startswith("<!doctype html>")


@pytest.mark.parametrize("name", ["head", "runs"])
async def test_an_open_page_of_a_cron_that_goes_is_asked_for_anew(api: httpx.AsyncClient, name: str) -> None:
    answer = await api.get(f"/ui/crons/{uuid4()}/{name}", headers=HTMX)

    assert (answer.status_code, answer.headers["hx-refresh"]) == (204, "true")
