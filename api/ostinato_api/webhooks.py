"""Refuse webhooks that may not go where they point, before anything is stored."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ostinato_shared.webhook_targets import find_target

if TYPE_CHECKING:
    from ostinato_shared.project import Project


async def check(project: Project, *webhooks: str | None) -> None:
    """Raises WebhookRefusedError. It may wait for the name service: hold no transaction meanwhile."""
    for webhook in dict.fromkeys(webhooks):
        if webhook is not None:
            await find_target(webhook, project.webhooks.policy)
