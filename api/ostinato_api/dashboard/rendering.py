"""Templates to answers: whole pages for a browser, parts of them for htmx."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import lru_cache
from hashlib import sha256
from importlib.resources import files
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from fastapi.responses import HTMLResponse
from jinja2 import Environment, PackageLoader, StrictUndefined, pass_context
from starlette.routing import NoMatchFound

from ostinato_api.dashboard import words
from ostinato_api.dashboard.views.outcomes import look

if TYPE_CHECKING:
    from fastapi import FastAPI, Request
    from jinja2.runtime import Context

# No script, style or picture but the server's own files, nothing inline; no page shows ours in a frame.
GUARDS = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "cache-control": "no-store",
    "referrer-policy": "same-origin",
    "vary": "Accept, HX-Request",
    "x-content-type-options": "nosniff",
}
TABS = (("ui_crons", "Crons"), ("ui_runs", "Runs"), ("ui_system", "System"))  # route names; shown once they exist


def page(request: Request, template: str, *, status: int = 200, **values: Any) -> HTMLResponse:
    """A whole page. Templates have `values`, `request`, `now` and the words of `words.py` as filters."""
    return HTMLResponse(render(request, template, **values), status)


def part(request: Request, *templates: str, **values: Any) -> HTMLResponse:
    """Parts of a page for htmx: the first is swapped in, the others carry hx-swap-oob."""
    return HTMLResponse("\n".join(render(request, template, **values) for template in templates))


def render(request: Request, template: str, **values: Any) -> str:
    """The text of a template."""
    values.setdefault("now", datetime.now(UTC))
    return ENVIRONMENT.get_template(template).render(request=request, **values)


def compile_templates() -> None:
    """Spare the first page its wait of some 0.3 s."""
    for name in ENVIRONMENT.list_templates():
        ENVIRONMENT.get_template(name)


def is_part(request: Request) -> bool:
    """Whether htmx asks for a part; a page that it restores from history is a whole one."""
    return "hx-request" in request.headers and "hx-history-restore-request" not in request.headers


def path_of(request: Request, name: str, **path: Any) -> str | None:
    """The path of a page by its route's name; None when there is no such page, so that nothing links to it."""
    pattern = _pattern(request.app, name, tuple(path))
    if pattern is None:
        return None
    for part_name, value in path.items():
        pattern = pattern.replace(_mark(part_name), quote(str(value), safe=""))
    return pattern


@lru_cache(maxsize=256)
def _pattern(app: FastAPI, name: str, parts: tuple[str, ...]) -> str | None:
    """The path with marks for its parts, kept: for each of hundreds the router would look at all its routes."""
    try:
        return str(app.url_path_for(name, **{part_name: _mark(part_name) for part_name in parts}))
    except NoMatchFound:
        return None


def _mark(part_name: str) -> str:
    return f"~{part_name}~"


@pass_context
def _route(context: Context, name: str, **path: Any) -> str | None:
    return path_of(context["request"], name, **path)


def _static(name: str) -> str:
    """A static file's path, which changes when its content does: browsers may keep it for ever."""
    return f"/ui/static/{name}?v={VERSIONS[name]}"


def _versions() -> dict[str, str]:
    folder = files("ostinato_api.dashboard") / "static"
    found = {item.name: item for item in folder.iterdir() if item.is_file()}
    found |= {f"vendor/{item.name}": item for item in (folder / "vendor").iterdir()}
    return {name: sha256(item.read_bytes()).hexdigest()[:12] for name, item in found.items()}


def _environment() -> Environment:
    made = Environment(
        loader=PackageLoader("ostinato_api.dashboard"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.globals |= {"route": _route, "static": _static, "TABS": TABS}
    made.filters |= {**words.FILTERS, "look": look}
    return made


VERSIONS = _versions()
ENVIRONMENT = _environment()
