"""`/api/keys` and `/api/sessions`: list, make and end the credentials of an account."""

from __future__ import annotations

from flask import Response
from flask_openapi import Tag
from pydantic import BaseModel, Field
from werkzeug.wrappers import Response as BaseResponse

from accounts import halves, service, sign_ins
from accounts.access import Caller, current_caller, signed_in_merchant
from accounts.key_answers import make_key_answer
from accounts.key_modes import keys_owner
from accounts.presenter import key_object, session_object
from accounts.schemas import EndedSessions, KeyList, Message, NewKey, NewKeyAnswer, SignInList
from core import ids
from core.errors import NotFound
from repository.database import Work, in_unit_of_work, reading
from web.answers import private_json
from web.api_docs import (
    IDEMPOTENCY_KEY,
    SIGNED_IN,
    DocumentedBlueprint,
    declare,
    extra_parameters,
    problems,
)
from web.idempotency import CreatedAnswer
from web.page_query import PageQuery

bp = DocumentedBlueprint("keys", __name__, url_prefix="/api", abp_tags=[Tag(name="People")])
declare(bp, NewKey)

SCOPE = "account:write"


class KeyQuery(PageQuery):
    """A page of keys; without `livemode` those of the caller's own mode."""

    livemode: bool | None = None


class KeyPath(BaseModel):
    """The path of one API key."""

    key_id: str = Field(
        description="The key's id: 32 hex digits.",
        json_schema_extra={
            "pattern": "^[0-9a-f]{32}$"
        },  # documented, not checked: another id is a 404
    )


class SessionPath(BaseModel):
    """The path of one session."""

    session_id: str = Field(
        description="The session's id: 32 hex digits.",
        json_schema_extra={"pattern": "^[0-9a-f]{32}$"},
    )


@bp.get(
    "/keys",
    summary="List API keys",
    responses={200: KeyList, **problems(400, 401, 403, 503)},
    security=SIGNED_IN,
)
def list_keys(query: KeyQuery) -> Response:
    """The merchant's keys, newest first, with revoked keys; the secret part is never shown.

    `livemode=false` lists the test keys. A test key lists test keys alone.
    """
    with reading() as work:
        signed_in_merchant(work, SCOPE)
        owner = keys_owner(work, current_caller(work), query.livemode)
        if owner is None:
            return private_json({"data": [], "next": None})
        page = work.accounts.keys_of(owner.id, query.after, query.limit)
    livemode = halves.is_live(owner)
    data = [key_object(key, livemode=livemode) for key in page.items]
    return private_json({"data": data, "next": page.next})


@bp.post(
    "/keys",
    summary="Make an API key",
    responses={201: NewKeyAnswer, **problems(400, 401, 403, 409, 413, 415, 503)},
    security=SIGNED_IN,
    openapi_extensions=extra_parameters(IDEMPOTENCY_KEY),
)
def make_key(body: NewKey) -> BaseResponse:
    """Make a key for the merchant's programs. The key is shown once and stored as its hash.

    `livemode` false makes a test key, whose payments move no real money. A test key makes test keys
    alone.
    """

    def make(work: Work) -> CreatedAnswer:
        signed_in_merchant(work, SCOPE)
        return make_key_answer(work, current_caller(work), body)

    return in_unit_of_work(make).response()


@bp.delete(
    "/keys/<string:key_id>",
    summary="Revoke an API key",
    responses={200: Message, **problems(401, 403, 404, 503)},
    security=SIGNED_IN,
)
def revoke_key(path: KeyPath) -> Response:
    """Revoke a key: every process refuses the key at once. Safe to repeat.

    The merchant's session and live keys revoke test keys, too; a test key revokes test keys alone.
    """

    def revoke(work: Work) -> None:
        signed_in_merchant(work, SCOPE)
        if not ids.is_txid(path.key_id):
            raise NotFound("This key does not exist.")
        service.revoke_key(work, current_caller(work).owner, path.key_id)

    in_unit_of_work(revoke)
    return private_json({"message": "The key was revoked."})


@bp.get(
    "/sessions",
    summary="List sessions",
    responses={200: SignInList, **problems(400, 401, 403, 503)},
    security=SIGNED_IN,
)
def list_sessions(query: PageQuery) -> Response:
    """The account's open sessions, newest first."""
    with reading() as work:
        caller = _owner(work)
        page = work.sign_ins.open_of(caller.owner.id, work.now, query.after, query.limit)
    data = [session_object(row, caller.sign_in_id) for row in page.items]
    return private_json({"data": data, "next": page.next})


@bp.delete(
    "/sessions/<string:session_id>",
    summary="End a session",
    responses={200: Message, **problems(401, 403, 404, 503)},
    security=SIGNED_IN,
)
def end_session(path: SessionPath) -> Response:
    """End one session of the account at once, in every process."""

    def end(work: Work) -> None:
        caller = _owner(work)
        row = work.sign_ins.find(path.session_id) if ids.is_txid(path.session_id) else None
        if row is None or row.account_id != caller.owner.id:
            raise NotFound("This session does not exist.")
        sign_ins.end(work, caller.owner, row.public_id, sign_ins.ENDED_BY_OWNER)

    in_unit_of_work(end)
    return private_json({"message": "The session was ended."})


@bp.delete(
    "/sessions",
    summary="End all other sessions",
    responses={200: EndedSessions, **problems(401, 403, 503)},
    security=SIGNED_IN,
)
def end_other_sessions() -> Response:
    """End every session of the account except the one that sends this request."""

    def end(work: Work) -> int:
        caller = _owner(work)
        return sign_ins.end_others(work, caller.owner, sign_ins.ENDED_BY_OWNER, caller.sign_in_id)

    ended = in_unit_of_work(end)
    return private_json({"message": "The other sessions were ended.", "ended_sessions": ended})


def _owner(work: Work) -> Caller:
    caller = current_caller(work)
    caller.require(SCOPE)
    return caller
