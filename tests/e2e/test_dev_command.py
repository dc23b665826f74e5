"""`ostinato dev` as a person runs it, in a folder whose own packages are called like ours."""

import json
import os
import re
import select
import signal
import socket
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

GRAPH = """
from langgraph.graph import START, MessagesState, StateGraph

builder = StateGraph(MessagesState)
builder.add_node("answer", lambda state: {"messages": [("ai", "hello")]})
builder.add_edge(START, "answer")
graph = builder.compile()
"""
READY = re.compile(r"ready: api (\S+)  docs (\S+)  Flower (\S+) \(user (\S+), password (\S+)\)")
ENDING_SECONDS = 20.0
COMMAND = [sys.executable, "-P", "-m", "ostinato_cli", "dev", "--no-browser"]
OWN_VARIABLES = {"DATABASE_URI", "REDIS_URI", "OSTINATO_CONFIG", "OSTINATO_HOST", "OSTINATO_PORT"}

pytestmark = pytest.mark.timeout(240)


@dataclass
class Dev:
    process: subprocess.Popen[str]
    lines: list[str]

    def wait_until_ready(self) -> re.Match[str]:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(line)
            if found := READY.search(line):
                # What follows is read as well: a full pipe would stop the processes.
                threading.Thread(target=self.lines.extend, args=[self.process.stdout], daemon=True).start()
                return found
        raise AssertionError("dev ended before it was ready:\n" + "".join(self.lines))

    def family(self) -> list[int]:
        parents = {int(pid): parent for pid, parent in map(parent_of, Path("/proc").glob("[0-9]*")) if parent}
        found = [self.process.pid]
        for pid in found:
            found += [child for child, parent in parents.items() if parent == pid]
        return found


@pytest.fixture
def project(server_folder: Path, request: pytest.FixtureRequest) -> Path:
    folder: Path = server_folder / request.node.name
    folder.mkdir()
    (folder / "my_graph.py").write_text(GRAPH)
    (folder / "langgraph.json").write_text(
        json.dumps({"dependencies": ["."], "graphs": {"mine": "./my_graph.py:graph"}})
    )
    for name in ("api", "beat", "cli", "shared", "worker", "ostinato", "celery"):
        (folder / name).mkdir()
        (folder / name / "__init__.py").write_text("raise SystemExit('a package of the user was imported by accident')")
    return folder


def without_own_variables() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name not in OWN_VARIABLES}


@contextmanager
def running_dev(project: Path, *options: str, **variables: str) -> Iterator[Dev]:
    env = without_own_variables() | variables
    command = [*COMMAND, "--port", "0", *options]
    with subprocess.Popen(
        command, cwd=project, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        try:
            yield Dev(process, [])
        finally:
            process.kill()


def test_one_command_brings_everything_up_and_one_signal_ends_it(project: Path) -> None:
    with running_dev(project, "--workers", "2") as dev:
        api, docs, flower, user, password = dev.wait_until_ready().groups()
        family = dev.family()

        assert fetch(f"{api}/ok") == 200
        assert fetch(docs) == 200
        assert fetch(flower) == 401
        assert fetch(flower, user=user, password=password) == 200
        assert not [line for line in map(command_line, family) if password in line or "postgresql://" in line]

        dev.process.send_signal(signal.SIGINT)
        assert dev.process.wait(ENDING_SECONDS) == 0
        assert all(ended(pid) for pid in family)


def test_doctor_beside_it_examines_its_servers(project: Path) -> None:
    addresses = project / ".ostinato" / "addresses.env"
    with running_dev(project) as dev:
        dev.wait_until_ready()

        assert addresses.stat().st_mode & 0o777 == 0o600
        done = subprocess.run(
            [sys.executable, "-P", "-m", "ostinato_cli", "doctor"],
            cwd=project, env=without_own_variables(), capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert (done.returncode, "ok    workers: 1 alive" in done.stdout) == (0, True), done.stdout

        dev.process.send_signal(signal.SIGINT)
        dev.process.wait(ENDING_SECONDS)
        assert not addresses.exists()


def test_kill_9_leaves_no_process_and_the_next_start_finds_the_data(project: Path) -> None:
    with running_dev(project) as dev:
        api = dev.wait_until_ready()[1]
        thread_id = post(f"{api}/threads", {"metadata": {"mark": "kept"}})["thread_id"]
        family = dev.family()

        dev.process.kill()
        dev.process.wait()

        assert len(family) > 6
        assert all(ended(pid) for pid in family)

    with running_dev(project) as dev:
        api = dev.wait_until_ready()[1]

        assert fetch(f"{api}/threads/{thread_id}") == 200


def test_killed_process_is_started_again(project: Path) -> None:
    with running_dev(project, "--no-flower") as dev:
        assert dev.process.stdout is not None
        for line in dev.process.stdout:
            if "ready: api" in line:
                beat = next(pid for pid in dev.family() if command_line(pid).endswith("ostinato_cli beat"))
                os.kill(beat, signal.SIGKILL)
            if "beat was killed by SIGKILL unexpectedly; starting it again" in line:
                break
        for line in dev.process.stdout:
            if "beat_ready" in line:
                break
        else:
            pytest.fail("beat did not come back")


def test_database_named_in_the_environment_replaces_the_embedded_one_alone(project: Path, database_uri: str) -> None:
    with running_dev(project, "--no-flower", DATABASE_URI=database_uri) as dev:
        assert dev.process.stdout is not None
        assert any("ready: api" in line for line in dev.process.stdout)

    assert not (project / ".ostinato" / "postgres").exists()
    assert (project / ".ostinato" / "valkey").exists()


def test_taken_port_is_refused_with_its_owner_and_the_flag(project: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]

        output = refusal(project, "--port", str(port))

    assert f"Port {port} is taken by" in output
    assert f"(process {os.getpid()})" in output
    assert "--port" in output


def test_data_folder_that_cannot_be_is_refused_with_the_flag(project: Path) -> None:
    (project / "data").write_text("")

    assert "--data-dir" in refusal(project, "--port", "0", "--data-dir", "data")
    assert "--data-dir" in refusal(project, "--port", "0", "--data-dir", "data/below")


def test_missing_project_file_is_refused_with_the_flag(project: Path) -> None:
    (project / "langgraph.json").unlink()

    assert "--config" in refusal(project, "--port", "0")


def test_import_error_in_a_graph_is_told_with_its_place(project: Path) -> None:
    (project / "my_graph.py").write_text("import a_package_that_nobody_has\n")

    output = refusal(project, "--port", "0")

    assert "my_graph.py:1" in output
    assert "a_package_that_nobody_has" in output


def test_unreachable_database_is_told_with_the_variable(project: Path) -> None:
    output = refusal(project, "--port", "0", DATABASE_URI="postgresql://nobody:secret@127.0.0.1:1/none")

    assert "DATABASE_URI" in output
    assert "secret" not in output


def refusal(project: Path, *options: str, **variables: str) -> str:
    env = {name: value for name, value in os.environ.items() if name not in OWN_VARIABLES} | variables
    done = subprocess.run([*COMMAND, *options], cwd=project, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    return done.stderr


def fetch(url: str, *, user: str = "", password: str = "") -> int:
    passwords = urllib.request.HTTPPasswordMgrWithPriorAuth()
    if user:
        passwords.add_password(None, url, user, password, is_authenticated=True)
    opener = urllib.request.build_opener(urllib.request.HTTPBasicAuthHandler(passwords))
    try:
        with opener.open(url, timeout=10) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        with error:
            return int(error.code)


def post(url: str, body: object) -> dict[str, str]:
    request = urllib.request.Request(url, json.dumps(body).encode(), {"Content-Type": "application/json"})  # noqa: S310 - our own server
    with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310 - likewise
        found: dict[str, str] = json.load(answer)
        return found


def parent_of(process: Path) -> tuple[str, int | None]:
    try:
        return process.name, int((process / "stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return process.name, None


def command_line(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ").strip()
    except OSError:
        return ""


def ended(pid: int) -> bool:
    """Whether the process ends within the time that servers need."""
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        return bool(select.select([handle], [], [], ENDING_SECONDS)[0])
    finally:
        os.close(handle)
