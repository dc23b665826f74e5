"""Making a cron and changing one: a form that works without scripts, and what it would do while it is filled in."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Annotated, Any
from urllib.parse import parse_qsl
from uuid import UUID

from fastapi import APIRouter, BackgroundTasks, Depends, Request, Response
from fastapi.responses import RedirectResponse
from sqlalchemy import exc as sqlalchemy_errors
from sqlalchemy.ext.asyncio import AsyncSession

from ostinato_api import assistants, crons, json_bodies, shapes, webhooks
from ostinato_api.dashboard import form_queries, rendering
from ostinato_api.dashboard.page_route import PageRoute
from ostinato_api.dashboard.views import form as views
from ostinato_api.dashboard.views import form_input, form_preview
from ostinato_api.dashboard.views.code import as_code
from ostinato_api.dependencies import CallerDep, ProjectDep, SenderDep, SessionDep
from ostinato_api.schemas.base import CronId, as_uuid
from ostinato_api.schemas.crons import CronCreate, CronPatch
from ostinato_shared.errors import InvalidError, OstinatoError
from ostinato_shared.ids import new_id
from ostinato_shared.models import Assistant, Cron
from ostinato_shared.webhook_policy import WebhookRefusedError

router = APIRouter(route_class=PageRoute)

MOST_FIELDS = 100
LANGUAGES = ("YAML", "Python", "JavaScript", "curl")
CHANGED = "It was changed meanwhile, by somebody else or in another window. Save again to keep what stands here."
PLACES: tuple[tuple[type[OstinatoError], str], ...] = (
    (WebhookRefusedError, "webhook"),
    (assistants.AssistantNotFoundError, "assistant"),
    (crons.ThreadNotFoundError, "thread_id"),
)


async def sent(request: Request) -> list[tuple[str, str]]:
    """The fields of an urlencoded form."""
    try:
        text = (await json_bodies.read(request)).decode()
        return parse_qsl(text, keep_blank_values=True, max_num_fields=MOST_FIELDS)
    except ValueError:
        raise InvalidError("That is no form that this page has sent.") from None


PairsDep = Annotated[list[tuple[str, str]], Depends(sent)]


@router.get("/ui/crons/new", name="ui_cron_new")
async def new(request: Request, session: SessionDep) -> Response:
    """An empty form. The id in it is the cron's: sent twice, it makes one cron."""
    choice = (await session.execute(form_queries.assistants(None))).first()
    form = views.Form(
        cron_id=str(new_id()), assistant=str(choice.assistant_id) if choice else "", schedule="0 9 * * *", enabled="yes"
    )
    return await _page(request, session, form, views.Reading())


@router.post("/ui/crons/new")
async def create(  # noqa: PLR0917 - FastAPI passes them by name
    request: Request,
    pairs: PairsDep,
    session: SessionDep,
    project: ProjectDep,
    caller: CallerDep,
    sender: SenderDep,
    after: BackgroundTasks,
) -> Response:
    """Make the cron and show it, or say at each field what is wrong."""
    form = views.read(pairs)
    reading = views.read_new(form, now=datetime.now(UTC))
    if not reading.errors:
        try:
            body = CronCreate.model_validate(reading.body)
            await webhooks.check(project, body.webhook)
            cron_id = await _create(session, form, body, user_id=caller)
        except OstinatoError as error:
            _note(reading, error)
        else:
            after.add_task(sender.wake_beat)
            return _to(request, cron_id, after)
    return await _page(request, session, form, reading)


@router.post("/ui/crons/preview", name="ui_cron_preview")
async def preview(request: Request, pairs: PairsDep, session: SessionDep) -> Response:
    """What the form as it stands would do."""
    form = views.read(pairs)
    language = dict(pairs).get("language", "")
    cron_id = as_uuid(form.cron_id) if form.seen else None
    stored = await crons.get(session, cron_id) if cron_id else None
    if stored is not None:
        form = views.of_stored(form, stored)
    values = await _ahead(request, session, form, _reading(form, stored), stored, language)
    return rendering.part(request, "parts/form_ahead.html", "parts/form_said.html", swap=True, **values)


@router.get("/ui/crons/new/input", name="ui_cron_input")
async def takes(request: Request, session: SessionDep, project: ProjectDep, assistant: str = "") -> Response:
    """What the graph of an assistant takes as its input; nothing for one that cannot be opened."""
    schema = None
    try:
        found = await assistants.resolve(session, assistant)
        async with shapes.open_graph(found, project) as graph:
            schema = shapes.schemas(graph)["input_schema"]
    except OstinatoError:
        pass
    fields = form_input.fields_of(schema)
    example = form_input.example_of(fields)
    return rendering.part(request, "parts/form_input.html", fields=fields, example=example)


@router.get("/ui/crons/{cron_id}/edit", name="ui_cron_edit")
async def edit(request: Request, session: SessionDep, cron_id: CronId) -> Response:
    """The form of a cron that is there."""
    cron = await crons.get(session, cron_id)
    return await _page(request, session, views.of_cron(cron), views.Reading(), cron)


@router.post("/ui/crons/{cron_id}/edit")
async def change(  # noqa: PLR0917 - FastAPI passes them by name
    request: Request,
    pairs: PairsDep,
    session: SessionDep,
    project: ProjectDep,
    caller: CallerDep,
    sender: SenderDep,
    after: BackgroundTasks,
    cron_id: CronId,
) -> Response:
    """Change the cron and show it, or say at each field what is wrong."""
    form = views.read(pairs)
    refused = await _refused(project, form)
    cron = await crons.hold(session, cron_id)
    form = views.of_stored(form, cron)
    reading = views.read_change(form, cron, now=datetime.now(UTC))
    if refused is not None and "webhook" in reading.body:
        _note(reading, refused)
    if form.seen != cron.updated_at.isoformat():
        reading.errors["form"] = CHANGED
    if not reading.errors:
        try:
            await _change(session, cron_id, reading, user_id=caller)
        except OstinatoError as error:
            _note(reading, error)
            await session.refresh(cron)
        else:
            after.add_task(sender.wake_beat)
            return _to(request, cron_id, after)
    return await _page(request, session, form, reading, cron)


async def _create(session: AsyncSession, form: views.Form, body: CronCreate, *, user_id: str) -> UUID:
    """The id of the cron; of the one that the same form has made already, if it has."""
    thread_id = views.thread_of(form)
    cron_id = as_uuid(form.cron_id) or new_id()
    # Asked first: whoever commits after this is seen by the next look.
    known = await session.scalar(form_queries.known(cron_id))
    made = await session.get(Cron, cron_id)
    if made is not None and _same(made, body, thread_id):
        return cron_id
    if made is not None or known:
        cron_id = new_id()
    try:
        async with session.begin_nested():
            await crons.create(session, body, thread_id=thread_id, cron_id=cron_id, user_id=user_id)
    except sqlalchemy_errors.IntegrityError:  # the same form, sent at the same time
        await crons.get(session, cron_id)
    return cron_id


def _same(cron: Cron, body: CronCreate, thread_id: UUID | None) -> bool:
    own = {"assistant_id", "config"}
    stored = {name: value for name, value in cron.payload.items() if name not in own}
    given = {name: value for name, value in body.given.items() if name not in own}
    return stored == given and cron.thread_id == thread_id and str(cron.assistant_id) == body.assistant_id


async def _change(session: AsyncSession, cron_id: UUID, reading: views.Reading, *, user_id: str) -> None:
    body = CronPatch.model_validate(reading.body)
    if body.given or reading.without:
        async with session.begin_nested():
            await crons.change(session, cron_id, body, user_id=user_id, without=reading.without)


async def _refused(project: ProjectDep, form: views.Form) -> OstinatoError | None:
    """Why the webhook may not go where it points. Asked before the cron is read: it waits for the name service."""
    try:
        await webhooks.check(project, form.webhook or None)
    except OstinatoError as error:
        return error
    return None


def _note(reading: views.Reading, error: OstinatoError) -> None:
    place = next((name for kind, name in PLACES if isinstance(error, kind)), "form")
    reading.errors.setdefault(place, str(error))


def _to(request: Request, cron_id: UUID, after: BackgroundTasks) -> Response:
    path = rendering.path_of(request, "ui_cron", cron_id=cron_id) or "/"
    return RedirectResponse(path, status_code=303, background=after)


def _reading(form: views.Form, stored: Cron | None) -> views.Reading:
    now = datetime.now(UTC)
    return views.read_new(form, now=now) if stored is None else views.read_change(form, stored, now=now)


async def _page(
    request: Request, session: AsyncSession, form: views.Form, reading: views.Reading, cron: Cron | None = None
) -> Response:
    found = (await session.execute(form_queries.assistants(as_uuid(form.assistant)))).all()
    values = await _ahead(request, session, form, _reading(form, cron), cron, LANGUAGES[0])
    if cron is not None and reading.errors.get("form") == CHANGED:
        form = replace(form, seen=cron.updated_at.isoformat())
    return rendering.page(
        request, "form.html", status=422 if reading.errors else 200, swap=False, cron=cron, choices=found,
        errors=reading.errors,
        behaves=form.behaves or not reading.errors.keys().isdisjoint(views.BEHAVIOUR),
        first=next((name for name in views.ORDER if name in reading.errors), None),
        presets=form_preview.PRESETS, zones=form_preview.zones(), **values | {"form": form},
    )  # fmt: skip


async def _ahead(  # noqa: PLR0917 - what a part shows
    request: Request,
    session: AsyncSession,
    form: views.Form,
    reading: views.Reading,
    stored: Cron | None,
    language: str,
) -> dict[str, Any]:
    shown = form_preview.look_ahead(form, reading, now=datetime.now(UTC))
    assistant = await session.get(Assistant, as_uuid(form.assistant)) if as_uuid(form.assistant) else None
    code = {}
    if shown.fires and assistant is not None:
        drawn = form_preview.as_cron(form, reading, stored)
        code = as_code(drawn, assistant=assistants.reference(assistant), url=str(request.base_url).rstrip("/"))
    return {
        "form": form,
        "shown": shown,
        "code": code,
        "language": language if language in LANGUAGES else LANGUAGES[0],
        "languages": LANGUAGES,
    }
