"""The very commands that docker-compose.yml runs, from the image's own environment, against plain servers."""

import base64
import http.client
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from langgraph_sdk import get_sync_client

from beat_setting import wait_for
from compose_file import PASSWORDS
from compose_place import START_SECONDS, Place, made_place
from whole_stack import REPOSITORY

pytestmark = pytest.mark.timeout(400)
QUESTION = {"messages": [{"role": "user", "content": "What time is it?"}]}
PROCESSES = {"api": "api", "beat-1": "beat", "beat-2": "beat", "worker-1": "worker", "worker-2": "worker"}


@pytest.fixture(scope="module")
def place(server_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    folder = server_folder / "compose"
    folder.mkdir()
    with made_place(folder, tmp_path_factory.mktemp("image")) as place:
        yield place


@pytest.fixture(scope="module")
def running(place: Place) -> Place:
    """All services, in the order of `depends_on`, with two workers."""
    wait_for(lambda: place.is_healthy("redis") and place.is_healthy("postgres"), seconds=START_SECONDS)
    start_ours(place)
    place.start("flower")
    wait_for(lambda: place.is_healthy("flower"), seconds=START_SECONDS)
    return place


def start_ours(place: Place) -> None:
    place.start("migrate")
    assert place.processes.pop("migrate").wait(START_SECONDS) == 0, place.log("migrate").read_text()
    for name, service in PROCESSES.items():
        place.log(name).unlink(missing_ok=True)
        place.start(service, name=name)
    for name, service in PROCESSES.items():
        place.wait_for(name, f"{service}_ready")


def stop_ours(place: Place) -> None:
    codes = {name: place.end(service, name=name) for name, service in PROCESSES.items()}
    assert codes == dict.fromkeys(PROCESSES, 0)


def status(port: int, path: str, **headers: str) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("GET", path, headers=headers)
        return connection.getresponse().status
    finally:
        connection.close()


def guide(part: str) -> list[tuple[str, str]]:
    """What the commands of the guide's section run, and in which service."""
    section = (REPOSITORY / "docs" / "compose.md").read_text().split(f"## {part}\n")[1].split("\n## ")[0]
    return re.findall(r"^docker compose exec (?:-T )?(\w+) (.+)$", section, re.MULTILINE)


def test_health_checks_tell_a_service_that_serves_from_one_that_does_not(running: Place) -> None:
    for service in ("postgres", "redis", "api", "flower"):
        assert running.is_healthy(service), service

    port, running.replaced["2024"] = running.replaced["2024"], "1"
    try:
        assert not running.is_healthy("api")
    finally:
        running.replaced["2024"] = port


def test_a_cron_fires_and_doctor_is_content(running: Place) -> None:
    with get_sync_client(url=running.url) as client:
        cron = dict(client.crons.create("agent", schedule="* * * * * *", input=QUESTION, on_run_completed="keep"))
        answered = wait_for(
            lambda: client.threads.search(metadata={"cron_id": cron["cron_id"]}, status="idle"), seconds=30
        )
        client.crons.delete(cron["cron_id"])

    assert "UTC" in answered[0]["values"]["messages"][-1]["content"]
    assert "FAIL" not in running.execute("api", dict(guide("Run"))["api"])


def test_one_beat_leads_and_the_other_stands_by(running: Place) -> None:
    def leading() -> list[str]:
        return [name for name in ("beat-1", "beat-2") if "beat_leads" in running.log(name).read_text()]

    wait_for(leading)
    assert len(leading()) == 1


def test_api_answers_loopback_names_only_and_flower_its_password_only(running: Place) -> None:
    good = base64.b64encode(f"ostinato:{PASSWORDS['FLOWER_PASSWORD']}".encode()).decode()

    assert status(running.ports["api"], "/ok", Host="127.0.0.1:2024") == 200
    assert status(running.ports["api"], "/ok", Host="api:2024") == 403
    for page in ("/workers", "/metrics"):
        assert status(running.ports["flower"], page) == 401
        assert status(running.ports["flower"], page, Authorization=f"Basic {good}") == 200


def test_no_password_is_shown_by_ps_or_by_the_logs(running: Place) -> None:
    for name, process in running.processes.items():
        shown = Path(f"/proc/{process.pid}/cmdline").read_text() + running.log(name).read_text()
        assert not any(password in shown for password in PASSWORDS.values()), name


def test_backup_brings_back_what_was_deleted_after_it(running: Place) -> None:
    ((_, dump), (_, restore), (_, empty)) = guide("Back up")
    with get_sync_client(url=running.url) as client:
        kept = dict(client.crons.create("agent", schedule="0 9 * * *", input=QUESTION))["cron_id"]
        running.execute("postgres", dump)
        client.crons.delete(kept)

    stop_ours(running)
    running.execute("postgres", restore)
    running.execute("redis", empty)
    start_ours(running)

    with get_sync_client(url=running.url) as client:
        assert client.crons.search(select=["cron_id"]) == [{"cron_id": kept}]
    assert "FAIL" not in running.execute("api", "ostinato doctor")


def test_everything_ends_within_its_grace_period(running: Place) -> None:
    stop_ours(running)

    assert running.end("flower") == 0
