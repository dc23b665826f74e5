"""The log, when a graph has been at its streams."""

import io
import logging
import sys

import pytest

from ostinato_shared.logs import Output


def test_closed_streams_do_not_stop_what_is_logged_about(monkeypatch: pytest.MonkeyPatch) -> None:
    closed = io.StringIO()
    closed.close()
    monkeypatch.setattr(sys, "stderr", closed)

    Output(closed).handle(logging.LogRecord("worker", logging.INFO, __file__, 1, "run_finished", None, None))
