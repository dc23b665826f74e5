"""Signing in with an API key, and out."""

import asyncio
from typing import Final
from urllib.parse import parse_qs

import structlog
from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse

from ostinato_api import signing_in
from ostinato_api.dashboard import rendering
from ostinato_api.dashboard.page_route import PageRoute
from ostinato_api.dependencies import ServicesDep
from ostinato_api.json_bodies import read
from ostinato_api.keys import find

log = structlog.get_logger()
router = APIRouter(route_class=PageRoute)

WRONG_SECONDS: Final = 0.5  # until a wrong key is answered
LONGEST_FORM: Final = 4096  # bytes


@router.get(signing_in.PATH, name="ui_sign_in")
async def ask(request: Request, services: ServicesDep) -> Response:
    """The form; without keys in the settings there is nothing to sign in to."""
    page = signing_in.local_page(request.query_params.get("next"))
    if not services.settings.api_keys:
        return RedirectResponse(page, 303)
    return rendering.page(request, "sign_in.html", next=page, wrong=False)


@router.post(signing_in.PATH)
async def sign_in(request: Request, services: ServicesDep) -> Response:
    """Give whoever shows a key a session, and lead on to the page that was wanted."""
    form = _fields(await read(request))
    page = signing_in.local_page(form.get("next"))
    key = find(services.settings.api_keys, form.get("key", "").strip())
    if key is None:
        log.warning("sign_in_refused")
        await asyncio.sleep(WRONG_SECONDS)
        return rendering.page(request, "sign_in.html", status=401, next=page, wrong=True)
    log.info("signed_in", key=key.name)
    answer = RedirectResponse(page, 303)
    answer.set_cookie(
        signing_in.COOKIE,
        signing_in.session_of(key),
        max_age=signing_in.SECONDS,
        path="/",
        httponly=True,
        samesite="lax",  # so that links from elsewhere open; what changes things is asked for its page as well
        secure=signing_in.is_secure(request),
    )
    return answer


@router.post("/ui/sign-out", name="ui_sign_out")
async def sign_out() -> Response:
    """Forget the session in this browser."""
    answer = RedirectResponse(signing_in.PATH, 303)
    answer.delete_cookie(signing_in.COOKIE, path="/", httponly=True, samesite="lax")
    return answer


def _fields(body: bytes) -> dict[str, str]:
    """The form's fields; none of what is no form."""
    if len(body) > LONGEST_FORM:
        return {}
    try:
        return {name: values[0] for name, values in parse_qs(body.decode(), max_num_fields=8).items()}
    except ValueError:
        return {}
