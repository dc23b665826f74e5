"""A terminal for tests of what is shown there."""

import io
from collections.abc import Callable


class Screen(io.BytesIO):
    """What was shown, and a way to wait for it."""

    def __init__(self) -> None:
        super().__init__()
        self._hooks: list[tuple[bytes, Callable[[], None]]] = []

    def when(self, text: bytes, act: Callable[[], None]) -> None:
        self._hooks.append((text, act))

    def flush(self) -> None:
        for hook in [hook for hook in self._hooks if hook[0] in self.getvalue()]:
            self._hooks.remove(hook)
            hook[1]()

    @property
    def text(self) -> str:
        return self.getvalue().decode()
