"""HTTP: paths, status codes and schemas; each route makes one call."""

from ostinato_api.routes import assistants, crons, extras, metrics, runs, state, system, threads

ROUTERS = (
    system.router,
    metrics.router,
    crons.router,
    extras.router,
    assistants.router,
    threads.router,
    state.router,
    runs.router,
)

__all__ = ["ROUTERS"]
