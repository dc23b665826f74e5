"""`ostinato keys new` prints a key that the server takes."""

import re

from typer.testing import CliRunner

from ostinato_cli.main import app
from ostinato_shared.api_keys import digest_of, read_keys


def test_new_prints_a_fresh_key_and_the_setting_that_lets_it_in() -> None:
    first, second = [CliRunner().invoke(app, ["keys", "new", "ci"]) for _ in range(2)]

    key = re.search(r"^key: +(ost_[A-Za-z0-9_-]{43})$", first.stdout, re.MULTILINE)
    setting = re.search(r"^setting: +OSTINATO_API_KEYS=(\S+)$", first.stdout, re.MULTILINE)
    assert key is not None
    assert setting is not None
    assert [(known.name, known.digest) for known in read_keys(setting[1])] == [("ci", digest_of(key[1]))]
    assert key[1] not in second.stdout


def test_new_refuses_a_name_that_the_setting_cannot_hold() -> None:
    for name in ("a:b", "a,b", "", "a b", "x" * 65):
        done = CliRunner().invoke(app, ["keys", "new", name])

        assert done.exit_code == 1
        assert "letters, digits" in done.output
        assert "ost_" not in done.output
