"""`/users/` and `/token`: sign-up, tokens, and the caller's own account."""

from __future__ import annotations

from typing import Annotated, Literal

from flask import Response
from flask_openapi import Tag
from pydantic import BaseModel, ConfigDict, Field
from werkzeug.wrappers import Response as BaseResponse

from accounts import service, sign_ins
from accounts.access import current_caller
from accounts.presenter import token_object, user_object
from accounts.schemas import (
    EndedSessions,
    NewUser,
    PasswordChange,
    RefreshBody,
    SignUpAnswer,
    TokenAnswer,
    UserObject,
)
from accounts.sign_up_answers import sign_up_answer
from config import current_settings
from core.errors import FieldError, Forbidden, InvalidRequest
from repository.database import reading
from web.answers import private_json
from web.api_docs import (
    IDEMPOTENCY_KEY,
    SIGNED_IN,
    DocumentedBlueprint,
    declare,
    extra_parameters,
    problems,
    request_body,
)
from web.forms import FORM, parse, read_form
from web.limits import limiter

bp = DocumentedBlueprint("people", __name__, abp_tags=[Tag(name="People")])


class TokenForm(BaseModel):
    """`POST /token`: password grant or refresh (RFC 6749, 4.3 and 6); other fields are ignored."""

    model_config = ConfigDict(
        hide_input_in_errors=True,
        json_schema_extra={
            "anyOf": [
                {
                    "required": ["username", "password"],
                    "properties": {"grant_type": {"const": "password"}},
                },
                {
                    "required": ["grant_type", "refresh_token"],
                    "properties": {"grant_type": {"const": "refresh_token"}},
                },
            ]
        },
    )

    grant_type: Literal["password", "refresh_token"] = "password"
    username: Annotated[str, Field(min_length=1, max_length=64)] | None = None
    password: Annotated[str, Field(min_length=1, max_length=256)] | None = None
    refresh_token: Annotated[str, Field(min_length=1, max_length=2048)] | None = None
    scope: Annotated[str, Field(max_length=255)] = ""
    client_id: Annotated[str, Field(max_length=255)] = ""
    client_secret: Annotated[str, Field(max_length=255)] = ""


declare(bp, NewUser, TokenForm)


def sign_ups_limit() -> str:
    """How many accounts one address may create in an hour."""
    settings = current_settings()
    return f"{settings.sign_ups_per_address_max} per hour"


def require_open_sign_up() -> None:
    """Raise Forbidden if only the operator creates accounts."""
    settings = current_settings()
    if settings.sign_up == "closed":
        raise Forbidden("Sign-up is closed: ask the operator for an account.")


@bp.post(
    "/users/",
    summary="Sign up",
    responses={201: SignUpAnswer, **problems(400, 403, 409, 413, 415, 429, 503)},
    openapi_extensions=extra_parameters(IDEMPOTENCY_KEY),
    strict_slashes=False,
)
@limiter.limit(sign_ups_limit)
def sign_up(body: NewUser) -> BaseResponse:
    """Create an account: a merchant, who can create payments at once, or a payer."""
    require_open_sign_up()
    return sign_up_answer(body)


@bp.get(
    "/users/me/",
    summary="Who am I",
    responses={200: UserObject, **problems(401, 503)},
    security=SIGNED_IN,
    strict_slashes=False,
)
def me() -> Response:
    """The account that the credentials belong to."""
    with reading() as work:
        return private_json(user_object(current_caller(work).owner))


@bp.post(
    "/users/me/password",
    summary="Change the password",
    responses={200: EndedSessions, **problems(400, 401, 403, 413, 415, 429, 503)},
    security=SIGNED_IN,
)
def change_password(body: PasswordChange) -> Response:
    """Set a new password; every other session of the account ends at once."""
    with reading() as work:
        caller = current_caller(work)
    ended = service.change_password(caller, body.current_password, body.new_password)
    return private_json({"message": "The password was changed.", "ended_sessions": ended})


@bp.post(
    "/token",
    summary="Get tokens",
    responses={200: TokenAnswer, **problems(400, 401, 413, 415, 429, 503)},
    openapi_extensions=request_body(TokenForm, FORM),
)
def token() -> Response:
    """Tokens for login and password, or for a refresh token, which works only once."""
    # An empty field counts as absent (RFC 6749, 3.2).
    form = parse(TokenForm, {name: value for name, value in read_form().items() if value})
    if form.grant_type == "refresh_token":
        if form.refresh_token is None:
            raise InvalidRequest([FieldError("refresh_token", "is required")])
        return private_json(token_object(sign_ins.refresh(form.refresh_token).tokens))
    if form.username is None or form.password is None:
        names = [name for name in ("username", "password") if getattr(form, name) is None]
        raise InvalidRequest([FieldError(name, "is required") for name in names])
    sign_in = sign_ins.sign_in(form.username, form.password, "token")
    return private_json(token_object(sign_in.tokens))


@bp.post(
    "/token/refresh",
    summary="Refresh tokens",
    responses={200: TokenAnswer, **problems(400, 401, 413, 415, 503)},
)
def refresh(body: RefreshBody) -> Response:
    """New tokens for a refresh token. A second use of the same token ends the session."""
    return private_json(token_object(sign_ins.refresh(body.refresh_token).tokens))
