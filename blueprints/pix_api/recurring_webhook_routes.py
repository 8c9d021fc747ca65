"""The addresses for callbacks of Pix Automático: `/webhookrec` and `/webhookcobr`.

An account has one address for recurrences and one for recurring charges (API Pix 2.9.0, tags
WebhookRec and WebhookCobR).
"""

from __future__ import annotations

from dataclasses import dataclass

from flask import Blueprint
from werkzeug.wrappers import Response as BaseResponse

from blueprints.pix_api.access import merchant_for
from blueprints.pix_api.problems import PixProblem
from blueprints.pix_api.webhook_routes import sent_url, without_body
from config import current_parts
from core.clock import rfc3339
from db_models import Account, EndpointKind, WebhookEndpoint
from repository.database import Work, in_unit_of_work, reading
from repository.webhook_endpoints import WebhookEndpoints
from web.answers import private_json
from webhooks import endpoints, pix_endpoints

bp = Blueprint("pix_api_recurring_webhooks", __name__)


@dataclass(frozen=True)
class RecurringWebhook:
    """One of the two resources."""

    name: str
    """Of its path, its scopes and its violations."""
    kind: EndpointKind
    invalid: str
    """The type of the error of a wrong request."""


REC = RecurringWebhook("webhookrec", EndpointKind.REC, "WebhookRecOperacaoInvalida")
COBR = RecurringWebhook("webhookcobr", EndpointKind.COBR, "WebhookCobROperacaoInvalida")


@bp.put("/webhookrec")
def put_webhookrec() -> BaseResponse:
    """Set the address for recurrences."""
    return _put(REC)


@bp.get("/webhookrec")
def get_webhookrec() -> BaseResponse:
    """The address for recurrences."""
    return _get(REC)


@bp.delete("/webhookrec")
def delete_webhookrec() -> BaseResponse:
    """Drop the address for recurrences; what is not sent yet is not sent any more."""
    return _delete(REC)


@bp.put("/webhookcobr")
def put_webhookcobr() -> BaseResponse:
    """Set the address for recurring charges."""
    return _put(COBR)


@bp.get("/webhookcobr")
def get_webhookcobr() -> BaseResponse:
    """The address for recurring charges."""
    return _get(COBR)


@bp.delete("/webhookcobr")
def delete_webhookcobr() -> BaseResponse:
    """Drop the address for recurring charges; what is not sent yet is not sent any more."""
    return _delete(COBR)


def _put(resource: RecurringWebhook) -> BaseResponse:
    def write(work: Work) -> None:
        merchant = merchant_for(work, f"{resource.name}.write")
        url = sent_url(resource.kind, resource.name, resource.invalid)
        pix_endpoints.put_sole(work, merchant, resource.kind, url)

    in_unit_of_work(write)
    current_parts().webhooks.worker.wake_dispatcher()
    return without_body(200)


def _get(resource: RecurringWebhook) -> BaseResponse:
    with reading() as work:
        endpoint = _own(work, merchant_for(work, f"{resource.name}.read"), resource)
    return private_json({"webhookUrl": endpoint.url, "criacao": rfc3339(endpoint.created_at)})


def _delete(resource: RecurringWebhook) -> BaseResponse:
    def write(work: Work) -> None:
        merchant = merchant_for(work, f"{resource.name}.write")
        endpoints.delete(work, merchant, _own(work, merchant, resource))

    in_unit_of_work(write)
    return without_body(204)


def _own(work: Work, merchant: Account, resource: RecurringWebhook) -> WebhookEndpoint:
    """The merchant's address. Raises PixProblem; the standard has no type of its own for this."""
    endpoint = WebhookEndpoints(work.session).sole(merchant.id, resource.kind)
    if endpoint is None:
        raise PixProblem("NaoEncontrado", f"Não há endereço em /{resource.name}.")
    return endpoint
