"""The api under uvicorn."""

import uvicorn

from ostinato_shared.settings import Settings


def run(settings: Settings) -> None:
    """Returns after SIGTERM or SIGINT, when requests under way have been answered."""
    from ostinato_api.main import app  # noqa: PLC0415 - reads the settings, imports the user's graphs

    uvicorn.run(
        app,
        host=settings.host,
        port=settings.port,
        log_config=None,  # ours is in place
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=10,
    )
