"""Switch crons on and off: who paused one, why, and that a resumed one begins afresh."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ostinato_shared.errors import ConflictError
from ostinato_shared.models import PausedBy
from ostinato_shared.policies import runs_left

if TYPE_CHECKING:
    from ostinato_shared.models import Cron


class RunsUsedUpError(ConflictError):
    def __init__(self, cron: Cron) -> None:
        super().__init__(
            f"Cron '{cron.cron_id}' has had its {cron.run_count} runs: raise or remove metadata.ostinato.max_runs first"
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
    if not runs_left(cron.policy, cron.run_count):
        raise RunsUsedUpError(cron)
