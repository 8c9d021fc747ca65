"""The addresses for callbacks: `/webhook` (API Pix 2.9.0, tag Webhook)."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, Response
from werkzeug.wrappers import Response as BaseResponse

from blueprints.pix_api.access import merchant_for
from blueprints.pix_api.fields import PixBody, body_of
from blueprints.pix_api.lists import Window, read_window
from blueprints.pix_api.problems import PixProblem, Violation, refuse
from config import current_parts
from core.clock import rfc3339
from core.pix.pix_key import kind_of
from core.webhook_errors import TooManyEndpoints
from db_models import Account, EndpointKind, WebhookEndpoint
from repository.database import Work, in_unit_of_work, reading
from repository.webhook_endpoints import WebhookEndpoints
from web.answers import private_json
from webhooks import endpoints, pix_endpoints

bp = Blueprint("pix_api_webhook", __name__)

INVALID, UNREADABLE, MISSING = (
    "WebhookOperacaoInvalida",
    "WebhookConsultaInvalida",
    "WebhookNaoEncontrado",
)


class WebhookBody(PixBody):
    """`PUT /webhook/{chave}`, `PUT /webhookrec` and `PUT /webhookcobr`."""

    webhookUrl: str


@bp.put("/webhook/<chave>")
def put_webhook(chave: str) -> BaseResponse:
    """Set the address for a Pix key of the merchant."""

    def write(work: Work) -> None:
        merchant = merchant_for(work, "webhook.write")
        url = _checked_url(merchant, chave)
        try:
            pix_endpoints.put(work, merchant, chave, url)
        except TooManyEndpoints:
            reason = f"Há webhooks de {pix_endpoints.ENDPOINTS_MAX} chaves: apague um antes."
            raise refuse(INVALID, reason, "chave", chave) from None

    in_unit_of_work(write)
    current_parts().webhooks.worker.wake_dispatcher()
    return without_body(200)


@bp.get("/webhook/<chave>")
def get_webhook(chave: str) -> BaseResponse:
    """The address for a key."""
    with reading() as work:
        merchant = merchant_for(work, "webhook.read")
        return private_json(_object(_own(work, merchant, chave)))


@bp.delete("/webhook/<chave>")
def delete_webhook(chave: str) -> BaseResponse:
    """Drop the address for a key; what is not sent yet is not sent any more."""

    def write(work: Work) -> None:
        merchant = merchant_for(work, "webhook.write")
        endpoints.delete(work, merchant, _own(work, merchant, chave))

    in_unit_of_work(write)
    return without_body(204)


@bp.get("/webhook")
def list_webhooks() -> BaseResponse:
    """The merchant's addresses, oldest first; a merchant has at most ten."""
    with reading() as work:
        merchant = merchant_for(work, "webhook.read")
        window = read_window(UNREADABLE, span_is_required=False)
        own = WebhookEndpoints(work.session).of_merchant(merchant.id, EndpointKind.PIX)
    within = [endpoint for endpoint in own if _is_within(endpoint, window)]
    page = within[window.offset : window.offset + window.size]
    body = {
        "parametros": window.parameters(len(within)),
        "webhooks": [_object(endpoint) for endpoint in page],
    }
    return private_json(body)


def _checked_url(merchant: Account, chave: str) -> str:
    """The address of the request at hand in its normal form.

    Raises PixProblem with the violations of the key and of the address.
    """
    violations = []
    if kind_of(chave) is None:
        reason = "O parâmetro chave não corresponde a uma chave DICT válida."
        violations.append(Violation(reason, "chave", chave))
    elif chave != merchant.pix_key:
        reason = "O parâmetro chave não corresponde a uma chave deste usuário recebedor."
        violations.append(Violation(reason, "chave", chave))
    url = ""
    try:
        url = sent_url(EndpointKind.PIX, "webhook", INVALID)
    except PixProblem as problem:
        violations += problem.violations
    if violations:
        raise PixProblem(INVALID, violations[0].reason, violations)
    return url


def sent_url(kind: EndpointKind, head: str, invalid: str) -> str:
    """The address in the body of the request at hand, in its normal form.

    `head` begins the paths of violations. Raises PixProblem of the type `invalid`.
    """
    url = body_of(WebhookBody, head, invalid).webhookUrl
    allow_private = current_parts().webhooks.allow_private
    try:
        return pix_endpoints.check_callback_address(url, kind, allow_private=allow_private)
    except ValueError:
        path = f"{head}.webhookUrl"
        reason = f"O campo {path} não respeita o schema: deve ser um endereço https público."
        raise refuse(invalid, reason, path, url) from None


def _own(work: Work, merchant: Account, chave: str) -> WebhookEndpoint:
    """The merchant's address for this key. Raises PixProblem, also for another merchant's key."""
    endpoint = None
    if kind_of(chave) is not None:
        endpoint = WebhookEndpoints(work.session).of_pix_key(merchant.id, chave)
    if endpoint is None:
        raise PixProblem(MISSING, "Não há webhook para esta chave.")
    return endpoint


def _object(endpoint: WebhookEndpoint) -> dict[str, Any]:
    return {
        "webhookUrl": endpoint.url,
        "chave": endpoint.pix_key,
        "criacao": rfc3339(endpoint.created_at),
    }


def _is_within(endpoint: WebhookEndpoint, window: Window) -> bool:
    at = rfc3339(endpoint.created_at)  # to the millisecond, as it is shown
    starts = window.start is None or rfc3339(window.start) <= at
    return starts and (window.end is None or at <= rfc3339(window.end))


def without_body(status: int) -> Response:
    """An answer without a body, as all changes of addresses have."""
    return Response(status=status, headers={"Cache-Control": "no-store"})
