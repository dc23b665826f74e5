"""The domain's errors: each builds its own message, the api maps them to HTTP in one table."""

from __future__ import annotations


def message_of(error: BaseException) -> str:
    """What an error says; nothing if a class of the user's fails to say it."""
    try:
        return str(error)
    except Exception:  # noqa: BLE001 - code of the user's, which must not hide the error it belongs to
        return ""


class OstinatoError(Exception):
    """Anything that Ostinato refuses or cannot do, with a message for people."""


class InvalidError(OstinatoError):
    """The request does not fit: HTTP 422."""


class BadRequestError(OstinatoError):
    """A well-formed request that makes no sense: HTTP 400."""


class NotFoundError(OstinatoError):
    """No such object: HTTP 404."""


class ConflictError(OstinatoError):
    """The object exists already, or is busy: HTTP 409."""


class InvalidScheduleError(InvalidError):
    def __init__(self, schedule: str, reason: str) -> None:
        shown = schedule if len(schedule) <= 80 else schedule[:77] + "..."  # noqa: PLR2004 - a line of a terminal
        super().__init__(f"Invalid cron schedule: {shown!r}. Reason: {reason}")


class InvalidTimezoneError(InvalidError):
    def __init__(self, timezone: str) -> None:
        super().__init__(
            f"Invalid timezone: {timezone[:80]!r}. Use a name from the IANA database, such as 'Europe/Berlin' or 'UTC'."
        )


class ProjectError(OstinatoError):
    """The user's langgraph.json, or a graph that it names, cannot be used; the message says what to do."""


class UnavailableError(OstinatoError):
    """A server that Ostinato needs does not answer; the message says what to do."""
