"""With keys in the settings nobody gets anything without one, on whatever route."""

import hmac
import re
from pathlib import Path

import httpx
import pytest
from fastapi.routing import APIRoute
from pydantic import ValidationError

from api_setting import fetch, make_cron, open_api, settings
from ostinato_api.dashboard.routes import ROUTERS as PAGES
from ostinato_api.keys import find
from ostinato_api.routes import ROUTERS
from ostinato_shared.api_keys import ApiKey, digest_of, entry_of, read_keys
from ostinato_shared.settings import Settings

ALICE, BOB = (f"ost_{name * 43}" for name in "ab")  # the same in each process that collects the tests
SETTING = f"{entry_of('alice', ALICE)}, {entry_of('bob', BOB)}"
CRON = {"assistant_id": "agent", "schedule": "0 9 * * *"}


@pytest.fixture
def place(database_uri: str, redis_uri: str, tmp_path: Path) -> Settings:
    return settings(database_uri, redis_uri, tmp_path, api_keys=SETTING)


@pytest.fixture
async def alice(api: httpx.AsyncClient) -> httpx.AsyncClient:
    api.headers["x-api-key"] = ALICE
    return api


def every_route() -> list[tuple[str, str]]:
    """Method and path of every route there is, and of some that there are not."""
    routes = [route for router in (*ROUTERS, *PAGES) for route in router.routes if isinstance(route, APIRoute)]
    found = [(method, re.sub(r"[{}]|:path", "", route.path)) for route in routes for method in route.methods or ()]
    assert len(found) > 40
    return [*found, ("GET", "/openapi.json"), ("GET", "/nowhere"), ("POST", "/ui/nowhere"), ("GET", "/ui/static")]


async def test_every_route_but_health_and_sign_in_needs_a_key(api: httpx.AsyncClient) -> None:
    answered = {}
    for method, path in every_route():
        answer = await api.request(method, path, headers={"sec-fetch-site": "same-origin"})
        if answer.status_code != 401:
            answered[method, path] = answer.status_code

    # A wrong key on the sign-in page is 401 too, by the page itself.
    assert answered == {("GET", "/ok"): 200, ("GET", "/ui/sign-in"): 200}


@pytest.mark.parametrize(
    "headers",
    [
        {}, {"x-api-key": ""}, {"x-api-key": "ost_wrong"}, {"x-api-key": ALICE[:-1]}, {"x-api-key": f"{ALICE}x"},
        {"x-api-key": digest_of(ALICE).hex()}, {"authorization": ALICE}, {"authorization": f"Basic {ALICE}"},
        {"authorization": "Bearer"}, {"cookie": f"x-api-key={ALICE}"}, {"cookie": f"ostinato_session={ALICE}"},
    ],
)  # fmt: skip
async def test_whatever_is_wrong_with_a_key_the_answer_is_the_same(
    api: httpx.AsyncClient, headers: dict[str, str]
) -> None:
    plain = await api.post("/runs/crons", json=CRON)
    answer = await api.post("/runs/crons", json=CRON, headers=headers)

    assert answer.status_code == 401
    assert answer.json() == plain.json()
    assert list(answer.json()) == ["detail"]
    assert answer.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize(
    "headers",
    [
        {"x-api-key": ALICE}, {"authorization": f"Bearer {ALICE}"}, {"authorization": f"bearer  {ALICE} "},
        {"x-api-key": "lsv2_of_somebody", "authorization": f"Bearer {ALICE}"},
    ],
)  # fmt: skip
async def test_a_key_is_taken_from_either_header(api: httpx.AsyncClient, headers: dict[str, str]) -> None:
    assert (await api.get("/info", headers=headers)).status_code == 200


async def test_what_is_made_carries_the_name_of_the_key(alice: httpx.AsyncClient, database_uri: str) -> None:
    of_alice = await make_cron(alice)
    alice.headers["x-api-key"] = BOB
    of_bob = await make_cron(alice)

    assert (of_alice["user_id"], of_bob["user_id"]) == ("alice", "bob")
    assert [row["user_id"] for row in fetch(database_uri, "SELECT user_id FROM cron_event ORDER BY event_id")] == [
        "alice", "bob",
    ]  # fmt: skip


async def test_every_key_is_compared_to_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[bytes] = []

    def watched(one: bytes, other: bytes) -> bool:
        compared.append(other)
        return compare_digest(one, other)

    known, compare_digest = read_keys(SETTING), hmac.compare_digest
    monkeypatch.setattr("ostinato_api.keys.hmac.compare_digest", watched)
    found = [find(known, key) for key in (ALICE, BOB, "ost_wrong")]

    assert found == [known[0], known[1], None]
    assert compared == [key.digest for key in known] * 3


async def test_a_preflight_passes_without_a_key_and_a_refusal_can_be_read(api: httpx.AsyncClient) -> None:
    origin = {"origin": "http://localhost:3000"}
    asked = {**origin, "access-control-request-method": "POST", "access-control-request-headers": "x-api-key"}

    preflight = await api.options("/runs/crons", headers=asked)
    refused = await api.post("/runs/crons", json=CRON, headers=origin)

    assert preflight.status_code == 204
    assert preflight.headers["access-control-allow-headers"] == "x-api-key"
    assert refused.status_code == 401
    assert refused.headers["access-control-allow-origin"] == origin["origin"]


async def test_any_host_is_answered_once_there_are_keys(alice: httpx.AsyncClient) -> None:
    asked = {"host": "crons.example.com"}

    assert (await alice.get("/info", headers=asked)).status_code == 200
    assert (await alice.get("/info", headers={**asked, "x-api-key": "wrong"})).status_code == 401


@pytest.mark.parametrize(
    ("origin", "status"),
    [
        ("https://crons.example.com", 200), ("http://crons.example.com", 200), ("https://crons.example.com:443", 200),
        ("https://evil.example", 403), ("https://crons.example.com:8443", 403), ("null", 403),
        ("ftp://crons.example.com", 403), ("https://crons.example.com.evil.example", 403), ("http://[", 403),
    ],
)  # fmt: skip
async def test_with_keys_the_servers_own_pages_pass_and_foreign_ones_do_not(
    alice: httpx.AsyncClient, origin: str, status: int
) -> None:
    answer = await alice.get("/info", headers={"host": "crons.example.com", "origin": origin})

    assert answer.status_code == status


async def test_named_origins_pass_with_a_key(database_uri: str, redis_uri: str, tmp_path: Path) -> None:
    named = settings(database_uri, redis_uri, tmp_path, api_keys=SETTING, allow_origin=["https://app.example.com"])
    async with open_api(named) as api:
        origin = {"origin": "https://app.example.com", "host": "crons.example.com"}
        without, with_key = [await api.get("/info", headers={**origin, **key}) for key in ({}, {"x-api-key": ALICE})]

    assert (without.status_code, with_key.status_code) == (401, 200)
    assert with_key.headers["access-control-allow-origin"] == "https://app.example.com"


@pytest.mark.parametrize(
    ("setting", "reason"),
    [
        (",", "holds no key"), ("alice", "entry 1 is not name:sha256-hex"), (f"alice:{ALICE}", "entry 1 is not"),
        (f"{entry_of('a', ALICE)},bob:{'0' * 63}", "entry 2 is not"), (f":{'0' * 64}", "entry 1 is not"),
        (f"a b:{'0' * 64}", "entry 1 is not"), (f"a:{'0' * 64},b:{'0' * 64}", "same key twice"),
    ],
)  # fmt: skip
def test_a_setting_that_is_wrong_stops_the_start_without_showing_it(setting: str, reason: str) -> None:
    with pytest.raises(ValidationError) as error:
        Settings(database_uri="postgresql://x", redis_uri="redis://x", api_keys=setting)

    (fault,) = error.value.errors(include_input=False)
    assert fault["loc"] == ("api_keys",)
    assert reason in fault["msg"]
    assert ALICE not in fault["msg"]


def test_an_empty_setting_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OSTINATO_API_KEYS", "")

    assert Settings(database_uri="postgresql://x", redis_uri="redis://x").api_keys == ()


def test_a_key_is_not_shown_by_its_repr() -> None:
    (key,) = read_keys(entry_of("alice", ALICE))

    assert key == ApiKey("alice", digest_of(ALICE))
    assert repr(key) == "ApiKey(name='alice')"


async def test_the_log_holds_no_keys(
    api: httpx.AsyncClient, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    await api.get("/info", headers={"x-api-key": ALICE})
    await api.get("/info", headers={"x-api-key": "ost_wrong"})
    await api.post("/ui/sign-in", data={"key": ALICE})
    await api.post("/ui/sign-in", data={"key": "ost_wrong"})

    said = caplog.text + "".join(capfd.readouterr())
    assert "signed_in" in said
    assert not [secret for secret in (ALICE, "ost_wrong", digest_of(ALICE).hex()) if secret in said]
