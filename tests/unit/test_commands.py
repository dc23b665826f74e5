from typing import Any

import pytest

from ostinato_shared.commands import says_something


@pytest.mark.parametrize("command", [{}, {"goto": []}, {"resume": 0, "goto": []}, {"goto": "a"}, {"update": {}}])
def test_command_of_nothing_but_an_empty_goto_is_none(command: dict[str, Any]) -> None:
    assert says_something(command) is (command not in ({}, {"goto": []}))
