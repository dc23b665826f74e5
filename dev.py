"""Set up and run Ostinato from a checkout: needs Python 3.11 and pip, nothing else.

python3 dev.py [options]      run everything: the options are those of `ostinato dev`
python3 dev.py test [options] check and test everything: the options are pytest's
"""

import hashlib
import os
import shlex
import shutil
import subprocess
import sys
import time
from pathlib import Path

UV = "uv==0.13.9"
ROOT = Path(__file__).resolve().parent
TOOLS = ROOT / ".tools"
VENV = ROOT / ".venv"
STAMP = VENV / ".ostinato-synced"
EXAMPLE = "examples/langgraph.json"
WANTED = {"jq": "the curl tour", "curl": "the curl tour", "chromium": "the pages"}  # by tests, from the system
CHECKS = (
    ("ruff", "check"),
    ("ruff", "format", "--check"),
    ("mypy",),
    ("lint-imports",),
)


def main(arguments: list[str]) -> int:
    if sys.version_info < (3, 11):  # noqa: UP036 - whoever runs this with an older one is told so
        print("Ostinato needs Python 3.11 or later; this is", sys.version.split()[0], file=sys.stderr)
        return 1
    here = Path.cwd()
    os.chdir(ROOT)
    sync()
    if arguments[:1] == ["test"]:
        return test(arguments[1:])
    return start(from_where_one_stands(arguments, here))


def start(arguments: list[str]) -> int:
    """Become `ostinato dev`."""
    if not any(word == "--config" or word.startswith("--config=") for word in arguments):
        arguments = ["--config", EXAMPLE, *arguments]
    os.execv(binary("ostinato"), ["ostinato", "dev", *arguments])  # noqa: S606 - our own command, no shell


def test(arguments: list[str]) -> int:
    """The exit code: 0 when all checks and all tests passed. All of them run, whatever fails."""
    missing = [f"{tool} ({what})" for tool, what in WANTED.items() if shutil.which(tool) is None]
    if missing:
        print(f"\n!!! Not on this machine: {', '.join(missing)}. Tests that need them are skipped.\n")
    failed = [" ".join(words) for words in CHECKS if run(*words) != 0]
    failed += ["pytest"] if run("pytest", "-n", "auto", "--dist", "loadgroup", *arguments) != 0 else []
    print(f"\nFailed: {', '.join(failed)}" if failed else "\nAll checks and tests passed.")
    return 1 if failed else 0


def run(name: str, *words: str) -> int:
    print(f"\n--- {shlex.join([name, *words])}", flush=True)
    began = time.monotonic()
    code = subprocess.run([binary(name), *words], check=False).returncode  # noqa: S603 - from our own environment
    print(f"--- {name}: {'ok' if code == 0 else f'exit code {code}'}, {time.monotonic() - began:.0f} s", flush=True)
    return code


def sync() -> None:
    """Bring .venv to what the lock file says, unless it is there already."""
    state = hashlib.sha256((ROOT / "uv.lock").read_bytes() + (ROOT / "pyproject.toml").read_bytes()).hexdigest()
    if STAMP.exists() and STAMP.read_text() == state:
        return
    uv = TOOLS / "bin" / "uv"
    if not uv.exists():
        print(f"Putting {UV} into {TOOLS} ...", flush=True)
        # --target leaves the system's Python alone; PEP 668 allows that too.
        pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", "install"]
        advice = "pip could not fetch uv: see above. On Debian and Ubuntu pip is the package python3-pip."
        checked([*pip, "--target", str(TOOLS), UV], advice=advice)
    print("Installing what uv.lock names into .venv ...", flush=True)
    # Compiled once here; else each of the five processes compiles the same modules at its first start.
    command = [str(uv), "sync", "--locked", "--extra", "embedded", "--compile-bytecode", "--python", sys.executable]
    checked(command, advice="uv could not install the dependencies: see above.")
    STAMP.write_text(state)


def checked(command: list[str], *, advice: str) -> None:
    # A virtual environment that happens to be active is not the one meant here.
    env = {name: value for name, value in os.environ.items() if name not in {"VIRTUAL_ENV", "UV_PROJECT_ENVIRONMENT"}}
    if subprocess.run(command, env=env, check=False).returncode != 0:  # noqa: S603 - pip and uv, no shell
        sys.exit(advice)


def binary(name: str) -> str:
    return str(VENV / "bin" / name)


def from_where_one_stands(arguments: list[str], here: Path) -> list[str]:
    """Relative paths mean the caller's folder, though we run in the checkout's."""
    taken: list[str] = []
    for before, word in zip(["", *arguments], arguments, strict=False):
        option, equals, value = word.partition("=")
        if before in {"--config", "--data-dir"}:
            taken.append(str(here / word))
        elif equals and option in {"--config", "--data-dir"}:
            taken.append(f"{option}={here / value}")
        else:
            taken.append(word)
    return taken


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
