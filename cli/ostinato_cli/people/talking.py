"""Commands that talk to a server: each is an async function whose first parameter is the open server."""

import asyncio
import functools
import inspect
from collections.abc import Awaitable, Callable
from typing import Annotated, Any

import typer

from ostinato_cli.people.exits import Exit

URL = "http://127.0.0.1:2024"
PANEL = "Server"
Url = Annotated[str, typer.Option("--url", envvar="OSTINATO_URL", help="Where the api is.", rich_help_panel=PANEL)]
ApiKey = Annotated[
    str | None,
    typer.Option("--api-key", envvar="OSTINATO_API_KEY", help="One of the server's keys.", rich_help_panel=PANEL),
]
EXIT_CODES = "Exit codes: 0 done, 1 refused or failed, 2 wrong use, not found or ambiguous, 3 no server"


def talks(app: typer.Typer, name: str | None = None) -> Callable[[Callable[..., Awaitable[Exit | None]]], None]:
    """A decorator that makes a command of `async def f(server, ...)`, with --url and --api-key among its options."""

    def register(function: Callable[..., Awaitable[Exit | None]]) -> None:
        @functools.wraps(function)
        def command(*, url: str, api_key: str | None, **given: Any) -> None:
            code = asyncio.run(_talk(function, url, api_key, given))
            if code:
                raise typer.Exit(code)

        own = list(inspect.signature(function).parameters.values())[1:]
        parameters = [parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY) for parameter in own]
        parameters += [_option("url", Url, URL), _option("api_key", ApiKey, None)]
        command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]  # what Typer reads
        command.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
        del command.__wrapped__  # its signature is not the command's
        app.command(name, epilog=EXIT_CODES)(command)

    return register


def _option(name: str, annotation: Any, default: Any) -> inspect.Parameter:
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, annotation=annotation, default=default)


async def _talk(
    function: Callable[..., Awaitable[Exit | None]], url: str, api_key: str | None, given: dict[str, Any]
) -> Exit | None:
    from ostinato_cli.people.server import Server  # noqa: PLC0415 - `--help` is quick without httpx

    async with Server(url, api_key) as server:
        return await function(server, **given)
