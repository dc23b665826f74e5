"""People sign in to the dashboard with a key; the cookie is good for its pages only, asked for by themselves."""

import re
import time
from pathlib import Path

import httpx
import pytest

from api_setting import BROWSER, HTMX, make_cron, open_api, settings
from ostinato_api import signing_in
from ostinato_shared.api_keys import entry_of, make_key, read_keys
from ostinato_shared.settings import Settings

KEY, OTHER = make_key(), make_key()
ENTRY = entry_of("alice", KEY)
OWN = {"origin": "http://localhost"}
COOKIE = signing_in.COOKIE


@pytest.fixture
def place(database_uri: str, redis_uri: str, tmp_path: Path) -> Settings:
    return settings(database_uri, redis_uri, tmp_path, api_keys=ENTRY)


async def sign_in(api: httpx.AsyncClient, key: str = KEY, path: str = "/", **headers: str) -> httpx.Response:
    return await api.post("/ui/sign-in", data={"key": key, "next": path}, headers={**OWN, **headers})


def session(*, age: float = 0) -> str:
    (key,) = read_keys(ENTRY)
    return signing_in.session_of(key, now=time.time() - age)


async def test_a_person_is_led_to_sign_in_and_back_to_the_page(api: httpx.AsyncClient) -> None:
    led = await api.get("/ui/crons?q=label:team=a&show=failing", headers=BROWSER)
    form = await api.get(led.headers["location"], headers=BROWSER)
    wanted = re.search(r'name="next" value="([^"]+)"', form.text)
    assert wanted is not None
    signed_in = await sign_in(api, path=wanted[1].replace("&amp;", "&"))
    page = await api.get(signed_in.headers["location"], headers=BROWSER)

    assert (led.status_code, form.status_code, signed_in.status_code, page.status_code) == (303, 200, 303, 200)
    assert signed_in.headers["location"] == "/ui/crons?q=label:team=a&show=failing"
    assert "Sign out" in page.text


async def test_the_sign_in_page_needs_nothing_that_needs_a_key(api: httpx.AsyncClient) -> None:
    form = await api.get("/ui/sign-in", headers=BROWSER)

    used = re.findall(r'(?:src|href)="([^"]+)"', form.text)
    assert len(used) >= 4
    assert [path for path in used if (await api.get(path)).status_code != 200] == []
    assert "default-src 'none'" in form.headers["content-security-policy"]


async def test_the_cookie_is_out_of_reach_of_scripts_and_other_sites(api: httpx.AsyncClient) -> None:
    plain = (await sign_in(api)).headers["set-cookie"]
    behind_proxy = (await sign_in(api, **{"x-forwarded-proto": "https"})).headers["set-cookie"]

    for part in ("HttpOnly", "SameSite=lax", "Path=/", f"Max-Age={12 * 3600}"):
        assert part in plain
    assert "Secure" not in plain
    assert "Secure" in behind_proxy
    assert KEY not in plain


async def test_a_wrong_key_gives_no_session_and_takes_its_time(api: httpx.AsyncClient) -> None:
    started = time.monotonic()
    answer = await sign_in(api, OTHER)

    assert answer.status_code == 401
    assert "set-cookie" not in answer.headers
    assert 'role="alert"' in answer.text
    assert time.monotonic() - started >= 0.5


@pytest.mark.parametrize(
    "body", [b"", b"key", b"\xff\xfe", b"key=" + b"x" * 5000, b"&".join([b"a=b"] * 50), b"key=%00"]
)
async def test_a_form_that_is_none_gives_no_session(api: httpx.AsyncClient, body: bytes) -> None:
    answer = await api.post("/ui/sign-in", content=body, headers=OWN)

    assert answer.status_code == 401
    assert "set-cookie" not in answer.headers


@pytest.mark.parametrize(
    "path",
    ["https://evil.example/", "//evil.example", "/\\evil.example", "/ui//../\\evil", "javascript:alert(1)",
     "/%0d%0aset-cookie:a", "/\r\nx: y", "/ui/sign-out", "/ui/sign-in", "/runs/crons", "", "\t//evil.example"],
)  # fmt: skip
async def test_nobody_is_sent_elsewhere_after_signing_in(api: httpx.AsyncClient, path: str) -> None:
    answer = await sign_in(api, path=path)

    assert (answer.status_code, answer.headers["location"]) == (303, "/")


async def test_the_cookie_is_good_for_pages_and_never_for_the_api(api: httpx.AsyncClient) -> None:
    await sign_in(api)

    pages = {path: (await api.get(path, headers=BROWSER)).status_code for path in ("/", "/ui/crons", "/docs")}
    assert pages == dict.fromkeys(pages, 200)
    assert (await api.get("/openapi.json")).status_code == 200
    assert (await api.post("/runs/crons/search", json={}, headers=OWN)).status_code == 401
    assert (await api.get("/info", headers=BROWSER)).status_code == 401
    assert (await api.get("/metrics", headers=BROWSER)).status_code == 401


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"origin": "http://localhost"}, 200),
        ({"sec-fetch-site": "same-origin"}, 200),
        ({}, 403),
        ({"origin": "https://evil.example"}, 403),
        ({"origin": "http://localhost:8080"}, 403),  # another server of this machine
        ({"origin": "null"}, 403),
        ({"sec-fetch-site": "cross-site"}, 403),
        ({"sec-fetch-site": "same-site"}, 403),
        ({"sec-fetch-site": "none"}, 403),
        ({"sec-fetch-site": "cross-site", "origin": "http://localhost"}, 403),
    ],
)  # fmt: skip
async def test_the_cookie_acts_only_for_the_servers_own_pages(
    api: httpx.AsyncClient, headers: dict[str, str], status: int
) -> None:
    cron = await make_cron_with_key(api)
    await sign_in(api)

    answer = await api.post(f"/ui/crons/{cron}/pause", headers={**HTMX, **headers})
    found = await api.get(f"/runs/crons/{cron}", headers={"x-api-key": KEY})

    assert answer.status_code == status
    assert found.json()["enabled"] is (status != 200)


async def make_cron_with_key(api: httpx.AsyncClient) -> str:
    api.headers["x-api-key"] = KEY
    cron = await make_cron(api)
    del api.headers["x-api-key"]
    return str(cron["cron_id"])


async def test_what_is_done_on_a_page_carries_the_name_of_the_key(api: httpx.AsyncClient) -> None:
    cron = await make_cron_with_key(api)
    await sign_in(api)
    await api.post(f"/ui/crons/{cron}/pause", headers={**HTMX, **OWN})

    events = await api.get(f"/runs/crons/{cron}/events", headers={"x-api-key": KEY})

    assert [(event["kind"], event["user_id"]) for event in events.json()] == [("paused", "alice"), ("created", "alice")]


async def test_no_other_site_can_sign_a_person_in(api: httpx.AsyncClient) -> None:
    answers = [
        await api.post("/ui/sign-in", data={"key": KEY}, headers=headers)
        for headers in ({"origin": "https://evil.example"}, {"sec-fetch-site": "cross-site"})
    ]

    assert [answer.status_code for answer in answers] == [403, 403]
    assert not [answer for answer in answers if "set-cookie" in answer.headers]


async def test_a_session_ends_after_twelve_hours(api: httpx.AsyncClient) -> None:
    almost, over = [
        await api.get("/", headers={**BROWSER, "cookie": f"{COOKIE}={session(age=age)}"})
        for age in (12 * 3600 - 60, 12 * 3600 + 1)
    ]

    assert (almost.status_code, over.status_code) == (200, 303)


async def test_a_session_that_somebody_has_changed_is_none(api: httpx.AsyncClient) -> None:
    name, ends, signature = session().split(":")
    other_end = "1" if signature.endswith("0") else "0"
    forged = [
        f"{name}:{int(ends) + 1}:{signature}", f"bob:{ends}:{signature}", f"{name}:{ends}:{signature[:-1]}{other_end}",
        f"{name}:{ends}:", f"{name}:{ends}", "", "x" * 5000, f"{name}:9999999999999999:{signature}",
        f"{name}:{ends}:{signature}\xe9",
    ]  # fmt: skip

    for value in forged:
        answer = await api.get(
            "/", headers=httpx.Headers({**BROWSER, "cookie": f"{COOKIE}={value}"}, encoding="latin-1")
        )
        assert answer.status_code == 303, value
    assert (await api.get("/", headers={**BROWSER, "cookie": f"{COOKIE}={session()}"})).status_code == 200


async def test_the_sessions_of_a_key_end_with_it(database_uri: str, redis_uri: str, tmp_path: Path) -> None:
    other = entry_of("alice", OTHER)  # of the same name
    for setting, status in ((f"{other},{ENTRY}", 200), (other, 303)):
        async with open_api(settings(database_uri, redis_uri, tmp_path, api_keys=setting)) as api:
            answer = await api.get("/", headers={**BROWSER, "cookie": f"{COOKIE}={session()}"})

        assert answer.status_code == status


async def test_signing_out_forgets_the_session(api: httpx.AsyncClient) -> None:
    await sign_in(api)
    foreign = await api.post("/ui/sign-out", headers={"sec-fetch-site": "cross-site"})
    assert (await api.get("/", headers=BROWSER)).status_code == 200

    own = await api.post("/ui/sign-out", headers=OWN)

    assert (foreign.status_code, own.status_code) == (403, 303)
    assert own.headers["location"] == "/ui/sign-in"
    assert (await api.get("/", headers=BROWSER)).status_code == 303


async def test_parts_of_an_open_page_lead_to_sign_in_when_the_session_is_over(api: httpx.AsyncClient) -> None:
    answer = await api.get("/ui/leader", headers={**HTMX, "hx-current-url": "http://localhost/ui/crons?show=paused"})
    foreign = await api.get("/ui/leader", headers={**HTMX, "hx-current-url": "https://evil.example//evil.example"})

    assert answer.status_code == 401
    assert answer.headers["hx-redirect"] == "/ui/sign-in?next=%2Fui%2Fcrons%3Fshow%3Dpaused"
    assert foreign.headers["hx-redirect"] == "/ui/sign-in"


async def test_programs_get_no_page(api: httpx.AsyncClient) -> None:
    assert (await api.get("/")).status_code == 401
    assert (await api.get("/runs/crons/x", headers=BROWSER)).status_code == 401


async def test_without_keys_there_is_nothing_to_sign_in_to(database_uri: str, redis_uri: str, tmp_path: Path) -> None:
    async with open_api(settings(database_uri, redis_uri, tmp_path)) as api:
        form = await api.get("/ui/sign-in", headers=BROWSER)
        page = await api.get("/", headers=BROWSER)

    assert (form.status_code, form.headers["location"]) == (303, "/")
    assert "Sign out" not in page.text
