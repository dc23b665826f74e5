from ostinato_shared.errors import UnavailableError


class EmbeddedServerError(UnavailableError):
    """An embedded server cannot be started; the message says what to do."""
