"""Webhooks when they are asked for: of runs and crons, by the rules of the project, before anything is stored."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from api_setting import change_cron, contents, fetch, make_cron, make_thread, open_api, services_of, settings
from ostinato_shared.webhook_policy import WebhookPolicy

if TYPE_CHECKING:
    from pathlib import Path

    import httpx

PUBLIC = "https://93.184.216.34/hook"


@pytest.mark.parametrize(
    ("webhook", "reason"),
    [
        ("http://127.0.0.1:9/hook", "loopback"),
        ("http://localhost/hook", "loopback"),
        ("http://[::ffff:10.0.0.1]/hook", "private or reserved"),
        ("http://169.254.169.254/latest/meta-data", "no webhook may be sent to"),
        ("http://2852039166/latest/meta-data", "no webhook may be sent to"),
        ("https://nowhere.invalid/hook", "does not resolve"),
        ("/custom/hook", "absolute http or https URL"),
    ],
)
async def test_webhook_that_may_not_be_sent_is_422_wherever_it_is_given_and_stores_nothing(
    api: httpx.AsyncClient, database_uri: str, webhook: str, reason: str
) -> None:
    thread_id = make_thread(database_uri)
    cron = await make_cron(api)
    run: dict[str, Any] = {"assistant_id": "agent", "webhook": webhook}
    before = contents(database_uri)

    for method, path, body in [
        ("POST", "/runs", run), ("POST", f"/threads/{thread_id}/runs", run), ("POST", "/runs/wait", run),
        ("POST", f"/threads/{thread_id}/runs/wait", run), ("POST", "/runs/batch", [{"assistant_id": "agent"}, run]),
        ("POST", "/runs/crons", {**run, "schedule": "0 9 * * *"}),
        ("POST", f"/threads/{thread_id}/runs/crons", {**run, "schedule": "0 9 * * *"}),
        ("PATCH", f"/runs/crons/{cron['cron_id']}", {"webhook": webhook}),
    ]:  # fmt: skip
        answer = await api.request(method, path, json=body)

        assert answer.status_code == 422, (path, answer.text)
        assert "webhook: " in answer.json()["detail"]
        assert reason in answer.json()["detail"]
    assert contents(database_uri) == before


async def test_webhook_to_a_public_address_is_stored_with_run_and_cron(
    api: httpx.AsyncClient, database_uri: str
) -> None:
    run = (await api.post("/runs", json={"assistant_id": "agent", "webhook": PUBLIC})).json()
    cron = await make_cron(api, webhook=PUBLIC)
    changed = await change_cron(api, cron, webhook=f"{PUBLIC}/2")
    kept = await change_cron(api, cron, enabled=False)

    assert run["kwargs"]["webhook"] == PUBLIC
    assert cron["payload"]["webhook"] == PUBLIC
    assert changed["payload"]["webhook"] == kept["payload"]["webhook"] == f"{PUBLIC}/2"
    assert [row["url"] for row in fetch(database_uri, "SELECT kwargs ->> 'webhook' AS url FROM run")] == [PUBLIC]


async def test_projects_rules_and_headers_are_the_servers(
    database_uri: str, redis_uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ALLOW_PRIVATE_NETWORK", "true")
    monkeypatch.setenv("LG_WEBHOOK_KEY", "s3cret")
    own = settings(database_uri, redis_uri, tmp_path)
    section = {
        "url": {"require_https": False, "disable_loopback": False, "max_url_length": 40},
        "headers": {"X-Key": "${{ env.LG_WEBHOOK_KEY }}"},
    }
    own.config.write_text(json.dumps({**json.loads(own.config.read_text()), "webhooks": section}))

    async with open_api(own) as api:
        run = await api.post("/runs", json={"assistant_id": "agent", "webhook": "http://127.0.0.1:9/hook"})
        long = await api.post("/runs", json={"assistant_id": "agent", "webhook": f"http://127.0.0.1:9/{'x' * 40}"})
        cron = await make_cron(api, webhook="http://127.0.0.1:9/hook")
        policy = services_of(api).project.webhooks.policy

    assert policy == WebhookPolicy(disable_loopback=False, max_url_length=40, allow_private_network=True)
    assert run.status_code == 200
    assert (long.status_code, long.json()["detail"]) == (422, "webhook: the URL must have at most 40 characters")
    assert "s3cret" not in json.dumps([run.text, cron, contents(database_uri)], default=str)
