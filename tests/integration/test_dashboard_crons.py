"""The crons page and its parts, as a browser gets them."""

import re
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from api_setting import make_cron, open_api, settings

BROWSER = {"accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
HTMX = {"hx-request": "true", "accept": "*/*"}


@pytest.fixture
async def api(database_uri: str, redis_uri: str, tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    async with open_api(settings(database_uri, redis_uri, tmp_path)) as client:
        yield client


async def page(api: httpx.AsyncClient, path: str = "/") -> str:
    answer = await api.get(path, headers=BROWSER)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    return answer.text


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
