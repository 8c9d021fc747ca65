"""The event feed: the merchant's events in order, as pages and as a stream."""

from __future__ import annotations

from flask import Response, request
from flask_openapi import Tag
from werkzeug.wrappers import Response as BaseResponse

from accounts.access import acting_merchant, current_caller, has_credentials
from config import current_parts
from realtime.credentials import Watching
from repository.database import reading
from repository.feed import Feed
from web.answers import private_json
from web.api_docs import MERCHANT, DocumentedBlueprint, extra_parameters, problems
from webhooks.bodies import event_object
from webhooks.schemas import EventList, EventQuery

bp = DocumentedBlueprint("events", __name__, abp_tags=[Tag(name="Webhooks")])

STREAM_TYPE = "text/event-stream"
SOCKET_KIND = "event-stream"
"""The label of streams among the sockets that metrics count."""
START = "start"
"""In place of an event's id: before the oldest event. A stream of an empty feed begins with it."""
IS_STOPPING = "balcao.is_stopping"
"""In the WSGI environment: a function that tells whether the server stops (`server.serving`)."""
_RESUME_HEADER = {
    "name": "Last-Event-ID",
    "in": "header",
    "required": False,
    "description": "For a stream: the id of the last event that the client has; wins over `after`.",
    "schema": {"type": "string"},
}


@bp.get(
    "/events",
    summary="Read the merchant's events",
    responses={200: EventList, **problems(400, 401, 403, 503)},
    security=MERCHANT,
    openapi_extensions=extra_parameters(_RESUME_HEADER),
)
def list_events(query: EventQuery) -> BaseResponse:
    """The merchant's events in order, oldest first, with the ids and bodies of the webhooks.

    With `Accept: text/event-stream` the answer stays open and streams them: after `Last-Event-ID`
    or `after`, else only what happens from now on. `start` means before the oldest event.
    """
    wants_stream = request.accept_mimetypes.best == STREAM_TYPE
    after = query.after
    if wants_stream:
        after = request.headers.get("Last-Event-ID") or after
    with reading() as work:
        merchant_id = acting_merchant(work).id
        feed = Feed(work)
        if after is None and wants_stream:
            newest, position = feed.last(merchant_id)
            after = newest or START
        elif after is None or after == START:
            after, position = START, 0
        else:
            position = feed.position_of(merchant_id, after)
        if not wants_stream:
            page = feed.after(merchant_id, position, query.limit, query.type)
    if wants_stream:
        return _stream(merchant_id, after, position, query.type)
    presenter = current_parts().presenter
    objects = [event_object(event, presenter) for event in page.items]
    return private_json({"data": objects, "next": page.next})


def _stream(merchant_id: int, after: str, position: int, type_: str | None) -> BaseResponse:
    """The open answer. It ends when its credentials are revoked, or the server stops."""
    parts = current_parts()
    is_stopping = request.environ.get(IS_STOPPING, lambda: parts.webhooks.worker.is_stopping)
    caller = None
    if has_credentials():
        with reading() as work:
            caller = current_caller(work)
    stream = parts.webhooks.streams.open(merchant_id, after, position, type_, is_stopping)
    if caller is not None:
        watching = Watching(caller, stream.end)
        parts.watchings.add(watching)
        stream.on_close.append(lambda: parts.watchings.remove(watching))
    parts.metrics.count_socket(SOCKET_KIND, "opened")
    stream.on_close.append(lambda: parts.metrics.count_socket(SOCKET_KIND, "closed"))
    headers = {
        "Cache-Control": "no-store",
        "X-Accel-Buffering": "no",  # nginx passes each event on at once
    }
    return Response(stream, mimetype=STREAM_TYPE, headers=headers)
