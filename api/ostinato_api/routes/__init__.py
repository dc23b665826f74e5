"""HTTP: paths, status codes and schemas; each route makes one call."""

from ostinato_api.routes import assistants, system

ROUTERS = (system.router, assistants.router)

__all__ = ["ROUTERS"]
