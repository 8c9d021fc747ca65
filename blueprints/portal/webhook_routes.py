"""The portal's pages of webhooks: endpoints, what was sent to them, and sending again."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

from flask import redirect, request, url_for
from flask.typing import ResponseReturnValue

from accounts.access import page_guard, signed_in_merchant
from blueprints.portal.confirmation import Question, confirmation_page, is_confirmed
from blueprints.portal.page import bp, page
from config import current_parts
from core.errors import InvalidRequest
from core.webhook_errors import TooManyEndpoints
from db_models import Account, EndpointKind, WebhookEndpoint
from repository.database import Work, in_unit_of_work, reading
from repository.feed import FEED_TYPES
from repository.webhook_deliveries import WebhookDeliveries
from repository.webhook_endpoints import WebhookEndpoints
from web import zones
from web.form_fields import Form
from web.pages import language_args
from web.pages import translate as _
from webhooks import endpoints
from webhooks.addresses import URL_CHARACTERS_MAX, check_url
from webhooks.pix_callbacks import request_url
from webhooks.presenter import delivery_objects
from webhooks.schemas import ALL, EndpointChange, NewEndpoint, ReplayWindow

SCOPE = "webhooks:write"
SECTION = "developers"
PAGE = 20
DESCRIPTION_MAX = 140
NOTICES = frozenset({"changed", "rotated", "pinged", "sent", "replayed", "enabled", "disabled"})
EVENTS = (ALL, *FEED_TYPES)


@bp.get("/portal/developers/webhooks/new")
@page_guard("merchant")
def new_webhook() -> ResponseReturnValue:
    return _render_new(Form({}))


def _render_new(form: Form, status: int = 200) -> ResponseReturnValue:
    with reading() as work:
        merchant = signed_in_merchant(work, SCOPE)
    return page(
        "webhook_new.html",
        merchant,
        SECTION,
        status,
        form=form,
        events=EVENTS,
        checked_events=_sent_events() or [ALL],
        url_max=URL_CHARACTERS_MAX,
        description_max=DESCRIPTION_MAX,
    )


@bp.post("/portal/developers/webhooks")
@page_guard("merchant")
def create_webhook() -> ResponseReturnValue:
    """Create an endpoint; only this answer shows its secret."""
    form = Form(request.form)
    url, events, description = _read(form)
    if form.errors or url is None:
        return _render_new(form, 400)
    body = NewEndpoint(url=url, events=events, description=description)
    secrets = current_parts().webhooks.secrets

    def create(work: Work) -> tuple[WebhookEndpoint, str]:
        return endpoints.create(work, signed_in_merchant(work, SCOPE), body, url, secrets)

    try:
        endpoint, secret = in_unit_of_work(create)
    except TooManyEndpoints:
        sentence = _("Há webhooks demais: apague um antes. São no máximo %(n)s.")
        form.refuse("url", sentence % {"n": endpoints.ENDPOINTS_MAX})
        return _render_new(form, 409)
    _wake()
    return _render_webhook(endpoint.public_id, Form({}), secret=secret)


@bp.get("/portal/developers/webhooks/<string:webhook_id>")
@page_guard("merchant")
def webhook(webhook_id: str) -> ResponseReturnValue:
    """One endpoint with its deliveries, newest first; `?after=` is the cursor."""
    return _render_webhook(webhook_id, Form({}))


def _render_webhook(
    webhook_id: str,
    form: Form,
    status: int = 200,
    *,
    section: str = "",
    secret: str | None = None,
) -> ResponseReturnValue:
    """Render the page; `form` has the values and errors of `section`, the form that was sent."""
    after, notice = request.args.get("after"), request.args.get("done")
    with reading() as work:
        merchant, endpoint = _own(work, webhook_id)
        rows = WebhookDeliveries(work).of_endpoint(endpoint.id, None, after, PAGE)
        deliveries = delivery_objects(work, rows.items, endpoint, current_parts().presenter)
        now = work.now
    older_url = None
    if rows.next is not None:
        older_url = _address(webhook_id, after=rows.next, _anchor="deliveries")
    empty_form = Form({})
    return page(
        "webhook.html",
        merchant,
        SECTION,
        status,
        endpoint=endpoint,
        request_url=request_url(endpoint),
        is_sending=endpoint.enabled and endpoint.paused_at is None,
        has_previous_secret=endpoint.previous_until is not None and endpoint.previous_until > now,
        deliveries=[_readable(delivery) for delivery in deliveries],
        is_newest=after is None,
        older_url=older_url,
        secret=secret,
        notice=notice if notice in NOTICES and not secret else None,
        edit_form=form if section == "edit" else empty_form,
        replay_form=form if section == "replay" else empty_form,
        events=EVENTS,
        checked_events=_sent_events() if section == "edit" else endpoint.event_types or [ALL],
        url_max=URL_CHARACTERS_MAX,
        description_max=DESCRIPTION_MAX,
        replay_max=endpoints.REPLAY_MAX,
    )


@bp.post("/portal/developers/webhooks/<string:webhook_id>")
@page_guard("merchant")
def change_webhook(webhook_id: str) -> ResponseReturnValue:
    """Change address, events and description."""
    with reading() as work:
        _merchant, endpoint = _own_events(work, webhook_id)
    form = Form(request.form)
    url, events, description = _read(form)
    if form.errors or url is None:
        return _render_webhook(webhook_id, form, 400, section="edit")
    # A new address ends a pause, so the old one must not count as new.
    new_url = url if url != endpoint.url else None
    changes = EndpointChange(events=events or [ALL], description=description or "")
    if new_url is not None:
        changes.url = new_url
    _change(webhook_id, changes, new_url)
    return _redirect(webhook_id, "changed")


@bp.post("/portal/developers/webhooks/<string:webhook_id>/switch")
@page_guard("merchant")
def switch_webhook(webhook_id: str) -> ResponseReturnValue:
    """Enable the endpoint, which also ends a pause, or disable it."""
    is_enabled = request.form.get("enabled") == "1"
    _change(webhook_id, EndpointChange(enabled=is_enabled), None)
    return _redirect(webhook_id, "enabled" if is_enabled else "disabled")


@bp.post("/portal/developers/webhooks/<string:webhook_id>/rotate")
@page_guard("merchant")
def rotate_webhook(webhook_id: str) -> ResponseReturnValue:
    """Make a new secret, which only this answer shows. Asks first."""
    if not is_confirmed():
        return _ask(
            webhook_id,
            _("Trocar o segredo?"),
            _("Sim, trocar o segredo"),
            _("Por 24 horas os avisos são assinados com os dois segredos; depois, só com o novo."),
        )
    secrets = current_parts().webhooks.secrets

    def rotate(work: Work) -> str:
        merchant, endpoint = _own_events(work, webhook_id)
        return endpoints.rotate(work, merchant, endpoint, secrets)[1]

    return _render_webhook(webhook_id, Form({}), secret=in_unit_of_work(rotate))


@bp.post("/portal/developers/webhooks/<string:webhook_id>/delete")
@page_guard("merchant")
def delete_webhook(webhook_id: str) -> ResponseReturnValue:
    """Delete the endpoint. Asks first."""
    if not is_confirmed():
        return _ask(
            webhook_id,
            _("Apagar este webhook?"),
            _("Sim, apagar o webhook"),
            _("O que ainda não foi entregue não será enviado. Não dá para desfazer."),
        )

    def delete(work: Work) -> None:
        merchant, endpoint = _own(work, webhook_id)
        endpoints.delete(work, merchant, endpoint)

    in_unit_of_work(delete)
    return redirect(url_for("portal.developers", done="deleted", **language_args()), 303)


@bp.post("/portal/developers/webhooks/<string:webhook_id>/ping")
@page_guard("merchant")
def ping_webhook(webhook_id: str) -> ResponseReturnValue:
    """Send a ping. Raises EndpointNotSending."""

    def ping(work: Work) -> None:
        merchant, endpoint = _own_events(work, webhook_id)
        endpoints.ping(work, merchant, endpoint)

    in_unit_of_work(ping)
    _wake()
    return _redirect(webhook_id, "pinged")


@bp.post("/portal/developers/webhooks/<string:webhook_id>/replay")
@page_guard("merchant")
def replay_webhook(webhook_id: str) -> ResponseReturnValue:
    """Send the events of a window again; its times are in the viewer's zone."""
    with reading() as work:
        _own_events(work, webhook_id)
    form = Form(request.form)
    start, end = _instant(form, "from", required=True), _instant(form, "to")
    if start is not None and end is not None and end < start:
        form.refuse("to", _("O fim fica antes do começo."))
    if form.errors or start is None:
        return _render_webhook(webhook_id, form, 400, section="replay")
    window = ReplayWindow.model_construct(start=start, end=end)

    def replay(work: Work) -> None:
        merchant, endpoint = _own(work, webhook_id)
        endpoints.replay(work, merchant, endpoint, window)

    try:
        in_unit_of_work(replay)
    except InvalidRequest:
        sentence = _("São mais de %(n)s eventos: envie em partes menores.")
        form.refuse("to", sentence % {"n": endpoints.REPLAY_MAX})
        return _render_webhook(webhook_id, form, 400, section="replay")
    _wake()
    return _redirect(webhook_id, "replayed")


@bp.post("/portal/developers/deliveries/<string:delivery_id>/redeliver")
@page_guard("merchant")
def redeliver(delivery_id: str) -> ResponseReturnValue:
    """Send one delivery again. Raises DeliveryNotFound and EndpointNotSending."""

    def send_again(work: Work) -> str:
        merchant = signed_in_merchant(work, SCOPE)
        delivery, endpoint = WebhookDeliveries(work).own(merchant.id, delivery_id)
        endpoints.redeliver(work, merchant, delivery, endpoint)
        return endpoint.public_id

    webhook_id = in_unit_of_work(send_again)
    _wake()
    return _redirect(webhook_id, "sent")


def _own(
    work: Work, webhook_id: str, kind: EndpointKind | None = None
) -> tuple[Account, WebhookEndpoint]:
    merchant = signed_in_merchant(work, SCOPE)
    return merchant, WebhookEndpoints(work.session).own(merchant.id, webhook_id, kind)


def _own_events(work: Work, webhook_id: str) -> tuple[Account, WebhookEndpoint]:
    """A webhook of our own events: API Pix alone changes the address of its callbacks."""
    return _own(work, webhook_id, EndpointKind.EVENTS)


def _change(webhook_id: str, changes: EndpointChange, url: str | None) -> None:
    def change(work: Work) -> None:
        merchant, endpoint = _own(work, webhook_id)
        endpoints.change(work, merchant, endpoint, changes, url)

    in_unit_of_work(change)
    _wake()


def _read(form: Form) -> tuple[str | None, list[Any] | None, str | None]:
    """Address, events (None for all) and description; the form collects the errors."""
    url = form.text("url", URL_CHARACTERS_MAX, required=True)
    if url is not None:
        try:
            url = check_url(url, allow_private=current_parts().webhooks.allow_private)
        except ValueError:
            form.refuse("url", _("Use um endereço público que comece com https://."))
    events = _sent_events()
    if not events:
        form.refuse("events", _("Escolha ao menos um evento."))
    description = form.text("description", DESCRIPTION_MAX)
    return url, None if ALL in events else events, description


def _sent_events() -> list[str]:
    sent_events = request.form.getlist("events")
    return [event for event in EVENTS if event in sent_events]


def _instant(form: Form, name: str, *, required: bool = False) -> datetime | None:
    """The instant of a field of type `datetime-local`, which is in the viewer's zone."""
    text = form.text(name, 40, required=required)
    if text is None:
        return None
    try:
        local = datetime.fromisoformat(text).replace(tzinfo=zones.viewer_zone())
        if not 1970 < local.year < 9000:  # the databases' years, and room for the zone
            raise ValueError
    except ValueError:
        form.refuse(name, _("Escreva uma data e uma hora."))
        return None
    return local.astimezone(UTC)


def _readable(delivery: dict[str, Any]) -> dict[str, Any]:
    """The delivery with its times as instants, and its body in lines."""
    attempts = [{**one, "at": datetime.fromisoformat(one["at"])} for one in delivery["attempts"]]
    next_at = delivery["next_attempt_at"]
    return {
        **delivery,
        "attempts": attempts,
        "created_at": datetime.fromisoformat(delivery["created_at"]),
        "next_attempt_at": None if next_at is None else datetime.fromisoformat(next_at),
        "request_body": _in_lines(delivery["request_body"]),
    }


def _in_lines(text: str) -> str:
    try:
        return json.dumps(json.loads(text), indent=2, ensure_ascii=False)
    except ValueError:  # the body was cut
        return text


def _ask(webhook_id: str, title: str, button: str, warning: str) -> ResponseReturnValue:
    with reading() as work:
        merchant, endpoint = _own(work, webhook_id)
    question = Question(title, button, ((_("Endereço"), endpoint.url),), warning)
    return confirmation_page(merchant, SECTION, question, _address(webhook_id))


def _address(webhook_id: str, **values: Any) -> str:
    return url_for("portal.webhook", webhook_id=webhook_id, **values, **language_args())


def _redirect(webhook_id: str, notice: str) -> ResponseReturnValue:
    return redirect(_address(webhook_id, done=notice), 303)


def _wake() -> None:
    """Wake the worker: something may be due."""
    current_parts().webhooks.worker.wake_dispatcher()
