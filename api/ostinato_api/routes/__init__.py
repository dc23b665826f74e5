"""HTTP: paths, status codes and schemas; each route makes one call."""

from ostinato_api.routes import assistants, crons, system

ROUTERS = (system.router, crons.router, assistants.router)

__all__ = ["ROUTERS"]
