"""API keys before every route: who shows none gets nothing but health, the sign-in page and its styles."""

from __future__ import annotations

import hmac
from typing import TYPE_CHECKING, Final

from starlette.requests import Request
from starlette.responses import RedirectResponse

from ostinato_api import signing_in
from ostinato_api.askers import OWN_PAGES_ONLY, READING, Asker, asker_of, wants_page
from ostinato_api.errors import answer
from ostinato_shared.api_keys import digest_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from starlette.datastructures import Headers
    from starlette.responses import Response
    from starlette.types import ASGIApp, Receive, Scope, Send

    from ostinato_shared.api_keys import ApiKey

CALLER: Final = "ostinato.caller"  # in the scope: the name of the key that was shown
SIGNED_IN: Final = "ostinato.signed_in"  # in the scope: by the dashboard's cookie

OPEN: Final = frozenset({"/ok", signing_in.PATH})
OPEN_BELOW: Final = "/ui/static/"
FOR_COOKIES: Final = frozenset({"/", "/ui", "/docs", "/openapi.json"})  # and what lies below /ui/
ADVICE: Final = (
    "An API key is needed, as the header `x-api-key` or as `Authorization: Bearer`. None that was sent is valid."
)


class KeyCheck:
    """Lets in who shows a key, or for the dashboard its cookie. Without keys in the settings it lets everybody in."""

    def __init__(self, app: ASGIApp, *, keys: tuple[ApiKey, ...]) -> None:
        self.app = app
        self.keys = keys

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        refusal = self._refusal(scope) if self.keys and scope["type"] == "http" else None
        await (refusal or self.app)(scope, receive, send)

    def _refusal(self, scope: Scope) -> Response | None:
        request = Request(scope)
        key = find(self.keys, *_shown(request.headers))
        if key is not None:
            scope[CALLER] = key.name
            return None
        path: str = scope["path"]
        key = self._signed_in(request) if path in FOR_COOKIES or path.startswith("/ui/") else None
        if key is not None:
            # Browsers send the cookie whatever page makes them ask: it counts when the page is ours.
            if request.method not in READING and asker_of(request.headers) is not Asker.OWN_PAGE:
                return answer(403, OWN_PAGES_ONLY)
            scope[CALLER], scope[SIGNED_IN] = key.name, True
            return None
        return None if path in OPEN or path.startswith(OPEN_BELOW) else _refused(request)

    def _signed_in(self, request: Request) -> ApiKey | None:
        return signing_in.key_of(request.cookies.get(signing_in.COOKIE, ""), self.keys)


def find(keys: tuple[ApiKey, ...], *shown: str) -> ApiKey | None:
    """The key that one of these is. Takes as long for a wrong one as for any that is right."""
    found = None
    for digest in map(digest_of, shown):
        for key in keys:
            if hmac.compare_digest(digest, key.digest):
                found = key
    return found


def _shown(headers: Headers) -> Iterator[str]:
    """SDKs send whatever LangSmith key they find as x-api-key: a key in Authorization counts beside it."""
    yield from headers.getlist("x-api-key")
    for header in headers.getlist("authorization"):
        scheme, _, credentials = header.strip().partition(" ")
        if scheme.lower() == "bearer":
            yield credentials.strip()


def _refused(request: Request) -> Response:
    headers = {"www-authenticate": "Bearer"}
    if "hx-request" in request.headers:  # htmx goes there instead of showing an error
        page = signing_in.path_within(request.headers.get("hx-current-url", "/"))
        return answer(401, ADVICE, headers={**headers, "hx-redirect": signing_in.sign_in_path(page)})
    if request.method in READING and wants_page(request.headers) and signing_in.is_page(request.url.path):
        wanted = signing_in.path_within(str(request.url))
        return RedirectResponse(
            signing_in.sign_in_path(wanted), 303, headers={"vary": "Accept", "cache-control": "no-store"}
        )
    return answer(401, ADVICE, headers=headers)
