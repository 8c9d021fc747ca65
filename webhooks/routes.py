"""The merchant's API for webhooks: endpoints, their secrets, deliveries, sending again."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from flask import Response
from flask_openapi import Tag
from pydantic import BaseModel, Field
from werkzeug.wrappers import Response as BaseResponse

from accounts.access import acting_merchant
from config import current_parts, current_settings
from core.errors import Conflict, FieldError, InvalidRequest
from db_models import EndpointKind, WebhookDelivery, WebhookEndpoint
from repository.database import Work, in_unit_of_work, reading
from repository.webhook_deliveries import WebhookDeliveries
from repository.webhook_endpoints import WebhookEndpoints
from web.answers import private_json
from web.api_docs import (
    IDEMPOTENCY_KEY,
    MERCHANT,
    DocumentedBlueprint,
    declare,
    extra_parameters,
    problems,
)
from web.idempotency import CreatedAnswer, KeyedRequest, keyed_request
from webhooks import endpoints
from webhooks.addresses import check_url
from webhooks.presenter import delivery_objects, endpoint_object
from webhooks.schemas import (
    DeliveryList,
    DeliveryObject,
    DeliveryQuery,
    EndpointChange,
    EndpointList,
    EndpointObject,
    EndpointWithSecret,
    NewEndpoint,
    ReplayAnswer,
    ReplayWindow,
)

bp = DocumentedBlueprint(
    "webhooks", __name__, url_prefix="/webhooks", abp_tags=[Tag(name="Webhooks")]
)
declare(bp, NewEndpoint, EndpointChange, ReplayWindow)

SCOPE = "webhooks:write"
_HEX_ID = {"pattern": "^[0-9a-f]{32}$"}  # documented, not checked: another id is a 404
_KEYED = extra_parameters(IDEMPOTENCY_KEY)


class EndpointPath(BaseModel):
    """The id of an endpoint."""

    webhook_id: str = Field(description="32 hex digits.", json_schema_extra={**_HEX_ID})


class DeliveryPath(BaseModel):
    """The id of a delivery."""

    delivery_id: str = Field(description="32 hex digits.", json_schema_extra={**_HEX_ID})


class Nothing(BaseModel):
    """The fields of a request without a body, for its Idempotency-Key."""


@bp.post(
    "",
    summary="Create a webhook",
    responses={201: EndpointWithSecret, **problems(400, 401, 403, 409, 413, 415, 503)},
    security=MERCHANT,
    openapi_extensions=_KEYED,
)
def create_endpoint(body: NewEndpoint) -> BaseResponse:
    """Create an endpoint and send it a ping. The secret is shown once."""
    url = _checked(body.url)
    secrets = current_parts().webhooks.secrets
    keyed = keyed_request("create a webhook", body)

    def create(work: Work) -> CreatedAnswer:
        merchant = acting_merchant(work, SCOPE)
        first = keyed.first_answer(work, merchant.id)
        if first is not None:
            if not WebhookEndpoints(work.session).exists(merchant.id, first.answer["id"]):
                raise Conflict("The webhook that this Idempotency-Key created was deleted.")
            return _with_secret(first, secrets.open(first.answer["secret"]))
        endpoint, secret = endpoints.create(work, merchant, body, url, secrets)
        return _store(work, merchant.id, keyed, endpoint, secret)

    return _woken(in_unit_of_work(create).response())


@bp.get(
    "",
    summary="List the merchant's webhooks",
    responses={200: EndpointList, **problems(401, 403, 503)},
    security=MERCHANT,
)
def list_endpoints() -> BaseResponse:
    """All endpoints of the merchant, oldest first."""
    with reading() as work:
        merchant = acting_merchant(work, SCOPE)
        own = WebhookEndpoints(work.session).of_merchant(merchant.id, EndpointKind.EVENTS)
        objects = [_object(endpoint, work) for endpoint in own]
    return private_json({"data": objects, "next": None})


@bp.get(
    "/<string:webhook_id>",
    summary="Read one webhook",
    responses={200: EndpointObject, **problems(401, 403, 404, 503)},
    security=MERCHANT,
)
def read_endpoint(path: EndpointPath) -> BaseResponse:
    """One endpoint of the merchant."""
    with reading() as work:
        return private_json(_object(_own(work, path)[1], work))


@bp.patch(
    "/<string:webhook_id>",
    summary="Change a webhook",
    responses={200: EndpointObject, **problems(400, 401, 403, 404, 413, 415, 503)},
    security=MERCHANT,
)
def change_endpoint(path: EndpointPath, body: EndpointChange) -> BaseResponse:
    """Change address, events, description, or switch it on and off."""
    url = None if body.url is None else _checked(body.url)

    def change(work: Work) -> dict[str, Any]:
        merchant, endpoint = _own(work, path)
        return _object(endpoints.change(work, merchant, endpoint, body, url), work)

    return _woken(private_json(in_unit_of_work(change)))


@bp.delete(
    "/<string:webhook_id>",
    summary="Delete a webhook",
    responses={204: {"description": "Deleted."}, **problems(401, 403, 404, 503)},
    security=MERCHANT,
)
def delete_endpoint(path: EndpointPath) -> BaseResponse:
    """Delete an endpoint; what is not delivered yet is not sent any more."""

    def delete(work: Work) -> None:
        merchant, endpoint = _own(work, path)
        endpoints.delete(work, merchant, endpoint)

    in_unit_of_work(delete)
    return Response(status=204, headers={"Cache-Control": "no-store"})


@bp.post(
    "/<string:webhook_id>/rotate",
    summary="Give a webhook a new secret",
    responses={200: EndpointWithSecret, **problems(400, 401, 403, 404, 409, 503)},
    security=MERCHANT,
    openapi_extensions=_KEYED,
)
def rotate_secret(path: EndpointPath) -> BaseResponse:
    """Make a new secret, shown once. For 24 hours both secrets sign."""
    secrets = current_parts().webhooks.secrets
    keyed = keyed_request(f"rotate webhook {path.webhook_id}", Nothing())

    def rotate(work: Work) -> CreatedAnswer:
        merchant, endpoint = _own(work, path)
        first = keyed.first_answer(work, merchant.id)
        if first is not None:
            return _with_secret(first, secrets.open(first.answer["secret"]))
        changed, secret = endpoints.rotate(work, merchant, endpoint, secrets)
        return _store(work, merchant.id, keyed, changed, secret)

    response = in_unit_of_work(rotate).response()
    response.status_code = 200
    return response


@bp.post(
    "/<string:webhook_id>/ping",
    summary="Send a ping",
    responses={201: DeliveryObject, **problems(400, 401, 403, 404, 409, 503)},
    security=MERCHANT,
    openapi_extensions=_KEYED,
)
def send_ping(path: EndpointPath) -> BaseResponse:
    """Send the event `ping` to this endpoint."""
    keyed = keyed_request(f"ping webhook {path.webhook_id}", Nothing())

    def ping(work: Work) -> CreatedAnswer:
        merchant, endpoint = _own(work, path)
        first = keyed.first_answer(work, merchant.id)
        if first is not None:
            return first
        delivery = endpoints.ping(work, merchant, endpoint)
        return keyed.store(work, merchant.id, _delivery_answer(work, delivery, endpoint))

    return _woken(in_unit_of_work(ping).response())


@bp.get(
    "/<string:webhook_id>/deliveries",
    summary="List the deliveries of a webhook",
    responses={200: DeliveryList, **problems(400, 401, 403, 404, 503)},
    security=MERCHANT,
)
def list_deliveries(path: EndpointPath, query: DeliveryQuery) -> BaseResponse:
    """Deliveries, newest first, each with its request and all attempts."""
    with reading() as work:
        _, endpoint = _own(work, path)
        page = WebhookDeliveries(work).of_endpoint(
            endpoint.id, query.status, query.after, query.limit
        )
        objects = delivery_objects(work, page.items, endpoint, current_parts().presenter)
    return private_json({"data": objects, "next": page.next})


@bp.post(
    "/deliveries/<string:delivery_id>/redeliver",
    summary="Send a delivery again",
    responses={201: DeliveryObject, **problems(400, 401, 403, 404, 409, 503)},
    security=MERCHANT,
    openapi_extensions=_KEYED,
)
def redeliver(path: DeliveryPath) -> BaseResponse:
    """Send one event again, at once and whatever its first delivery became."""
    keyed = keyed_request(f"redeliver {path.delivery_id}", Nothing())

    def send_again(work: Work) -> CreatedAnswer:
        merchant = acting_merchant(work, SCOPE)
        delivery, endpoint = WebhookDeliveries(work).own(merchant.id, path.delivery_id)
        first = keyed.first_answer(work, merchant.id)
        if first is not None:
            return first
        again = endpoints.redeliver(work, merchant, delivery, endpoint)
        return keyed.store(work, merchant.id, _delivery_answer(work, again, endpoint))

    return _woken(in_unit_of_work(send_again).response())


@bp.post(
    "/<string:webhook_id>/replay",
    summary="Send a window of events again",
    responses={201: ReplayAnswer, **problems(400, 401, 403, 404, 409, 413, 415, 503)},
    security=MERCHANT,
    openapi_extensions=_KEYED,
)
def replay(path: EndpointPath, body: ReplayWindow) -> BaseResponse:
    """Send every event from `from` to `to` again, in order per payment, with its first id."""
    keyed = keyed_request(f"replay webhook {path.webhook_id}", body)

    def send_again(work: Work) -> CreatedAnswer:
        merchant, endpoint = _own(work, path)
        first = keyed.first_answer(work, merchant.id)
        if first is not None:
            return first
        number = endpoints.replay(work, merchant, endpoint, body)
        answer = {"message": "The events are sent again.", "deliveries": number}
        return keyed.store(work, merchant.id, CreatedAnswer("", answer))

    return _woken(in_unit_of_work(send_again).response())


def _checked(url: str) -> str:
    """The address in its normal form. Raises InvalidRequest for one that may not be sent to."""
    try:
        return check_url(url, allow_private=current_parts().webhooks.allow_private)
    except ValueError as error:
        raise InvalidRequest([FieldError("url", str(error))]) from None


def _own(work: Work, path: EndpointPath) -> tuple[Any, WebhookEndpoint]:
    merchant = acting_merchant(work, SCOPE)
    endpoints_ = WebhookEndpoints(work.session)
    return merchant, endpoints_.own(merchant.id, path.webhook_id, EndpointKind.EVENTS)


def _object(endpoint: WebhookEndpoint, work: Work) -> dict[str, Any]:
    return endpoint_object(
        endpoint, work.now, livemode=current_parts().presenter.livemode(endpoint.merchant_id)
    )


def _store(
    work: Work, merchant_id: int, keyed: KeyedRequest, endpoint: WebhookEndpoint, secret: str
) -> CreatedAnswer:
    """Store the answer with the secret encrypted; return it with the secret itself."""
    answer = _object(endpoint, work)
    location = f"{current_settings().public_url}/webhooks/{endpoint.public_id}"
    stored = CreatedAnswer(location, {**answer, "secret": endpoint.secret})
    keyed.store(work, merchant_id, stored)
    return _with_secret(stored, secret)


def _with_secret(answer: CreatedAnswer, secret: str) -> CreatedAnswer:
    return replace(answer, answer={**answer.answer, "secret": secret})


def _delivery_answer(
    work: Work, delivery: WebhookDelivery, endpoint: WebhookEndpoint
) -> CreatedAnswer:
    [answer] = delivery_objects(work, [delivery], endpoint, current_parts().presenter)
    return CreatedAnswer("", answer)


def _woken(response: BaseResponse) -> BaseResponse:
    """The response, after waking the worker: something may be due."""
    current_parts().webhooks.worker.wake_dispatcher()
    return response
