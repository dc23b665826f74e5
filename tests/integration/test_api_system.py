"""Who is let in, how a request is read, and what every answer looks like."""

import asyncio
import json
import os
import signal
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from inspect import isasyncgenfunction, iscoroutinefunction
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import psycopg
import pytest
import pytest_asyncio
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute

from api_setting import AGENT_ID, execute, fetch, open_api, services_of, settings
from ostinato_api import middleware
from ostinato_api.dashboard.routes import ROUTERS as DASHBOARD
from ostinato_api.routes import ROUTERS as API
from ostinato_cli.embedded import EmbeddedValkey

CRON = {"assistant_id": "agent", "schedule": "0 9 * * *"}
UNKNOWN = "01a2022d-0bdd-77a7-ad18-a20902c4cc9b"


pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def api(
    database_uri: str, valkey_server: EmbeddedValkey, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[httpx.AsyncClient]:
    async with open_api(settings(database_uri, valkey_server.uri, tmp_path_factory.mktemp("project"))) as client:
        yield client


async def test_ok_and_root_say_that_the_server_is_well(api: httpx.AsyncClient) -> None:
    for path in ("/ok", "/", "/ok?check_db=1", "/ok?check_db=true"):
        answer = await api.get(path)

        assert answer.status_code == 200
        assert answer.json()["ok"] is True


async def test_ok_is_500_when_asked_about_a_database_that_is_away(
    database_uri: str, redis_uri: str, tmp_path: Path
) -> None:
    async with open_api(settings(database_uri, redis_uri, tmp_path)) as api:
        services = services_of(api)
        bind = services.sessions.kw["bind"]
        await bind.dispose()
        bind.sync_engine.url = bind.url.set(database="nowhere")
        bind.sync_engine.pool._creator = _refuse

        answer = await api.get("/ok", params={"check_db": 1})
        plain = await api.get("/ok")
        search = await api.post("/runs/crons/search", json={})

    assert answer.status_code == 500
    assert isinstance(answer.json()["detail"], str)
    assert plain.status_code == 200
    assert search.status_code == 503


async def test_ok_is_500_when_asked_about_a_database_that_hangs(
    database_uri: str, redis_uri: str, tmp_path: Path
) -> None:
    async with open_api(settings(database_uri, redis_uri, tmp_path)) as api:
        await api.get("/ok", params={"check_db": 1})  # opens a connection
        with frozen_connections(database_uri):
            answer = await asyncio.wait_for(api.get("/ok", params={"check_db": 1}), 20)

    assert answer.status_code == 500


async def test_request_that_a_database_keeps_hanging_is_answered_with_503(
    database_uri: str, redis_uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_api(settings(database_uri, redis_uri, tmp_path)) as api:
        await api.post("/runs", json={"assistant_id": "agent"})
        await api.post("/runs/crons", json=CRON)
        monkeypatch.setattr(middleware, "ANSWER_SECONDS", 0.5)
        with frozen_connections(database_uri):
            asked = (api.post("/runs", json={"assistant_id": "agent"}), api.post("/runs/crons", json=CRON))
            answers = await asyncio.wait_for(asyncio.gather(*asked), 20)

    assert [(answer.status_code, answer.headers["retry-after"]) for answer in answers] == [(503, "1")] * 2
    assert [len(fetch(database_uri, f"SELECT FROM {table}")) for table in ("run", "cron")] == [1, 1]


async def test_answer_that_has_begun_may_last(api: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(middleware, "ANSWER_SECONDS", 0.5)
    waits = asyncio.create_task(api.post("/runs/wait", json={"assistant_id": "agent"}))

    assert not (await asyncio.wait({waits}, timeout=1.5))[0]
    await api.post("/runs/cancel", json={"status": "all"})
    assert (await waits).status_code == 200


async def test_body_that_is_long_in_coming_is_waited_for(
    api: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def slowly() -> AsyncIterator[bytes]:
        await asyncio.sleep(1)
        yield json.dumps(CRON).encode()

    monkeypatch.setattr(middleware, "ANSWER_SECONDS", 0.5)

    assert (await api.post("/runs/crons", content=slowly())).status_code == 200


@contextmanager
def frozen_connections(database_uri: str) -> Iterator[None]:
    """The api's open connections are there, and do nothing."""
    with psycopg.connect(database_uri, autocommit=True) as other:
        found = other.execute("SELECT pid FROM pg_stat_activity WHERE application_name = 'ostinato'").fetchall()
    pids = [pid for (pid,) in found]
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)


def _refuse(*_: object) -> None:
    raise psycopg.OperationalError("nobody there")


async def test_info_names_versions_and_flags(api: httpx.AsyncClient) -> None:
    info = (await api.get("/info")).json()

    assert info["flags"] == {"assistants": True, "crons": True, "langsmith": False}
    assert info["host"]["kind"] == "self-hosted"
    assert info["langgraph_py_version"][0].isdigit()


async def test_docs_ask_nothing_of_other_hosts(api: httpx.AsyncClient) -> None:
    page = await api.get("/docs")

    assert page.headers["content-type"].startswith("text/html")
    assert "http:" not in page.text
    assert "https:" not in page.text


async def test_openapi_describes_bodies_and_answers_of_every_route(api: httpx.AsyncClient) -> None:
    document = (await api.get("/openapi.json")).json()

    assert {"/runs/crons", "/threads/{thread_id}/runs/crons", "/assistants/search", "/ok"} <= set(document["paths"])
    create = document["paths"]["/runs/crons"]["post"]
    assert "requestBody" in create
    assert create["responses"]["200"]["content"]["application/json"]["schema"]["$ref"].endswith("CronOut")
    codes = {
        (path, method): set(operation["responses"])
        for path, operations in document["paths"].items()
        for method, operation in operations.items()
    }
    assert codes["/runs/crons", "post"] == {"200", "400", "404", "422", "503"}
    assert codes["/threads/{thread_id}/runs", "post"] == {"200", "400", "404", "409", "422", "503"}
    assert codes["/threads/{thread_id}/state", "post"] == {"200", "400", "404", "409", "422", "503"}
    assert codes["/threads/{thread_id}/runs/{run_id}", "delete"] == {"204", "404", "422", "503"}
    assert document["components"]["schemas"]["Problem"]["properties"]["detail"]["type"] == "string"
    assert "HTTPValidationError" not in document["components"]["schemas"]


async def test_no_route_waits_for_a_thread() -> None:
    """FastAPI sends each plain function to a thread: that was half of a small request's time."""
    routes = [route for router in (*API, *DASHBOARD) for route in router.routes if isinstance(route, APIRoute)]

    called = {call for route in routes for call in calls_of(route.dependant)}

    assert len(called) > len(routes)  # the dependencies, too
    assert {
        call.__qualname__ for call in called if not (iscoroutinefunction(call) or isasyncgenfunction(call))
    } == set()


def calls_of(dependant: Dependant) -> Iterator[Callable[..., Any]]:
    if dependant.call is not None:
        yield dependant.call
    for below in dependant.dependencies:
        yield from calls_of(below)


@pytest.mark.parametrize("path", ["/nope", "/a2a/x", "/mcp", "/runs/crons/"])
async def test_unknown_paths_are_404(api: httpx.AsyncClient, path: str) -> None:
    answer = await api.get(path)

    assert answer.status_code == 404
    assert answer.json() == {"detail": "Not Found"}


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("GET", "/runs/crons", "POST"),
        ("DELETE", "/ok", "GET"),
        ("PUT", "/assistants", "POST"),
        ("PUT", f"/assistants/{UNKNOWN}", "DELETE, GET, PATCH"),
        ("PUT", f"/threads/{UNKNOWN}/runs", "GET, POST"),
        ("POST", f"/runs/crons/{UNKNOWN}", "DELETE, GET, PATCH"),
    ],
)
async def test_wrong_methods_are_405(api: httpx.AsyncClient, method: str, path: str, allowed: str) -> None:
    answer = await api.request(method, path)

    assert answer.headers["allow"] == allowed
    assert answer.status_code == 405
    assert answer.json() == {"detail": "Method Not Allowed"}


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", None])
async def test_a_body_is_json_whatever_its_content_type_says(api: httpx.AsyncClient, kind: str | None) -> None:
    headers = {} if kind is None else {"content-type": kind}

    answer = await api.post("/assistants/count", content=b'{"graph_id": "agent"}', headers=headers)

    assert (answer.status_code, answer.json()) == (200, 1)


@pytest.mark.parametrize("body", [b"", b"{", b"nope", b"{'a': 1}", b'{"a": 1}x', b"\xff\xfe", b'{"a": "\xed\xa0\x80"}'])
async def test_an_empty_or_broken_body_is_422(api: httpx.AsyncClient, body: bytes) -> None:
    answer = await api.post("/runs/crons", content=body)

    assert answer.status_code == 422
    assert answer.json() == {"detail": "Invalid JSON in request body"}


@pytest.mark.parametrize("body", [b"[]", b"null", b"1", b'"x"', b"true"])
async def test_a_body_that_is_no_object_is_422(api: httpx.AsyncClient, body: bytes) -> None:
    answer = await api.post("/runs/crons", content=body)

    assert answer.status_code == 422
    assert "object" in answer.json()["detail"]


@pytest.mark.parametrize(
    ("value", "named"),
    [
        (b"NaN", "NaN"),
        (b"-Infinity", "Infinity"),
        (b"1e999", "input.a"),
        (b'"x\\u0000y"', "input.a"),
        (b'"\\ud83d"', "input.a"),
        (b'{"k\\u0000": 1}', "input.a"),
        (b'{"\\udc00": 1}', "input.a"),
        (b"1" * 4301, "digits"),
        (b"[" * 101 + b"]" * 101, "deep"),
        (b"[" * 200_000 + b"]" * 200_000, "deep"),
        (b'{"a":' * 5000 + b"1" + b"}" * 5000, "deep"),
    ],
)
async def test_what_cannot_be_stored_is_422_and_named(api: httpx.AsyncClient, value: bytes, named: str) -> None:
    body = b'{"assistant_id": "agent", "schedule": "0 9 * * *", "input": {"a": ' + value + b"}}"

    answer = await api.post("/runs/crons", content=body)

    assert answer.status_code == 422
    assert named in answer.json()["detail"]


async def test_what_is_large_but_can_be_stored_comes_back(api: httpx.AsyncClient) -> None:
    value = {
        "big": 10**4299,
        "small": 1e-300,
        "text": "\U0001f600\x7f\u2028",
        "escaped": "\\u0000",
        "deep": _nested(90),
    }

    made = await api.post("/runs/crons", json={**CRON, "input": value})
    read = await api.get(f"/runs/crons/{made.json()['cron_id']}")

    assert read.json()["payload"]["input"] == value


def _nested(depth: int) -> list[object]:
    nested: list[object] = []
    for _ in range(depth):
        nested = [nested]
    return nested


@pytest.mark.parametrize("chunked", [False, True])
async def test_a_body_over_ten_mebibytes_is_413(api: httpx.AsyncClient, *, chunked: bool) -> None:
    body = b'{"a": "' + b"x" * 10 * 2**20 + b'"}'

    async def chunks() -> AsyncIterator[bytes]:
        yield body

    answer = await api.post("/runs/crons", content=chunks() if chunked else body)

    assert answer.status_code == 413
    assert "10 MiB" in answer.json()["detail"]


async def test_an_announced_giant_is_refused_before_it_is_read(api: httpx.AsyncClient) -> None:
    answer = await api.post("/runs/crons", content=b"{}", headers={"content-length": "1" + "0" * 30})

    assert answer.status_code == 413


async def test_every_field_that_does_not_fit_is_named(api: httpx.AsyncClient) -> None:
    answer = await api.post("/runs/crons", json={"schedule": 1, "enabled": "yes"})

    assert answer.status_code == 422
    assert all(name in answer.json()["detail"] for name in ("assistant_id", "schedule", "enabled"))


@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST:2024", "127.0.0.1:2024", "127.1.2.3", "[::1]:80", "a.localhost"]
)
async def test_loopback_hosts_are_answered(api: httpx.AsyncClient, host: str) -> None:
    assert (await api.get("/ok", headers={"host": host})).status_code == 200


@pytest.mark.parametrize(
    "host",
    ["evil.example", "evil.example:2024", "10.0.0.1", "0.0.0.0", "localhost.evil.example", "127.0.0.1.evil.example", "",  # noqa: S104 - a name in a header
     "[::1", "evil@localhost.example", "localhost@evil.example"],
)  # fmt: skip
async def test_other_hosts_are_403(api: httpx.AsyncClient, host: str) -> None:
    answer = await api.get("/ok", headers={"host": host})

    assert answer.status_code == 403
    assert "detail" in answer.json()


@pytest.mark.parametrize("origin", ["http://localhost:3000", "https://127.0.0.1", "http://[::1]:8080"])
async def test_pages_of_this_machine_may_use_the_server(api: httpx.AsyncClient, origin: str) -> None:
    answer = await api.post("/assistants/search", json={"limit": 1}, headers={"origin": origin})

    assert answer.status_code == 200
    assert answer.headers["access-control-allow-origin"] == origin
    assert answer.headers["vary"] == "Origin"
    exposed = answer.headers["access-control-expose-headers"]
    assert all(name in exposed for name in ("x-pagination-total", "x-pagination-next", "content-location", "location"))


@pytest.mark.parametrize(
    "origin", ["http://evil.example", "null", "http://localhost.evil.example", "file://", "", "http://[", "evil"]
)
async def test_pages_from_elsewhere_are_403_and_change_nothing(api: httpx.AsyncClient, origin: str) -> None:
    metadata = {"from": "elsewhere"}

    answer = await api.post("/runs/crons", json={**CRON, "metadata": metadata}, headers={"origin": origin})

    assert answer.status_code == 403
    assert "access-control-allow-origin" not in answer.headers
    assert (await api.post("/runs/crons/count", json={"metadata": metadata})).json() == 0


async def test_a_preflight_of_this_machine_is_answered(api: httpx.AsyncClient) -> None:
    asked = {
        "origin": "http://localhost:3000",
        "access-control-request-method": "PATCH",
        "access-control-request-headers": "x-api-key,content-type",
    }

    answer = await api.options("/runs/crons/x", headers=asked)

    assert answer.status_code == 204
    assert "PATCH" in answer.headers["access-control-allow-methods"]
    assert answer.headers["access-control-allow-headers"] == "x-api-key,content-type"


async def test_a_preflight_from_elsewhere_is_403(api: httpx.AsyncClient) -> None:
    asked = {"origin": "http://evil.example", "access-control-request-method": "POST"}

    assert (await api.options("/runs/crons", headers=asked)).status_code == 403


async def test_errors_can_be_read_by_pages_of_this_machine(api: httpx.AsyncClient) -> None:
    answer = await api.get("/nope", headers={"origin": "http://localhost:3000"})

    assert answer.status_code == 404
    assert answer.headers["access-control-allow-origin"] == "http://localhost:3000"


async def test_named_origins_are_let_in_with_their_host(database_uri: str, redis_uri: str, tmp_path: Path) -> None:
    named = settings(database_uri, redis_uri, tmp_path, allow_origin=["https://app.example.com/"])

    async with open_api(named) as api:
        own = await api.get("/ok", headers={"host": "app.example.com", "origin": "https://app.example.com"})
        other_scheme = await api.get("/ok", headers={"origin": "http://app.example.com"})
        other = await api.get("/ok", headers={"host": "www.example.com"})

    assert own.status_code == 200
    assert own.headers["access-control-allow-origin"] == "https://app.example.com"
    assert other_scheme.status_code == 403
    assert other.status_code == 403


async def test_a_star_lets_everybody_in(database_uri: str, redis_uri: str, tmp_path: Path) -> None:
    async with open_api(settings(database_uri, redis_uri, tmp_path, allow_origin=["*"])) as api:
        answer = await api.get("/ok", headers={"host": "any.example", "origin": "https://evil.example"})

    assert answer.status_code == 200


async def test_answers_carry_a_request_id(api: httpx.AsyncClient) -> None:
    made = await api.get("/ok")
    given = await api.get("/ok", headers={"x-request-id": "abc-1"})
    forged = await api.get("/ok", headers={"x-request-id": "two words"})

    assert made.headers["x-request-id"]
    assert given.headers["x-request-id"] == "abc-1"
    assert forged.headers["x-request-id"] != "two words"


async def test_the_log_holds_no_bodies_keys_or_queries(
    api: httpx.AsyncClient, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    headers = {"x-api-key": "lsv2_secret", "authorization": "Bearer secret"}

    await api.post("/runs/crons?token=secret", json={**CRON, "input": {"prompt": "secret"}}, headers=headers)
    await api.post("/runs/crons", json={**CRON, "schedule": "secret"}, headers=headers)

    assert "secret" not in caplog.text + "".join(capfd.readouterr())


async def test_an_api_key_is_ignored_while_there_is_no_auth(api: httpx.AsyncClient) -> None:
    answer = await api.get(f"/assistants/{AGENT_ID}", headers={"x-api-key": "whatever"})

    assert answer.status_code == 200


async def test_what_goes_wrong_here_is_500_without_a_word_about_it(  # noqa: PLR0917 - pytest passes them by name
    database_uri: str,
    redis_uri: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def fail(*_: object, **__: object) -> None:
        raise RuntimeError("our own fault")

    monkeypatch.setattr("ostinato_api.crons.get", fail)
    async with open_api(settings(database_uri, redis_uri, tmp_path)) as api:
        answer = await api.get(f"/runs/crons/{uuid4()}", headers={"origin": "http://localhost:3000"})

    assert (answer.status_code, answer.json()) == (500, {"detail": "Internal Server Error"})
    assert answer.headers["access-control-allow-origin"] == "http://localhost:3000"
    log = caplog.text + "".join(capfd.readouterr())
    assert "request_failed" in log
    assert "our own fault" in log


async def test_an_error_of_the_database_shows_no_values_in_the_log(
    database_uri: str,
    redis_uri: str,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with open_api(settings(database_uri, redis_uri, tmp_path)) as api:
        execute(database_uri, "ALTER TABLE cron ADD CONSTRAINT never CHECK (false) NOT VALID")
        answer = await api.post("/runs/crons", json={**CRON, "input": {"prompt": "secret"}})
        execute(database_uri, "ALTER TABLE cron DROP CONSTRAINT never")

    assert answer.status_code == 500
    log = caplog.text + "".join(capfd.readouterr())
    assert 'violates check constraint "never"' in log
    assert "secret" not in log
