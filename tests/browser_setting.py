"""A real browser on a running Ostinato: what its console says and where it goes is kept for the test."""

from __future__ import annotations

import os
import shutil
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect, sync_playwright

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from playwright.sync_api import Browser, Page

ARGUMENTS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip
PATIENCE = 30_000  # ms: the machine may be busy
GRAPHS = """
import asyncio
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.types import interrupt

async def answer(state: MessagesState):
    return {"messages": [("ai", f"Heard: {state['messages'][-1].content}")]}

async def fail(state: MessagesState):
    raise RuntimeError("529 overloaded")

async def ask(state: MessagesState):
    return {"messages": [("ai", f"You said {interrupt('Send it to 14 people?')}")]}

def graph(node):
    return StateGraph(MessagesState).add_node("node", node).add_edge(START, "node").compile()

agent, failing, asking = graph(answer), graph(fail), graph(ask)
"""
PROJECT = '{"graphs": {"agent": "./g.py:agent", "failing": "./g.py:failing", "asking": "./g.py:asking"}}'
INPUT = {"messages": [{"role": "user", "content": "hello"}]}


def write_project(folder: Path) -> Path:
    """A project whose graphs answer, fail and ask; its langgraph.json."""
    (folder / "g.py").write_text(GRAPHS)
    (folder / "langgraph.json").write_text(PROJECT)
    return folder / "langgraph.json"


def make_cron(url: str, name: str, *, assistant: str = "agent", schedule: str = "0 8 * * *", **options: Any) -> str:
    """The id of a cron of this name."""
    body = {"assistant_id": assistant, "schedule": schedule, "input": INPUT, **options}
    body["metadata"] = {"name": name, **options.get("metadata", {})}
    answer = httpx.post(f"{url}/runs/crons", json=body)
    answer.raise_for_status()
    return str(answer.json()["cron_id"])


@contextmanager
def browser() -> Iterator[Browser]:
    """Chromium without a window."""
    path = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if path is None:
        message = "no chromium on this machine: `apt-get install chromium`"
        if os.environ.get("OSTINATO_TESTS_SKIP_NOTHING"):
            pytest.fail(message)
        pytest.skip(message)
    expect.set_options(timeout=PATIENCE)
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=path, args=ARGUMENTS)
        yield started
        started.close()


class Visitor:
    """One person at a page: complaints of the browser and requests to elsewhere are gathered."""

    def __init__(self, browser: Browser, url: str, *, width: int = 1360, theme: str = "light") -> None:
        self.url = url
        self.complaints: list[str] = []
        context = browser.new_context(
            viewport={"width": width, "height": 900}, color_scheme="dark" if theme == "dark" else "light"
        )
        context.set_default_timeout(PATIENCE)
        self.page: Page = context.new_page()
        self.page.on("console", lambda said: self._heard(said.type, said.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("request", lambda request: self._asked(request.url))

    def _heard(self, kind: str, text: str) -> None:
        if kind in {"error", "warning"}:
            self.complaints.append(text)

    def _asked(self, url: str) -> None:
        if not url.startswith((self.url, "data:")):
            self.complaints.append(f"went to {url}")

    def open(self, path: str) -> Page:
        self.page.goto(f"{self.url}{path}")
        return self.page

    def close(self) -> None:
        self.page.context.close()


def faults(page: Page) -> list[str]:
    """What axe finds wrong: contrast below 4.5, controls without names, and their like."""
    found = Axe().run(page, options={"resultTypes": ["violations"]}).response["violations"]
    return [
        f"{each['id']}: {node['html'][:160]} ({node['failureSummary'][:200]})"
        for each in found
        for node in each["nodes"]
    ]


def forgetful(page: Page) -> list[str]:
    """What would lose the focus when its part of the page is exchanged: htmx finds it again by its id."""
    used = ":is(a[href], button, input:not([type=hidden]), select, textarea, summary, [tabindex])"
    nameless = page.locator(f"[hx-trigger*='sse:'] {used}:not([id])")
    return [element.evaluate("element => element.outerHTML.slice(0, 160)") for element in nameless.all()]


def sideways(page: Page) -> int:
    """By how many pixels the page is wider than its window."""
    return int(page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth"))


def letters(page: Page) -> list[float]:
    """How large the words of the drawings are on the screen, in pixels."""
    size = "parseFloat(getComputedStyle(text).fontSize) * text.getScreenCTM().a"
    return list(page.evaluate(f"[...document.querySelectorAll('main svg text')].map(text => {size})"))


def ragged(page: Page) -> list[str]:
    """The tables whose headings do not stand over their columns."""
    return list(
        page.evaluate("""() => {
            const cells = row => String([...row.cells].filter(cell => cell.offsetWidth).map(cell => cell.offsetLeft));
            return [...document.querySelectorAll("table:has(thead):has(tbody tr)")]
                .filter(table => table.tHead.offsetWidth)
                .filter(table => cells(table.tHead.rows[0]) !== cells(table.tBodies[0].rows[0]))
                .map(table => table.innerText);
        }""")
    )
