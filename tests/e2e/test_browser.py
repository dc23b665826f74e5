"""The dashboard as people use it: a real browser on a whole running Ostinato."""

from __future__ import annotations

import re
from contextlib import closing
from typing import TYPE_CHECKING

import httpx
import pytest
from playwright.sync_api import expect

from browser_setting import Visitor, browser, faults, forgetful, letters, make_cron, ragged, sideways, write_project
from ostinato_shared.api_keys import entry_of, make_key
from whole_stack import running_dev

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser

pytestmark = [pytest.mark.xdist_group("browser"), pytest.mark.timeout(240)]
WIDE, TABLET, NARROW = 1360, 820, 390
HOLE = "row => Math.round(row.getBoundingClientRect().right - row.lastElementChild.getBoundingClientRect().right)"
EDGES = (981, 701)  # just before something of the header goes
NARROWEST = 320  # what is left of 1280 at 400 %


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("project")
    with running_dev(folder / "data", "--no-flower", config=write_project(folder)) as dev:
        yield dev.url


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with browser() as started:
        yield started


@pytest.fixture
def visitor(chromium: Browser, url: str) -> Iterator[Visitor]:
    made = Visitor(chromium, url)
    yield made
    complaints = made.complaints
    made.close()
    assert complaints == []


def test_cron_is_made_seen_firing_paused_resumed_run_edited_and_deleted(visitor: Visitor) -> None:
    page = visitor.open("/")
    page.get_by_role("link", name=re.compile("New cron")).first.click()
    page.get_by_label("Name", exact=True).fill("triage")
    page.get_by_label("Assistant", exact=True).select_option(label="agent")
    page.get_by_label("Schedule", exact=True).fill("* * * * * */2")
    expect(page.get_by_text("Every 2 seconds").first).to_be_visible()
    page.get_by_label("Input", exact=True).fill('{"messages": [{"role": "user", "content": "hello"}]}')
    page.get_by_role("button", name="Create cron").click()

    expect(page.get_by_role("heading", name="triage")).to_be_visible()
    expect(page.locator("#cron-runs .badge", has_text="succeeded").first).to_be_visible()  # live: nothing was reloaded
    expect(page.locator("#cron-runs .c-out", has_text="Heard: hello").first).to_be_visible()

    page.get_by_role("button", name="Pause").click()
    expect(page.locator("#cron-head .badge", has_text="paused")).to_be_visible()
    page.get_by_role("button", name="Run now").click()
    expect(page.locator("#cron-runs .tag", has_text="by hand").first).to_be_visible()
    page.get_by_role("button", name="Resume").click()
    expect(page.get_by_text("✓ active")).to_be_visible()

    page.get_by_role("link", name="Edit").click()
    page.get_by_label("Schedule", exact=True).fill("0 8 * * 1-5")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_text("At 08:00, Monday to Friday").first).to_be_visible()

    page.on("dialog", lambda dialog: dialog.accept())
    page.get_by_role("button", name="Delete").click()
    expect(page).to_have_url(f"{visitor.url}/ui/crons")
    expect(page.get_by_text("triage")).to_have_count(0)


def test_list_is_used_by_keyboard_alone(visitor: Visitor) -> None:
    make_cron(visitor.url, "by-keyboard")
    page = visitor.open("/")
    page.keyboard.press("/")
    expect(page.locator("#q")).to_be_focused()
    page.keyboard.type("by-key")
    expect(page.locator("tr.row")).to_have_count(1)
    switch = page.get_by_role("switch", name="by-keyboard")
    for _ in range(40):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.getAttribute('role')") == "switch":
            break
    expect(switch).to_be_focused()
    page.keyboard.press("Space")
    expect(switch).to_have_attribute("aria-checked", "false")
    expect(switch).to_be_focused()  # the row was exchanged, the focus stayed
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="by-keyboard")).to_be_visible()
    page.wait_for_load_state()  # its keys work when its script does
    page.keyboard.press("n")
    expect(page).to_have_url(f"{visitor.url}/ui/crons/new")


def test_request_that_is_given_up_is_no_complaint(visitor: Visitor) -> None:
    make_cron(visitor.url, "searched")
    page = visitor.open("/")
    page.evaluate("""() => new Promise((given_up) => {
        document.body.addEventListener("htmx:sendAbort", () => given_up(), {once: true});
        htmx.ajax("GET", "/ui/crons", {source: document.body, target: "#list", swap: "none"}).catch(() => {});
        htmx.trigger(document.body, "htmx:abort");
    })""")

    assert visitor.complaints == []


def test_person_signs_in_with_a_key_and_out_again(chromium: Browser, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder, key = tmp_path_factory.mktemp("locked"), make_key()
    with running_dev(
        folder / "data", "--no-flower", config=write_project(folder),
        env={"OSTINATO_API_KEYS": entry_of("ana", key)},
    ) as dev:  # fmt: skip
        visitor = Visitor(chromium, dev.url)
        page = visitor.open("/ui/system")
        expect(page).to_have_url(re.compile("/ui/sign-in"))
        assert faults(page) == []
        assert forgetful(page) == []
        page.get_by_label("API key").fill(key)
        page.keyboard.press("Enter")
        expect(page).to_have_url(f"{dev.url}/ui/system")
        expect(page.locator("#leader .who")).to_be_visible()
        for width in (*EDGES, NARROW, NARROWEST):
            page.set_viewport_size({"width": width, "height": 900})
            assert sideways(page) == 0  # with one button more than the pages without keys
        page.get_by_role("button", name="Sign out").click()
        expect(page).to_have_url(re.compile("/ui/sign-in"))
        page.goto(f"{dev.url}/")
        expect(page).to_have_url(re.compile("/ui/sign-in"))
        assert visitor.complaints == []
        visitor.close()


def test_question_of_a_run_is_answered_on_its_thread(visitor: Visitor) -> None:
    cron_id = make_cron(visitor.url, "asks", assistant="asking", on_run_completed="keep")
    httpx.post(f"{visitor.url}/runs/crons/{cron_id}/trigger", json={}).raise_for_status()
    page = visitor.open("/ui/runs")
    expect(page.get_by_text("Send it to 14 people?").first).to_be_visible()
    page.get_by_role("link", name=re.compile("Answer|thread", re.IGNORECASE)).first.click()
    page.get_by_role("textbox").last.fill("yes")
    page.keyboard.press("Control+Enter")
    expect(page.get_by_text("You said yes").first).to_be_visible()


@pytest.fixture(scope="module")
def furnished(url: str) -> dict[str, str]:
    """The paths of all pages, each with something on it."""
    cron = make_cron(url, "daily-news", schedule="* * * * * */3", timezone="Europe/Rome", on_run_completed="keep",
                     metadata={"labels": {"team": "growth"}})  # fmt: skip
    make_cron(url, "flaky", assistant="failing", schedule="* * * * * */3", metadata={"labels": {"team": "ops"}})
    make_cron(url, "a-name-without-any-place-to-break-it-" + "x" * 40, schedule="5,35 6-22 * * *")
    make_cron(url, "resting", enabled=False)
    with httpx.Client(base_url=url, timeout=60) as client:
        client.post(f"/runs/crons/{cron}/trigger", json={}).raise_for_status()
        thread: str | None = None
        while thread is None:
            fired = client.get(f"/runs/crons/{cron}/firings").json()
            thread = next((each["thread_id"] for each in fired if each["outcome"] == "success"), None)
    return {
        "crons": "/", "cron": f"/ui/crons/{cron}", "new": "/ui/crons/new", "edit": f"/ui/crons/{cron}/edit",
        "runs": "/ui/runs", "thread": f"/ui/threads/{thread}", "system": "/ui/system",
    }  # fmt: skip


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [WIDE, NARROW])
@pytest.mark.parametrize("name", ["crons", "cron", "new", "edit", "runs", "thread", "system"])
def test_page_is_readable(
    chromium: Browser, url: str, furnished: dict[str, str], *, name: str, width: int, theme: str
) -> None:
    with closing(Visitor(chromium, url, width=width, theme=theme)) as visitor:
        page = visitor.open(furnished[name])
        expect(page.get_by_role("main")).to_be_visible()
        if name == "cron":
            expect(page.locator("svg.calendar")).to_be_visible()  # it comes after the page
        assert faults(page) == []
        assert forgetful(page) == []
        assert sideways(page) == 0
        assert visitor.complaints == []


@pytest.mark.parametrize("width", [WIDE, TABLET, NARROW])
@pytest.mark.parametrize("name", ["crons", "cron", "runs", "system"])
def test_drawings_and_tables_fit_the_width(
    chromium: Browser, url: str, furnished: dict[str, str], *, name: str, width: int
) -> None:
    with closing(Visitor(chromium, url, width=width)) as visitor:
        page = visitor.open(furnished[name])
        page.wait_for_load_state()
        if name == "cron":
            expect(page.locator("svg.calendar")).to_be_visible()  # these two come after the page
        if name == "system":
            expect(page.locator("svg.load")).to_be_visible()
        sizes = letters(page)
        assert sizes
        assert min(sizes) >= 8
        assert max(sizes) <= 16
        assert ragged(page) == []
        assert sideways(page) == 0
        if name in {"crons", "system"}:
            assert page.locator(".stats").evaluate(HOLE) == 0
        if name == "runs":
            expect(page.locator(".feed .c-do a").first).to_be_in_viewport(ratio=1)


@pytest.mark.parametrize("width", EDGES)
def test_header_fits_where_it_is_fullest(chromium: Browser, url: str, width: int) -> None:
    with closing(Visitor(chromium, url, width=WIDE)) as visitor:
        page = visitor.open("/")
        expect(page.locator("#leader .who")).to_be_visible()
        page.set_viewport_size({"width": width, "height": 900})
        assert sideways(page) == 0
        expect(page.locator("#new")).to_be_in_viewport(ratio=1)


def test_phone_shows_of_a_cron_what_came_last_and_how_it_ended(
    chromium: Browser, url: str, furnished: dict[str, str]
) -> None:
    with closing(Visitor(chromium, url, width=NARROW)) as visitor:
        page = visitor.open(furnished["cron"])
        for newest in (page.locator("#cron-runs .badge").first, page.locator(".calendar .today")):
            assert newest.evaluate("element => element.getBoundingClientRect().right <= innerWidth")


def test_what_was_scrolled_stays_when_its_part_is_exchanged(
    chromium: Browser, url: str, furnished: dict[str, str]
) -> None:
    with closing(Visitor(chromium, url, width=NARROW)) as visitor:
        page = visitor.open(furnished["cron"])
        box = "document.getElementById('durations-box')"  # a locator may have found one that is exchanged meanwhile
        page.evaluate(f"{box}.scrollLeft = -120, {box}.dataset.old = ''")
        expect(page.locator("#durations-box[data-old]")).to_have_count(0)  # the cron has fired again
        assert page.evaluate(f"{box}.scrollLeft") == -120


@pytest.mark.parametrize("name", ["crons", "cron", "new", "edit", "runs", "thread", "system"])
def test_page_at_four_times_its_size_scrolls_down_only(
    chromium: Browser, url: str, furnished: dict[str, str], *, name: str
) -> None:
    with closing(Visitor(chromium, url, width=NARROWEST)) as visitor:
        assert sideways(visitor.open(furnished[name])) == 0
