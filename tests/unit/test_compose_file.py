"""docker-compose.yml, the Dockerfile and their guide, as far as they can be judged without an engine."""

import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from compose_file import COMPOSE, DOCKERFILE, FILE, PASSWORDS, compose, normalised, seconds
from ostinato_api.main import STOP_SECONDS
from ostinato_worker.stopping import HANG_SECONDS
from whole_stack import REPOSITORY

OURS = {"migrate", "api", "beat", "worker", "flower"}
GUIDE = (REPOSITORY / "docs" / "compose.md").read_text()
BLOCKS = {
    language: re.findall(rf"```{language}\n(.*?)```", GUIDE, re.DOTALL) for language in ("bash", "yaml", "dockerfile")
}
COMMANDS = [line for block in BLOCKS["bash"] for line in block.splitlines() if line.startswith("docker compose ")]


@pytest.fixture(scope="module")
def file() -> dict[str, Any]:
    return normalised()


@pytest.fixture(scope="module")
def services(file: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = file["services"]
    return found


@pytest.mark.parametrize("name", PASSWORDS)
@pytest.mark.parametrize("value", [None, ""])
def test_nothing_starts_without_a_password(name: str, value: str | None) -> None:
    variables = {**PASSWORDS, name: value}

    done = compose("config", variables={key: value for key, value in variables.items() if value is not None})

    assert done.returncode != 0
    assert f"{name} is missing a value: set it in .env" in done.stderr


def test_example_environment_has_to_be_filled_in_first_and_then_does(tmp_path: Path) -> None:
    example = (REPOSITORY / ".env.example").read_text()
    filled = tmp_path / "filled.env"
    filled.write_text(re.sub(r"^(\w+)=$", r"\1=secret", example, flags=re.MULTILINE))
    everything = tmp_path / "everything.env"
    everything.write_text(re.sub(r"^#(\w+=.+)$", r"\1", filled.read_text(), flags=re.MULTILINE))

    refused, taken = (
        compose("--env-file", path, "config", variables={}) for path in (REPOSITORY / ".env.example", filled)
    )

    assert refused.returncode != 0
    assert taken.returncode == 0, taken.stderr
    # What stands there commented out are the defaults.
    assert compose("--env-file", everything, "config", variables={}).stdout == taken.stdout


def test_file_fits_the_schema_of_compose() -> None:
    check = Path(sys.executable).with_name("check-jsonschema")
    done = subprocess.run(
        [check, "--builtin-schema", "vendor.compose-spec", FILE], capture_output=True, text=True, check=False
    )

    assert done.returncode == 0, done.stdout


def test_hadolint_has_nothing_to_say_about_the_dockerfile() -> None:
    done = subprocess.run(
        [Path(sys.executable).with_name("hadolint"), DOCKERFILE], capture_output=True, text=True, check=False
    )

    assert (done.returncode, done.stdout) == (0, "")


def test_only_api_and_flower_are_published_and_only_on_loopback(services: dict[str, Any]) -> None:
    published = {name: [port["host_ip"] for port in service.get("ports", [])] for name, service in services.items()}

    assert {name for name, hosts in published.items() if hosts} == {"api", "flower"}
    assert {host for hosts in published.values() for host in hosts} == {"127.0.0.1"}


def test_no_password_stands_on_a_command_line(services: dict[str, Any]) -> None:
    for service in services.values():
        shown = f"{service['command']} {service.get('healthcheck')}"
        assert not any(password in shown for password in PASSWORDS.values())


def test_every_process_of_ours_is_a_command_of_the_one_image(services: dict[str, Any]) -> None:
    assert {name for name, service in services.items() if service["command"][0] == "ostinato"} == OURS
    assert {services[name]["image"] for name in OURS} == {"ostinato:local"}
    assert all(services[name]["security_opt"] == ["no-new-privileges:true"] for name in OURS)
    assert all(services[name]["cap_drop"] == ["ALL"] for name in OURS)


def test_images_are_pinned_and_ours_runs_as_nobody_special(services: dict[str, Any]) -> None:
    bases = re.findall(r"^FROM (\S+)", DOCKERFILE.read_text(), re.MULTILINE)
    theirs = [service["image"] for name, service in services.items() if name not in OURS]

    assert all(re.search(r":\d+\.\d+", image) for image in [*bases, *theirs])
    assert len(set(bases)) == 1
    assert re.findall(r"^USER (.+)", DOCKERFILE.read_text(), re.MULTILINE) == ["10001"]


def test_everything_is_started_again_but_the_migration(services: dict[str, Any]) -> None:
    assert {name: service["restart"] for name, service in services.items()} == {
        name: "no" if name == "migrate" else "unless-stopped" for name in services
    }


def test_api_beats_and_workers_wait_for_the_migration(services: dict[str, Any]) -> None:
    for name in ("api", "beat", "worker"):
        conditions = {other: wait["condition"] for other, wait in services[name]["depends_on"].items()}
        assert conditions == {
            "migrate": "service_completed_successfully",
            "postgres": "service_healthy",
            "redis": "service_healthy",
        }


def test_two_beats_and_as_many_workers_as_the_environment_says() -> None:
    services = normalised(OSTINATO_WORKERS="3")["services"]

    assert (services["beat"]["deploy"]["replicas"], services["worker"]["deploy"]["replicas"]) == (2, 3)


def test_stops_leave_time_for_what_is_under_way(services: dict[str, Any]) -> None:
    drain = float(services["worker"]["environment"]["OSTINATO_DRAIN_SECONDS"])

    assert seconds(services["worker"]["stop_grace_period"]) > drain + 2 * HANG_SECONDS + 10
    assert seconds(services["api"]["stop_grace_period"]) > STOP_SECONDS


def test_data_lie_in_named_volumes_and_the_project_is_read_only(file: dict[str, Any]) -> None:
    mounts = [(name, mount) for name, service in file["services"].items() for mount in service.get("volumes", [])]

    assert set(file["volumes"]) == {"postgres", "redis"}
    assert {name for name, mount in mounts if mount["type"] == "volume"} == {"postgres", "redis"}
    assert {(name, mount["read_only"]) for name, mount in mounts if mount["type"] == "bind"} == {
        ("api", True),
        ("worker", True),
    }


def test_image_is_built_by_the_uv_that_built_the_lock_file() -> None:
    (pin,) = re.findall(r'^UV = "(.+)"$', (REPOSITORY / "dev.py").read_text(), re.MULTILINE)

    assert f" {pin}\n" in DOCKERFILE.read_text()


def test_secrets_stay_out_of_git_and_of_the_image() -> None:
    names = [".env", "graphs.env", "docker-compose.override.yml"]
    ignored = subprocess.run(
        ["git", "check-ignore", "--no-index", *names], cwd=REPOSITORY, capture_output=True, text=True, check=False
    )
    context = (REPOSITORY / ".dockerignore").read_text().splitlines()

    assert ignored.stdout.split() == names
    assert "*" in context
    assert not {f"!{name}" for name in names} & set(context)


def test_image_holds_all_that_the_dockerfile_copies() -> None:
    context = (REPOSITORY / ".dockerignore").read_text().splitlines()
    copied = [
        word
        for line in re.findall(r"^COPY (?!--from)(.+) \S+$", DOCKERFILE.read_text(), re.MULTILINE)
        for word in line.split()
    ]

    assert copied
    assert {f"!{name}" for name in copied} == {line for line in context if line.startswith("!")}


@pytest.mark.parametrize("command", COMMANDS)
def test_commands_of_the_guide_are_understood(command: str) -> None:
    """Compose gets as far as asking for the engine: flags and services are right."""
    words = shlex.split(re.split(r"[<>|]", command)[0])[2:]

    done = compose(*words, variables=PASSWORDS)

    assert done.returncode != 0
    assert "Cannot connect to the Docker daemon" in done.stderr


def test_commands_of_the_guide_name_services(services: dict[str, Any]) -> None:
    named = [re.search(r"(?:exec|run)(?: -\S+)* (\w+)", command) for command in COMMANDS]

    assert {match[1] for match in named if match} <= services.keys()


def test_built_in_project_of_the_guide_replaces_the_mounted_one(tmp_path: Path) -> None:
    (tmp_path / "docker-compose.yml").write_text(FILE.read_text())
    (tmp_path / "docker-compose.override.yml").write_text(*BLOCKS["yaml"])

    services = normalised(folder=tmp_path, OSTINATO_PROJECT="/srv/assistants")["services"]

    for name in ("api", "worker"):
        assert services[name]["build"]["context"] == "/srv/assistants"
        assert (services[name]["image"], services[name].get("volumes")) == ("assistants:local", None)
    assert services["beat"]["image"] == "ostinato:local"


def test_hadolint_accepts_the_dockerfile_of_the_guide(tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text(*BLOCKS["dockerfile"])
    lint = Path(sys.executable).with_name("hadolint")

    done = subprocess.run([lint, tmp_path / "Dockerfile"], capture_output=True, text=True, check=False)

    assert (done.returncode, done.stdout) == (0, "")


def test_compose_is_the_real_one() -> None:
    done = subprocess.run([COMPOSE, "version"], capture_output=True, text=True, check=False)

    assert "Docker Compose version v2" in done.stdout
