"""HTTP: paths, status codes and schemas; each route makes one call."""

from ostinato_api.routes import assistants, crons, extras, runs, state, system, threads

ROUTERS = (system.router, crons.router, extras.router, assistants.router, threads.router, state.router, runs.router)

__all__ = ["ROUTERS"]
