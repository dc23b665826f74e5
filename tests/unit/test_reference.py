"""docs/reference is what the code says."""

import shutil
import subprocess
import sys
from pathlib import Path

from doc_blocks import DOCS, reference


def check(folder: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(folder / "make_reference.py"), "--check"]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_reference_says_what_the_code_says() -> None:
    done = check(DOCS)

    assert done.returncode == 0, done.stdout + done.stderr


def test_page_that_is_out_of_date_is_named_with_what_renews_it(tmp_path: Path) -> None:
    shutil.copy(DOCS / "make_reference.py", tmp_path)
    shutil.copytree(DOCS / "reference", tmp_path / "reference")
    with (tmp_path / "reference" / "settings.md").open("a") as page:
        page.write("one line more\n")

    done = check(tmp_path)

    assert done.returncode == 1
    assert done.stdout == "docs/reference/settings.md is out of date: run `python docs/make_reference.py`.\n"


def test_every_parameter_and_every_field_is_described() -> None:
    spec = reference().openapi()
    operations = [(f"{method} {path}", one) for path, found in spec["paths"].items() for method, one in found.items()]
    told = {
        f"{name}: {one['name']}": one.get("description") or one["schema"].get("description")
        for name, operation in operations
        for one in operation.get("parameters", ())
    } | {
        f"{name}: {field}": one.get("description")
        for name, schema in spec["components"]["schemas"].items()
        for field, one in schema.get("properties", {}).items()
    }

    assert [name for name, description in told.items() if not description] == []
    assert len(told) > 200
