"""How long every page and every list endpoint takes to answer on a full database: median and worst of 20, in ms.

python benchmarks/pages.py [--crons 10000] [--firings 1000000] [--times 20] [--only TEXT]

An api of its own on embedded servers; beat and workers do not run, so nothing else is measured. Exits 1 above the bar.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import psycopg
from fill import CRONS, FIRINGS, fill
from stack import PROJECT, START_SECONDS, free_port, roomy, stop

from ostinato_cli.embedded.postgres import EmbeddedPostgres
from ostinato_cli.embedded.valkey import EmbeddedValkey
from ostinato_shared.migrate import upgrade

if TYPE_CHECKING:
    from collections.abc import Iterator

BAR_MS = 300
PAGE = {"accept": "text/html"}


@dataclass(frozen=True)
class Ask:
    path: str
    method: str = "GET"
    json: Any = None
    headers: dict[str, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return f"{self.method} {self.path}" + (f" {self.json}" if self.json else "")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--crons", type=int, default=CRONS)
    parser.add_argument("--firings", type=int, default=FIRINGS)
    parser.add_argument("--times", type=int, default=20)
    parser.add_argument("--only", default="", help="measure those whose path holds this text")
    args = parser.parse_args()
    with filled_api(crons=args.crons, firings=args.firings) as (url, dsn):
        asks = [ask for ask in [*endpoints(dsn), *pages(dsn)] if args.only in ask.path]
        slow = [ask for ask in asks if not measure(url, ask, times=args.times)]
    load, cores = os.getloadavg()[0], os.cpu_count() or 1
    print(f"{len(asks) - len(slow)} of {len(asks)} within {BAR_MS} ms; load {load:.1f} on {cores} cores (1 is ours)")
    sys.exit(1 if slow else 0)


def endpoints(dsn: str) -> Iterator[Ask]:
    """The lists, with the filters that find much and those that find little."""
    for what in ("", "?limit=1000"):
        yield Ask(f"/crons/upcoming{what}")
    far = _one(dsn, "SELECT to_char(now() + interval '20 days', 'YYYY-MM-DD\"T\"HH24:MI:SSZ')")
    yield Ask(f"/crons/upcoming?limit=1000&from={far}")
    for cron_id in (_busy(dsn), _quiet(dsn)):
        path = f"/runs/crons/{cron_id}"
        queries = ("", "?limit=1000", "?outcome=error", "?outcome=timeout&limit=1000", "?trigger=catchup",
                   "?trigger=manual", "?outcome=due", "?from=2020-01-01T00:00:00Z&to=2020-02-01T00:00:00Z")  # fmt: skip
        for query in queries:
            yield Ask(f"{path}/firings{query}")
        yield from (Ask(f"{path}/events"), Ask(f"{path}/status"), Ask(path))
    yield Ask("/crons/preview", "POST", {"schedule": "30 2 * * *", "timezone": "Europe/Berlin", "count": 100})
    for body in ({}, {"limit": 100}, {"limit": 1000, "offset": 9000}, {"metadata": {"labels": {"team": "growth"}}},
                 {"enabled": False}, {"sort_by": "next_run_date", "sort_order": "asc"}):  # fmt: skip
        yield Ask("/runs/crons/search", "POST", body)
    yield Ask("/runs/crons/count", "POST", {})
    for body in ({}, {"status": "interrupted"}, {"metadata": {"cron_id": str(_quiet(dsn))}}, {"limit": 100}):
        yield Ask("/threads/search", "POST", body)
    thread_id = _one(dsn, "SELECT thread_id FROM run ORDER BY seq DESC LIMIT 1")
    yield from (Ask(f"/threads/{thread_id}"), Ask(f"/threads/{thread_id}/runs"), Ask("/assistants/search", "POST", {}))


def pages(dsn: str) -> Iterator[Ask]:
    """The dashboard, as a browser asks for it."""
    for path in ("/", "/ui/crons?page=100", "/ui/crons?q=report-77", "/ui/crons?label=team:growth",
                 "/ui/crons?show=failing", "/ui/crons/stats?had=1", "/ui/crons/new", "/ui/runs", "/ui/runs?show=failed",
                 "/ui/runs?show=waiting", "/ui/runs?show=skipped", "/ui/system", "/crons/firings",
                 "/metrics"):  # fmt: skip
        yield Ask(path, headers=PAGE)
    for cron_id in (_busy(dsn), _quiet(dsn)):
        for part in ("", "/head", "/runs", "/calendar"):
            yield Ask(f"/ui/crons/{cron_id}{part}", headers=PAGE)


def measure(url: str, ask: Ask, *, times: int) -> bool:
    """Print how long one request takes; whether its worst is within the bar."""
    with httpx.Client(base_url=url, timeout=60) as client:
        client.get("/ok")  # the connection is not what is measured
        took = []
        for _ in range(times):
            started = time.perf_counter()
            answer = client.request(ask.method, ask.path, json=ask.json, headers=ask.headers)
            took.append((time.perf_counter() - started) * 1000)
    worst = max(took)
    good = worst <= BAR_MS and answer.is_success
    verdict = "ok" if good else "MISSED" if answer.is_success else f"HTTP {answer.status_code}"
    print(
        f"{statistics.median(took):7.1f} {worst:7.1f} {len(answer.content) / 1000:7.0f} kB  {verdict:7}  {ask.name}",
        flush=True,
    )
    return good


@contextmanager
def filled_api(*, crons: int, firings: int) -> Iterator[tuple[str, str]]:
    """The URL of an api on a full database, and that database's; both are gone afterwards."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="ostinato-bench-", dir=roomy())))
        folder.chmod(0o755)
        dsn = stack.enter_context(EmbeddedPostgres(folder / "postgres")).uri
        valkey = stack.enter_context(EmbeddedValkey(folder / "valkey"))
        upgrade(dsn)
        fill(dsn, crons=crons, firings=firings)
        log = stack.enter_context((folder / "api.log").open("w"))
        port = free_port()
        process = subprocess.Popen(
            [sys.executable, "-P", "-c", "from ostinato_cli.main import app; app()", "api", "--config", str(PROJECT),
             "--port", str(port)],
            env={**os.environ, "DATABASE_URI": dsn, "REDIS_URI": valkey.uri}, stdout=log, stderr=subprocess.STDOUT,
        )  # fmt: skip
        stack.callback(stop, process)
        url = f"http://127.0.0.1:{port}"
        _wait(url, folder / "api.log")
        yield url, dsn


def _wait(url: str, log: Path) -> None:
    until = time.monotonic() + START_SECONDS
    while time.monotonic() < until:
        try:
            httpx.get(f"{url}/ok", timeout=5).raise_for_status()
        except httpx.HTTPError:
            time.sleep(0.2)
        else:
            return
    sys.exit(f"the api did not get ready:\n{log.read_text()[-4000:]}")


def _busy(dsn: str) -> Any:
    return _one(dsn, "SELECT cron_id FROM firing GROUP BY cron_id ORDER BY count(*) DESC, cron_id LIMIT 1")


def _quiet(dsn: str) -> Any:
    return _one(dsn, "SELECT cron_id FROM firing GROUP BY cron_id ORDER BY count(*), cron_id LIMIT 1")


def _one(dsn: str, query: str) -> Any:
    with psycopg.connect(dsn) as connection:
        row = connection.execute(query).fetchone()  # type: ignore[arg-type]  # a query of ours
    return row[0] if row else None


if __name__ == "__main__":
    main()
