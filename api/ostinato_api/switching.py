"""Switch crons on and off: who paused one, why, and that a resumed one begins afresh."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ostinato_shared.errors import ConflictError
from ostinato_shared.models import PausedBy

if TYPE_CHECKING:
    from ostinato_shared.models import Cron


class RunsUsedUpError(ConflictError):
    def __init__(self, cron: Cron, max_runs: int) -> None:
        super().__init__(
            f"Cron '{cron.cron_id}' has had its {max_runs} runs: raise or remove metadata.ostinato.max_runs first"
        )


def switch(cron: Cron, *, enabled: bool, note: str | None = None) -> None:
    """Set `enabled` and what is told of it; a cron that is paused already keeps what its pause says."""
    if enabled and not cron.enabled:
        cron.consecutive_failures = 0
        cron.paused_by = cron.note = None
    elif cron.enabled and not enabled:
        cron.paused_by, cron.note = PausedBy.USER, note
    cron.enabled = enabled


def check_runs_left(cron: Cron) -> None:
    """Raises RunsUsedUpError for a cron that would be paused again at its next fire time."""
    max_runs = (cron.policy or {}).get("max_runs")
    if max_runs is not None and cron.run_count >= max_runs:
        raise RunsUsedUpError(cron, max_runs)
