"""The `ostinato` command in this process, against an api on a free port."""

from __future__ import annotations

import json
import logging
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import httpx
import structlog
import yaml
from typer.testing import CliRunner

from api_setting import serve_api
from ostinato_cli.main import app

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from ostinato_shared.settings import Settings


@contextmanager
def open_people(settings: Settings, folder: Path) -> Iterator[People]:
    """An api that logs nothing: its standard output is the command's here."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    try:
        with serve_api(settings) as url:
            yield People(url, folder)
    finally:
        structlog.reset_defaults()


@dataclass
class Said:
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    @property
    def yaml(self) -> Any:
        return yaml.safe_load(self.out)


@dataclass
class People:
    """Someone at a terminal, and an api."""

    url: str
    folder: Path
    env: dict[str, str] = field(default_factory=dict)

    def run(self, *words: str, stdin: str | None = None) -> Said:
        env = {"OSTINATO_URL": self.url, "NO_COLOR": "1", "TERM": "dumb", "COLUMNS": "100", **self.env}
        result = CliRunner().invoke(app, [*words], input=stdin, env=env)
        if result.exception and not isinstance(result.exception, SystemExit):
            raise result.exception
        return Said(result.exit_code, result.stdout, result.stderr)

    def done(self, *words: str, stdin: str | None = None) -> Said:
        said = self.run(*words, stdin=stdin)
        assert said.code == 0, said.out + said.err
        return said

    def make(self, name: str, *words: str) -> dict[str, Any]:
        made: dict[str, Any] = self.done(
            "crons", "create", "agent", "--schedule", "0 9 * * *", "--name", name, *words, "-o", "json"
        ).json
        return made

    def crons(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.post("/runs/crons/search", limit=1000)
        return found

    def post(self, path: str, **body: Any) -> Any:
        answer = httpx.post(f"{self.url}{path}", json=body, timeout=60)
        assert answer.is_success, answer.text
        return answer.json()

    def write(self, crons: Sequence[dict[str, Any]], name: str = "crons.yaml", **head: Any) -> str:
        path = self.folder / name
        path.write_text(yaml.safe_dump({**head, "crons": list(crons)}, sort_keys=False))
        return str(path)
