"""What the exit codes mean, and the errors that end in them."""

from __future__ import annotations

from enum import IntEnum

from ostinato_shared.errors import OstinatoError

NOT_FOUND = 404
UNFIT = 422
UNAUTHORIZED = frozenset({401, 403})


class Exit(IntEnum):
    OK = 0
    REFUSED = 1  # the server refused, or what was done failed
    USAGE = 2  # wrong words, not found, or more than one found
    UNREACHABLE = 3
    DIFFERENT = 4  # `diff` found differences


class PeopleError(OstinatoError):
    exit_code = Exit.REFUSED


class UsageError(PeopleError):
    exit_code = Exit.USAGE


class RefusedError(PeopleError):
    """The server said no; `status` is HTTP's."""

    def __init__(self, status: int, detail: str) -> None:
        advice = " Set OSTINATO_API_KEY, or give --api-key." if status in UNAUTHORIZED else ""
        super().__init__(f"{detail}{advice}")
        self.status = status
        self.exit_code = Exit.USAGE if status == NOT_FOUND else Exit.REFUSED


class UnreachableError(PeopleError):
    exit_code = Exit.UNREACHABLE

    def __init__(self, url: str, reason: str = "does not answer") -> None:
        super().__init__(
            f"The server at {url} {reason}. Start one with `ostinato dev`, or name yours: --url, or OSTINATO_URL."
        )


class UnclearError(UnreachableError):
    """The connection broke after the request had left: it may have been done."""

    def __init__(self, url: str) -> None:
        super().__init__(url, "broke off in the middle of an answer")
