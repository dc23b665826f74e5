"""Where webhooks go in the tests: a web server of its own on a free port, which answers as it is told to."""

from __future__ import annotations

import json
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import ssl
    from collections.abc import Iterator

PATIENCE = 30.0
HANG = 0  # an answer that does not come before `released`


@dataclass(frozen=True)
class Call:
    at: float  # monotonic
    path: str
    headers: dict[str, str]
    body: Any


@dataclass
class FarEnd:
    """Answers as `at` says of a path, else with the next of `answers`, then with 200.

    An answer is a status, or a status and a place to go.
    """

    port: int
    answers: list[int | tuple[int, str]] = field(default_factory=list)
    at: dict[str, int | tuple[int, str]] = field(default_factory=dict)
    calls: list[Call] = field(default_factory=list)
    came: threading.Condition = field(default_factory=threading.Condition)
    released: threading.Event = field(default_factory=threading.Event)

    def url(self, path: str = "/hook", *, host: str = "127.0.0.1", scheme: str = "http") -> str:
        return f"{scheme}://{host}:{self.port}{path}"

    def wait(self, calls: int = 1) -> list[Call]:
        """The calls, once there are so many."""
        with self.came:
            assert self.came.wait_for(lambda: len(self.calls) >= calls, PATIENCE), f"only {len(self.calls)} calls came"
            return list(self.calls)


@contextmanager
def far_end(*answers: int | tuple[int, str], context: ssl.SSLContext | None = None) -> Iterator[FarEnd]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.daemon_threads = True
    server.handle_error = lambda *_: None  # type: ignore[method-assign]  # callers that hang up are what is tested
    if context is not None:
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    end = _Handler.ends[server.server_port] = FarEnd(server.server_port, list(answers))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield end
    finally:
        end.released.set()
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    ends: dict[int, FarEnd] = {}  # noqa: RUF012 - of all servers

    def do_POST(self) -> None:
        assert isinstance(self.server, ThreadingHTTPServer)
        end = self.ends[self.server.server_port]
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        with end.came:
            end.calls.append(Call(time.monotonic(), self.path, dict(self.headers), body))
            answer = end.at.get(self.path) or (end.answers.pop(0) if end.answers else 200)
            end.came.notify_all()
        if answer == HANG:
            end.released.wait(PATIENCE)
            answer = 200
        status, place = answer if isinstance(answer, tuple) else (answer, None)
        self.send_response(status)
        if place is not None:
            self.send_header("Location", place)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def do_GET(self) -> None:
        """What a redirect of another kind would make of the call."""
        self.headers["Content-Length"] = "0"
        self.send_error(500)

    def log_message(self, *_: object) -> None:
        """Say nothing."""
