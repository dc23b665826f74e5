"""One file a page. A page's route is named `ui_<page>`: links to it appear when it exists."""

from fastapi import FastAPI

from ostinato_api.dashboard import static_files
from ostinato_api.dashboard.routes import (
    acting,
    cron,
    crons,
    events,
    form,
    header,
    rest,
    runs,
    server,
    signing_in,
    thread,
)

# A fixed path stands before one with a parameter: /ui/crons/new before /ui/crons/{cron_id}; `rest` takes what is left.
ROUTERS = (
    *(crons.router, form.router, cron.router, runs.router, thread.router, server.router),
    *(acting.router, header.router, events.router, signing_in.router, rest.router),
)


def add_dashboard(app: FastAPI) -> None:
    """Give the app its pages."""
    static_files.mount(app)
    for router in ROUTERS:
        app.include_router(router, include_in_schema=False)
