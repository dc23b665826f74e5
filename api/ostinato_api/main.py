"""The api's process."""

from __future__ import annotations

import asyncio
import signal
import socket
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

import structlog
import uvicorn

from ostinato_api.app import create_app
from ostinato_api.dashboard.rendering import compile_templates
from ostinato_api.middleware import is_loopback
from ostinato_shared import logs, migrate
from ostinato_shared.errors import UnavailableError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fastapi import FastAPI

    from ostinato_api.dependencies import Services
    from ostinato_shared.settings import Settings

log = structlog.get_logger()

# Longer than httpx keeps an idle connection (5 s): a server that closes first resets the request that just set out.
IDLE_SECONDS = 75
STOP_SECONDS = 5  # for answers under way when the process is asked to stop


class Server(uvicorn.Server):
    """Uvicorn that says when it serves, and ends by returning, not by the signal that it was sent."""

    def __init__(self, app: FastAPI, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.app = app

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            log.info("api_ready", host=self.config.host, port=self.config.port)
            threading.Thread(target=compile_templates, daemon=True).start()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        services: Services = self.app.state.services
        services.stop_waiting()
        await super().shutdown(sockets)

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.handle_exit, number, None)
        yield


def run(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT. Raises ProjectError or UnavailableError, saying what to do, when it cannot."""
    logs.configure(level=settings.log_level, as_json=settings.log_json)
    if not is_loopback(settings.host) and not settings.api_keys:
        log.warning(
            "api_open_to_network",
            host=settings.host,
            advice="There are no API keys: whoever reaches it may use it. `ostinato keys new NAME` makes one.",
        )
    app = create_app(settings)
    migrate.wait_until_current(settings.database_dsn)
    config = uvicorn.Config(
        app,
        host=settings.host,
        port=settings.port,
        lifespan="on",  # a start that fails must not serve
        access_log=False,
        log_config=None,
        server_header=False,
        timeout_keep_alive=IDLE_SECONDS,
        timeout_graceful_shutdown=STOP_SECONDS,
    )
    with _listen(settings.host, settings.port) as listener:
        server = Server(app, config)
        server.run(sockets=[listener])
    if not server.started:
        raise UnavailableError("The api could not start: see the log above.")


def _listen(host: str, port: int) -> socket.socket:
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        return socket.create_server((host, port), family=family, backlog=2048)
    except OSError as error:
        raise UnavailableError(
            f"The api cannot listen on {host}:{port} ({error.strerror}). Choose another port by --port."
        ) from error
