"""`ostinato apply` of 1,000 crons to an api of its own: the first time, a second time, one changed, `diff`.

python benchmarks/apply.py [--crons 1000] [--runs 3]
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import yaml
from stack import running_stack

BARS = {"create": 10.0, "no change": 2.0}  # seconds, for 1,000 crons


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--crons", type=int, default=1000)
    parser.add_argument("--runs", type=int, default=3)
    args = parser.parse_args()
    best: dict[str, float] = {}
    with running_stack(workers=1) as stack, tempfile.TemporaryDirectory() as folder:
        for run in range(args.runs):
            for step, seconds in one_run(stack.url, Path(folder), f"run-{run}", crons=args.crons).items():
                best[step] = min(seconds, best.get(step, seconds))
    for step, bar in BARS.items():
        print(f"best {step}: {best[step]:.2f} s (bar: {bar} s for 1,000) {'ok' if best[step] <= bar else 'MISSED'}")


def one_run(url: str, folder: Path, source: str, *, crons: int) -> dict[str, float]:
    """Seconds of whole commands, the start of Python in them."""
    file = folder / "crons.yaml"
    write(file, source, crons, schedule="0 9 1 1 *")
    steps = {
        "create": timed(url, "apply", "-f", str(file)),
        "no change": timed(url, "apply", "-f", str(file)),
        "diff": timed(url, "diff", "-f", str(file)),
    }
    write(file, source, crons, schedule="0 10 1 1 *")
    steps["change all"] = timed(url, "apply", "-f", str(file))
    write(file, source, 0, schedule="")
    steps["delete all"] = timed(url, "apply", "-f", str(file), "--prune", "--yes")
    print("  ".join(f"{step} {seconds:.2f} s" for step, seconds in steps.items()), flush=True)
    return steps


def write(file: Path, source: str, crons: int, *, schedule: str) -> None:
    entries = [
        {
            "name": f"{source}-{number}",
            "assistant": "stamp",
            "schedule": schedule,
            "timezone": "Europe/Berlin",
            "input": {"messages": [{"role": "user", "content": f"What is new? {number}"}]},
            "labels": {"team": f"team-{number % 10}"},
            "ostinato": {"timeout": "PT5M", "overlap": "skip"},
        }
        for number in range(crons)
    ]
    file.write_text(yaml.safe_dump({"source": source, "crons": entries}, sort_keys=False))


def timed(url: str, *words: str) -> float:
    started, used = time.monotonic(), children_cpu()
    command = [sys.executable, "-P", "-c", "from ostinato_cli.main import app; app()", *words]
    subprocess.run(command, env={**os.environ, "OSTINATO_URL": url}, check=True, stdout=subprocess.DEVNULL)
    taken = time.monotonic() - started
    print(f"  {words[0]}: {taken:.2f} s, of the command's own processor time {children_cpu() - used:.2f} s")
    return taken


def children_cpu() -> float:
    """Seconds that ended children have used: what a busy machine does not change."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    main()
