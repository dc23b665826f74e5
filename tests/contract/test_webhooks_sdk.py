"""Webhooks through both official SDKs, against a whole Ostinato and an https far end."""

from __future__ import annotations

import json
import os
import shutil
import ssl
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import trustme
from langgraph_sdk import get_sync_client
from langgraph_sdk.errors import UnprocessableEntityError

from api_worker import write_graphs
from far_end import far_end
from javascript import NODE, install
from whole_stack import running_dev

if TYPE_CHECKING:
    from far_end import Call, FarEnd

SUITE = Path(__file__).parent / "js"


def project(folder: Path) -> Path:
    """Graphs, and a section that lets webhooks go to this machine by https."""
    config = write_graphs(folder)
    section = {
        "url": {"disable_loopback": False, "allowed_domains": ["localhost", "169.254.169.254"]},
        "headers": {"X-Key": "${{ env.LG_WEBHOOK_KEY }}"},
    }
    config.write_text(json.dumps({**json.loads(config.read_text()), "webhooks": section}))
    return config


def call_to(end: FarEnd, path: str) -> Call:
    """The first call there, once it has come."""
    with end.came:
        assert end.came.wait_for(lambda: any(call.path == path for call in end.calls), 60), f"no call came to {path}"
        return next(call for call in end.calls if call.path == path)


@pytest.mark.timeout(300)
def test_both_sdks_get_their_webhooks(tmp_path: Path) -> None:
    ca, context = trustme.CA(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ca.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    ca.issue_cert("localhost").configure_cert(context)
    shutil.copytree(SUITE, tmp_path / "js", ignore=shutil.ignore_patterns("node_modules"))
    install(tmp_path / "js")
    environment = {
        "ALLOW_PRIVATE_NETWORK": "true", "SSL_CERT_FILE": str(tmp_path / "ca.pem"), "LG_WEBHOOK_KEY": "s3cret",
    }  # fmt: skip

    with (
        far_end() as inner,
        far_end(context=context) as end,
        running_dev(tmp_path / "data", "--no-flower", config=project(tmp_path), env=environment) as dev,
        get_sync_client(url=dev.url) as client,
    ):
        hooks = end.url("", host="localhost", scheme="https")
        end.at |= dict.fromkeys(("/redirected", "/js-redirected"), (307, inner.url("/latest/meta-data")))
        client.runs.create(None, "steps", input={}, webhook=f"{hooks}/redirected")
        client.runs.create(None, "steps", input={}, webhook=f"{hooks}/run")
        cron = client.crons.create("steps", schedule="* * * * * *", input={}, webhook=f"{hooks}/cron")
        with pytest.raises(UnprocessableEntityError, match="https://"):
            client.runs.create(None, "steps", input={}, webhook=inner.url())
        with pytest.raises(UnprocessableEntityError, match="no webhook may be sent to"):
            client.runs.create(None, "steps", input={}, webhook="https://169.254.169.254/latest")
        ended = subprocess.run(
            [str(NODE), "--test", "--test-reporter=tap", "webhooks.test.mjs"],
            cwd=tmp_path / "js", env={**os.environ, "OSTINATO_URL": dev.url, "HOOK_URL": hooks},
            capture_output=True, text=True, check=False,
        )  # fmt: skip

        assert ended.returncode == 0, ended.stdout + ended.stderr
        for path in ("/run", "/cron", "/js-run", "/js-cron"):
            call = call_to(end, path)
            assert (call.body["status"], call.body["values"]["parts"]) == ("success", ["first", "second"])
            assert call.headers["X-Key"] == "s3cret"
        for path in ("/redirected", "/js-redirected"):
            call_to(end, path)
            dev.wait_for(r"webhook_given_up.*HTTP 307")
        assert call_to(end, "/cron").body["metadata"]["cron_id"] == cron["cron_id"]
        assert inner.calls == []
        assert "s3cret" not in "".join(dev.output)
