"""The crons page and its parts, as a browser gets them."""

import re
from typing import Any

import httpx
import pytest

from api_setting import BROWSER, HTMX, execute, fetch, make_cron


async def page(api: httpx.AsyncClient, path: str = "/") -> str:
    answer = await api.get(path, headers=BROWSER)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    return answer.text


def ran(database_uri: str, cron: dict[str, Any], *newest_first: str) -> None:
    """Firings of the last minutes with these outcomes."""
    for minutes, outcome in enumerate(newest_first, start=1):
        execute(
            database_uri,
            "INSERT INTO firing (firing_id, cron_id, fire_time, outcome, trigger, cron_revision, assistant_id, "
            "started_at, ended_at) VALUES (gen_random_uuid(), %s, now() - %s * interval '1 minute', %s, 'schedule', 1, "
            "%s, now() - interval '4 s', now())",
            cron["cron_id"], minutes, outcome, cron["assistant_id"],
        )  # fmt: skip


def lanes(shown: str) -> list[str]:
    return re.findall(r'<text class="name[^>]*><title>(.*?)</title>', shown)


async def test_the_root_is_a_page_for_browsers_and_json_for_programs(api: httpx.AsyncClient) -> None:
    for_browser = await page(api)
    for_program = await api.get("/")

    assert for_browser.startswith("<!doctype html>")
    assert for_program.json() == {"ok": True}


async def test_names_are_text_whatever_they_hold(api: httpx.AsyncClient) -> None:
    hostile = "<script>alert(1)</script>\"'&{{7*7}}"
    await make_cron(api, metadata={"name": hostile, "labels": {hostile: hostile}})

    shown = await page(api)

    assert "<script>alert" not in shown
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in shown
    assert "{{7*7}}" in shown


async def test_a_page_takes_nothing_from_elsewhere_and_nothing_inline(api: httpx.AsyncClient) -> None:
    await make_cron(api, metadata={"name": "nightly"})

    answer = await api.get("/", headers=BROWSER)

    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert not re.search(r"<script(?![^>]* src=)|<style|\sstyle=|\son\w+=", answer.text)
    assert not re.search(r"""(?:src|href|action|hx-\w+)=["'](?:https?:)?//""", answer.text)


async def test_scripts_and_styles_are_kept_by_browsers_until_they_change(api: httpx.AsyncClient) -> None:
    shown = await page(api)

    for path in re.findall(r'(?:src|href)="(/ui/static/[^"]+)"', shown):
        answer = await api.get(path)
        assert answer.status_code == 200, path
        assert "immutable" in answer.headers["cache-control"]


async def test_an_unknown_page_is_a_page_that_says_so(api: httpx.AsyncClient) -> None:
    answer = await api.get("/ui/nowhere", headers=BROWSER)

    assert answer.status_code == 404
    assert "There is no such page." in answer.text
    assert answer.text.startswith("<!doctype html>")


async def part(api: httpx.AsyncClient, path: str) -> str:
    answer = await api.get(path, headers=HTMX)
    assert answer.status_code == 200, answer.text
    assert "<!doctype" not in answer.text
    return answer.text


def names(shown: str) -> list[str]:
    """The crons of a list, from the top."""
    return re.findall(r'<div class="title">(?:<a [^>]*>)?<b>([^<]*)</b>', shown)


async def test_a_search_finds_names_assistants_and_labels(api: httpx.AsyncClient) -> None:
    await make_cron(api, metadata={"name": "daily-news", "labels": {"team": "growth"}})
    await make_cron(api, metadata={"name": "100%", "labels": {"team": "site ops"}}, assistant_id="other")
    await make_cron(api, metadata={"name": "odd", "labels": "no object"})

    found = {
        q: names(await part(api, str(httpx.URL("/ui/crons", params={"q": q}))))
        for q in (
            "NEWS",
            "%",
            "other",
            "label:team=growth",
            "label:team",
            "daily label:team=ops",
            "nothing",
            'label:team="site ops"',
            '"label:team=site ops"',
            '"aily-new" "',
            'label:team="site',
        )
    }

    assert found == {
        "NEWS": ["daily-news"],
        "%": ["100%"],
        "other": ["100%"],
        "label:team=growth": ["daily-news"],
        "label:team": ["100%", "daily-news"],
        "daily label:team=ops": [],
        "nothing": [],
        'label:team="site ops"': ["100%"],
        '"label:team=site ops"': ["100%"],
        '"aily-new" "': ["daily-news"],
        'label:team="site': [],
    }


async def test_segments_count_under_the_search_and_failing_crons_come_first(
    api: httpx.AsyncClient, database_uri: str
) -> None:
    for name in ("a-well", "b-paused", "c-failing"):
        await make_cron(api, metadata={"name": name}, enabled=name != "b-paused")
    execute(database_uri, "UPDATE cron SET consecutive_failures = 2 WHERE name = 'c-failing'")

    every = await part(api, "/ui/crons")
    failing, paused, active = [names(await part(api, f"/ui/crons?show={s}")) for s in ("failing", "paused", "active")]
    searched = await part(api, "/ui/crons?q=a-well")

    assert names(every) == ["c-failing", "a-well", "b-paused"]
    assert (failing, paused, active) == (["c-failing"], ["b-paused"], ["c-failing", "a-well"])
    counts = re.findall(r'>(\w+) <span class="num">(\d+)<', every)
    assert counts == [("All", "3"), ("Active", "2"), ("Failing", "1"), ("Paused", "1")]
    assert re.findall(r'>(\w+) <span class="num">(\d+)<', searched)[0] == ("All", "1")


async def test_pages_have_25_crons_and_links_to_their_neighbours(api: httpx.AsyncClient) -> None:
    for number in range(27):
        await make_cron(api, metadata={"name": f"cron-{number:02}"})

    first, second = await part(api, "/ui/crons?q=cron"), await part(api, "/ui/crons?q=cron&page=2")

    assert names(first) == [f"cron-{number:02}" for number in range(25)]
    assert names(second) == ["cron-25", "cron-26"]
    assert 'href="/ui/crons?q=cron&amp;page=2"' in first
    assert 'rel="prev"' in second
    assert 'rel="next"' not in second


async def test_beyond_the_last_page_stands_the_last_one(api: httpx.AsyncClient) -> None:
    for number in range(26):
        await make_cron(api, metadata={"name": f"cron-{number:02}"})

    shown = await part(api, "/ui/crons?page=9")

    assert names(shown) == ["cron-25"]
    assert "of 26, failing first" in shown
    assert 'hx-get="/ui/crons?page=2" hx-sync' in shown  # the live list asks for what it shows
    assert "No cron fits" in await part(api, "/ui/crons?q=nothing&page=9")


async def test_a_cron_is_paused_resumed_and_run_from_its_row(api: httpx.AsyncClient, database_uri: str) -> None:
    cron = await make_cron(api, metadata={"name": "nightly"})
    path = f"/ui/crons/{cron['cron_id']}"

    paused = await api.post(f"{path}/pause", headers=HTMX)
    resumed = await api.post(f"{path}/resume", headers=HTMX)
    ran = await api.post(f"{path}/trigger", headers=HTMX)

    assert 'aria-checked="false"' in paused.text
    assert "paused</span>" in paused.text
    assert 'aria-checked="true"' in resumed.text
    assert "due" in ran.text
    assert [row["trigger"] for row in fetch(database_uri, "SELECT trigger FROM firing")] == ["manual"]


@pytest.mark.parametrize(
    "headers",
    [{"sec-fetch-site": "cross-site"}, {"sec-fetch-site": "same-site"}, {"origin": "http://localhost:3000"}],
)
async def test_other_pages_cannot_act(api: httpx.AsyncClient, headers: dict[str, str]) -> None:
    cron = await make_cron(api)

    answer = await api.post(f"/ui/crons/{cron['cron_id']}/pause", headers=headers)

    assert answer.status_code == 403
    assert (await api.get(f"/runs/crons/{cron['cron_id']}")).json()["enabled"] is True


async def test_an_act_on_a_cron_that_is_gone_tells_htmx_so(api: httpx.AsyncClient) -> None:
    answer = await api.post("/ui/crons/00000000-0000-4000-8000-000000000000/pause", headers=HTMX)

    assert answer.status_code == 404
    assert "not found" in answer.json()["detail"]


async def test_the_strip_shows_each_outcome_by_its_shape(api: httpx.AsyncClient, database_uri: str) -> None:
    cron = await make_cron(api, metadata={"name": "nightly"})
    ran(database_uri, cron, "success", "error", "skipped")

    assert 'aria-label="Last 3: 1 skipped, 1 failed, 1 succeeded"' in await page(api)


async def test_what_ran_is_counted_when_the_page_is_there(api: httpx.AsyncClient, database_uri: str) -> None:
    cron = await make_cron(api)
    ran(database_uri, cron, "success", "error", "skipped")

    shown = await page(api)
    counted = await api.get("/ui/crons/stats?had=1", headers=HTMX)

    assert re.search(r'id="stats" .*hx-get="/ui/crons/stats\?had=1" hx-trigger="load, sse:changed"', shown)
    assert "1 failed</span>" not in shown
    assert "50.0 %" in counted.text
    assert "✕ 1 failed" in counted.text
    assert 'hx-trigger="sse:changed"' in counted.text


async def test_the_score_shows_the_crons_of_the_page(api: httpx.AsyncClient) -> None:
    for number in range(26):
        await make_cron(api, metadata={"name": f"cron-{number:02}"}, enabled=number != 0)

    first, second = [lanes(await page(api, path)) for path in ("/", "/ui/crons?page=2")]

    assert first == [f"cron-{number:02}" for number in range(1, 13)]  # the paused one stands last, and has no lane
    assert second == ["cron-25"]


async def test_an_empty_server_teaches_its_first_cron_and_reloads_when_it_comes(api: httpx.AsyncClient) -> None:
    empty_page = await page(api)
    still_empty = await api.get("/ui/crons/stats", headers=HTMX)
    await make_cron(api)
    no_longer = await api.get("/ui/crons/stats", headers=HTMX)

    assert "curl http://localhost/runs/crons" in empty_page
    assert "<pre>" not in empty_page  # they scroll: the keyboard has to reach them
    assert "hx-refresh" not in still_empty.headers
    assert no_longer.headers["hx-refresh"] == "true"
