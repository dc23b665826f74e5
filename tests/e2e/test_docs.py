"""README and docs: every block does what the text says, every link leads somewhere, every command exists."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import yaml
from langgraph_sdk import get_sync_client
from typer.testing import CliRunner

from compose_file import normalised
from doc_blocks import (
    DOCS,
    INLINE_COMMAND,
    WRITTEN_URL,
    Block,
    anchors,
    blocks,
    cli_commands,
    documents,
    environment,
    links,
    prose,
)
from ostinato_cli.embedded.binaries import postgres_home
from ostinato_cli.main import app
from ostinato_cli.people.crons_file import read_file
from ostinato_shared.policies import KEY, read_policy
from ostinato_shared.project import IRRELEVANT, REFUSED, ProjectFile
from ostinato_shared.settings import Settings
from ostinato_shared.webhook_section import WebhooksSection
from whole_stack import EXAMPLES, REPOSITORY, Dev, running_dev

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ostinato_cli.embedded import EmbeddedPostgres, EmbeddedValkey

pytestmark = [pytest.mark.timeout(400), pytest.mark.xdist_group("docs")]
TUTORIAL = "docs/tutorial.md"  # all of it is run by test_tutorial.py
COMMANDS = cli_commands()
COMPOSE_COMMANDS = {"up", "exec", "restart", "build", "run", "stop", "ps", "logs", "down"}


def compose_services_exist(words: list[str]) -> None:
    assert words[2] in COMPOSE_COMMANDS, words
    given = [word for word in words[3:] if not word.startswith("-") and "=" not in word]
    named = given[:1] if words[2] in {"exec", "run"} else given
    assert set(named) <= set(normalised()["services"]), words


def paths_exist(words: list[str]) -> None:
    for word in words:
        assert not word.startswith("tests/") or (REPOSITORY / word).exists(), word


def says_nothing(words: list[str]) -> None:
    assert words


def runs_unreleased(words: list[str]) -> None:
    assert words[-1] in {"ostinato[embedded]", ".[embedded]"}, words


# What cannot be run here: why, and what holds it instead. Each has a look at what stands there.
NOT_RUN: dict[str, tuple[str, Callable[[list[str]], None]]] = {
    "docker compose": ("needs an engine; test_compose_commands.py runs what it starts", compose_services_exist),
    "git clone": ("the repository is here already", says_nothing),
    "git pull": ("likewise", says_nothing),
    "pip install": ("is not on PyPI yet; test_tutorial.py installs the wheel by the same words", runs_unreleased),
    "ostinato dev": ("runs until it is stopped; these tests' server was started by it", says_nothing),
    "python3 dev.py": ("is `ostinato dev` from a checkout, or, with `test`, what runs this", paths_exist),
    "OSTINATO_ROUNDS=20 python3 dev.py": ("likewise", paths_exist),
}


@dataclass
class Reader:
    """Somebody who does what a document says, block by block, in one folder."""

    folder: Path
    env: dict[str, str]
    url: str
    said: list[str] = field(default_factory=list)

    def run(self, command: list[str], block: Block) -> str:
        done = subprocess.run(
            command, cwd=self.folder, env=self.env, capture_output=True, text=True, timeout=120, check=False
        )
        assert done.returncode == 0, f"{block.place}: exit code {done.returncode}\n{done.stdout}\n{done.stderr}"
        self.said += (done.stdout + done.stderr).splitlines()
        return done.stdout

    def python(self, block: Block) -> None:
        file = self.folder / (block.file_name or f"line_{block.line}.py")
        file.write_text(block.text.replace(WRITTEN_URL, self.url))
        printed = self.run([sys.executable, str(file)], block)
        assert printed.strip() or "print(" not in block.text, f"{block.place} prints nothing"

    def bash(self, block: Block) -> None:
        commands = [command for command in block.commands() if not is_held_elsewhere(command)]
        script = "\n".join(commands).replace(WRITTEN_URL, self.url)
        self.run(["bash", "-euo", "pipefail", "-c", script], block)

    def text(self, block: Block) -> None:
        """Lines for an environment, or what a command says: `…` and numbers of ports stand for any."""
        for line in block.text.splitlines():
            name, equals, _ = line.partition("=")
            if equals and re.fullmatch(r"[A-Z_]+", name):
                assert re.search(rf"^#?{name}=", (REPOSITORY / ".env.example").read_text(), re.MULTILINE), block.place
                continue
            shown = re.escape(line).replace("…", ".+").replace(r"\.\.\.", ".+")
            shown = re.sub(r"(127\\\.0\\\.0\\\.1:)\d+", r"\1\\d+", shown)
            assert any(re.search(shown, said) for said in self.said), f"{block.place}: nothing said {line!r}"


def is_held_elsewhere(command: str) -> bool:
    found = next((prefix for prefix in NOT_RUN if f"{command} ".startswith(f"{prefix} ")), None)
    if found is not None:
        NOT_RUN[found][1](shlex.split(command))
    return found is not None


@pytest.fixture(scope="module")
def dev(
    tmp_path_factory: pytest.TempPathFactory, database_uri: str, valkey_server: EmbeddedValkey
) -> Iterator[tuple[Dev, dict[str, str]]]:
    """A running Ostinato, and the environment in which its parts were started."""
    uris = {"DATABASE_URI": database_uri, "REDIS_URI": valkey_server.uri}
    with running_dev(tmp_path_factory.mktemp("docs") / "data", env=uris) as running:
        yield running, uris


@pytest.fixture
def reader(dev: tuple[Dev, dict[str, str]], tmp_path: Path, postgres_server: EmbeddedPostgres) -> Reader:
    running, uris = dev
    assert postgres_server.uri
    for name in (".env.example", "docker-compose.yml"):
        shutil.copy(REPOSITORY / name, tmp_path / name)
    with get_sync_client(url=running.url) as client:
        cron = client.crons.create("agent", schedule="0 8 * * *", input={"messages": []}, metadata={"name": "daily"})
    known = {**uris, "CRON_ID": cron["cron_id"], "OSTINATO_URL": running.url, "OSTINATO_CONFIG": str(EXAMPLES)}
    programs = [Path(sys.executable).parent, postgres_home() / "bin"]
    return Reader(tmp_path, environment(tmp_path, path=programs, **known), running.url, running.output.copy())


@pytest.mark.parametrize("document", [document for document in documents() if document != TUTORIAL])
def test_what_a_document_says_can_be_done(document: str, reader: Reader) -> None:
    by_language: dict[str, Callable[[Block], None]] = {
        "bash": reader.bash, "sh": reader.bash, "python": reader.python, "": reader.text,
        "json": check_json, "yaml": check_yaml, "dockerfile": check_dockerfile,
    }  # fmt: skip
    for block in blocks(document):
        assert block.language in by_language, f"{block.place}: nobody knows how to check {block.language}"
        by_language[block.language](block)


def check_json(block: Block) -> None:
    """A langgraph.json, its section on webhooks, or a cron's metadata."""
    given = json.loads(block.text)
    if KEY in given:
        read_policy(given)
        return
    known = set(ProjectFile.model_fields) | IRRELEVANT
    assert set(given) <= known - set(REFUSED), block.place
    if "graphs" in given:
        ProjectFile.model_validate(given)
    else:
        WebhooksSection.model_validate(given.pop("webhooks"))
        assert not given, block.place


class ComposeLoader(yaml.SafeLoader):
    """Knows Compose's own tag."""


ComposeLoader.add_constructor("!reset", lambda loader, node: loader.construct_sequence(node))


def check_yaml(block: Block) -> None:
    given = yaml.load(block.text, ComposeLoader)  # noqa: S506 - a safe loader with one tag more
    kind = next(iter(given))
    if kind == "services":
        assert set(given["services"]) <= set(normalised()["services"]), block.place
    elif kind == "crons":
        read_file(block.text, block.place)
    else:
        assert kind in {"scrape_configs", "groups"}, f"{block.place}: what is {kind}?"
        metrics = re.findall(r"ostinato_\w+", block.text)
        assert set(metrics) <= set(re.findall(r"ostinato_\w+", (DOCS / "metrics.md").read_text())), block.place


def check_dockerfile(block: Block) -> None:
    assert block.document == "docs/compose.md"  # tests/unit/test_compose_file.py has hadolint read it


@pytest.mark.parametrize("document", documents())
def test_every_link_leads_somewhere(document: str) -> None:
    for file, anchor in links(document):
        assert file.exists(), f"{document} links to {file}"
        assert not anchor or anchor in anchors(file), f"{document} links to {file}#{anchor}"


@pytest.mark.parametrize("document", documents())
def test_every_command_in_the_text_is_one(document: str) -> None:
    for text in INLINE_COMMAND.findall(prose(document)):
        words = text.split()
        path = max((known for known in COMMANDS if known == tuple(words[: len(known)])), key=len)
        assert len(path) > 1, f"{document}: `{text}`"
        options = {name for option in COMMANDS[path].params for name in (*option.opts, *option.secondary_opts)}
        given = {word.partition("=")[0] for word in words if word.startswith("-")} - {"--help"}
        assert given <= options, f"{document}: `{text}`"


@pytest.mark.parametrize("document", documents())
def test_every_variable_in_the_text_is_one(document: str) -> None:
    ours = {f"OSTINATO_{name.upper()}" for name in Settings.model_fields}
    theirs = {option.envvar for command in COMMANDS.values() for option in command.params if option.envvar}
    example = set(re.findall(r"^#?(OSTINATO_\w+)=", (REPOSITORY / ".env.example").read_text(), re.MULTILINE))
    tests = "".join(file.read_text() for file in (REPOSITORY / "tests").rglob("*.py"))

    for name in set(re.findall(r"\bOSTINATO_[A-Z_]+\b", prose(document))):
        assert name in ours | theirs | example or (document == "docs/testing.md" and f'"{name}"' in tests), name


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_every_command_has_help(words: tuple[str, ...]) -> None:
    done = CliRunner().invoke(app, [*words[1:], "--help"])

    assert done.exit_code == 0, done.output
    assert COMMANDS[words].help
    assert COMMANDS[words].help.split()[0] in done.output
