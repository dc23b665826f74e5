"""Both official SDKs against an api with keys."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from langgraph_sdk import get_client, get_sync_client
from langgraph_sdk.errors import AuthenticationError

from api_setting import serve_api, settings
from javascript import NODE, install
from ostinato_cli.embedded import EmbeddedValkey
from ostinato_shared.api_keys import entry_of, make_key

SUITE = Path(__file__).parent / "js"
KEY, OTHER = make_key(), make_key()


@pytest.fixture(scope="module")
def url(database_uri: str, valkey_server: EmbeddedValkey, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    keys = f"{entry_of('alice', KEY)},{entry_of('bob', OTHER)}"
    with serve_api(settings(database_uri, valkey_server.uri, tmp_path_factory.mktemp("project"), api_keys=keys)) as url:
        yield url


async def test_python_sdk_with_each_key(url: str) -> None:
    for key, name in ((KEY, "alice"), (OTHER, "bob")):
        client = get_client(url=url, api_key=key)
        cron = dict(await client.crons.create("agent", schedule="0 9 * * *"))
        await client.aclose()

        assert cron["user_id"] == name


def test_python_sdk_with_a_wrong_key_with_none_and_with_one_in_its_own_header(url: str) -> None:
    for key in (None, "ost_wrong"):
        with get_sync_client(url=url, api_key=key) as client, pytest.raises(AuthenticationError):
            client.crons.search()
    with get_sync_client(url=url, api_key=None, headers={"Authorization": f"Bearer {KEY}"}) as client:
        assert isinstance(client.crons.search(), list)


@pytest.mark.timeout(300)
def test_javascript_sdk_with_a_key_with_a_wrong_one_and_with_none(url: str, tmp_path: Path) -> None:
    shutil.copytree(SUITE, tmp_path / "js", ignore=shutil.ignore_patterns("node_modules"))
    install(tmp_path / "js")

    ended = subprocess.run(
        [str(NODE), "--test", "--test-reporter=tap", "keys.test.mjs"],
        cwd=tmp_path / "js", env={**os.environ, "OSTINATO_URL": url, "OSTINATO_KEY": KEY},
        capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert ended.returncode == 0, ended.stdout + ended.stderr
