"""The section `webhooks` of langgraph.json: where webhooks may go, and the headers that they carry."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from ostinato_shared.errors import ProjectError
from ostinato_shared.webhook_policy import MAX_URL, WebhookPolicy

if TYPE_CHECKING:
    from collections.abc import Mapping

PLACEHOLDER = re.compile(r"\$\{\{(.*?)\}\}")
VARIABLE = re.compile(r"\s*env\.([A-Za-z_][A-Za-z0-9_]*)\s*")
VALUE = re.compile(r"[\t\x20-\x7e]*")  # what a header may hold
# These say how the request itself is put together.
OURS = frozenset({"host", "content-length", "transfer-encoding", "connection", "content-type"})

HeaderName = Annotated[str, StringConstraints(pattern=r"^[!#$%&'*+.^_`|~0-9A-Za-z-]+$")]
Domain = Annotated[str, StringConstraints(pattern=r"^(\*\.)?[^\s*/:@]+$")]
Port = Annotated[int, Field(ge=1, le=65535)]


class UrlSection(BaseModel):
    model_config = ConfigDict(extra="forbid")  # a rule with a typo would be no rule

    require_https: bool = True
    allowed_domains: list[Domain] | None = None
    allowed_ports: list[Port] | None = None
    max_url_length: Annotated[int, Field(ge=1, le=MAX_URL)] = MAX_URL
    disable_loopback: bool = True


class WebhooksSection(BaseModel):
    model_config = ConfigDict(extra="forbid")

    env_prefix: Annotated[str, Field(min_length=1)] = "LG_WEBHOOK_"
    url: UrlSection | None = None
    headers: dict[HeaderName, str] | None = None


@dataclass(frozen=True)
class Webhooks:
    """Where webhooks may go, and the headers that each carries: secrets, which show nowhere."""

    policy: WebhookPolicy = field(default_factory=WebhookPolicy)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)


def build_webhooks(
    section: WebhooksSection | None, *, environ: Mapping[str, str], allow_private_network: bool
) -> Webhooks:
    """What the section says, its placeholders filled. Raises ProjectError, never with a header's value."""
    if section is None:
        return Webhooks(WebhookPolicy(allow_private_network=allow_private_network))
    url = section.url or UrlSection()
    policy = WebhookPolicy(
        require_https=url.require_https,
        allowed_domains=None if url.allowed_domains is None else tuple(url.allowed_domains),
        allowed_ports=None if url.allowed_ports is None else frozenset(url.allowed_ports),
        max_url_length=url.max_url_length,
        disable_loopback=url.disable_loopback,
        allow_private_network=allow_private_network,
    )
    headers = section.headers or {}
    return Webhooks(policy, {name: _fill(name, headers[name], section.env_prefix, environ) for name in headers})


def _fill(name: str, template: str, prefix: str, environ: Mapping[str, str]) -> str:
    if name.lower() in OURS:
        raise ProjectError(f"webhooks.headers.{name}: this header is the server's own. Remove it.")
    place = f"webhooks.headers.{name}"
    value = PLACEHOLDER.sub(lambda found: _variable(place, found[1], prefix, environ), template)
    if not VALUE.fullmatch(value):
        raise ProjectError(f"{place}: the value holds a character that is no printable ASCII, such as a line's end.")
    return value.strip()


def _variable(place: str, given: str, prefix: str, environ: Mapping[str, str]) -> str:
    found = VARIABLE.fullmatch(given)
    if found is None:
        raise ProjectError(f"{place}: a placeholder must be written ${{{{ env.{prefix}NAME }}}}.")
    variable = found[1]
    if not variable.startswith(prefix):
        raise ProjectError(f"{place}: {variable} must begin with {prefix!r}, webhooks.env_prefix of langgraph.json.")
    if variable not in environ:
        raise ProjectError(f"{place}: the environment variable {variable} is not set. Set it, or remove the header.")
    return environ[variable]
