"""Request bodies and answers of the account routes."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema

from accounts.keys import SCOPES
from accounts.passwords import CHARACTERS_MAX, CHARACTERS_MIN
from core.typed import caseless, plain_text
from web.bodies import StrictBody

LOGIN_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._@+\-]{0,63}$"
EMAIL_PATTERN = r"^[A-Za-z0-9._%+\-]{1,64}@[A-Za-z0-9\-]{1,63}(\.[A-Za-z0-9\-]{1,63}){1,3}$"
EMAIL = re.compile(EMAIL_PATTERN[1:-1], re.ASCII)


def _text(least: int, most: int) -> dict[str, Any]:
    """The schema of a text without NUL characters, which no body may hold."""
    return {"type": "string", "minLength": least, "maxLength": most, "pattern": "^[^\\u0000]+$"}


def _login(value: str) -> str:
    if not re.fullmatch(LOGIN_PATTERN[1:-1], value, re.ASCII):
        raise ValueError(
            "must be 1 to 64 letters, digits and . _ - @ +, beginning with a letter or digit"
        )
    return value


def _email(value: str) -> str:
    if not EMAIL.fullmatch(value):
        raise ValueError("must be an e-mail address")
    return value


def _name(value: str) -> str:
    if value != value.strip() or not value.isprintable():
        raise ValueError("must not begin or end with a space, nor hold control characters")
    return value


def _role(value: object) -> object:
    if value == "admin":
        raise ValueError(
            "cannot be admin: create an administrator with `flask accounts create` on the server"
        )
    return value


def _distinct(value: list[str]) -> list[str]:
    if len(set(value)) != len(value):
        raise ValueError("must name each scope once")
    return value


def _plain(value: object) -> object:
    return plain_text(value) if isinstance(value, str) else value


def _caseless(value: object) -> object:
    return caseless(value) if isinstance(value, str) else value


Login = Annotated[
    str,
    BeforeValidator(_plain),
    Field(min_length=1, max_length=64),
    AfterValidator(_login),
    WithJsonSchema({"type": "string", "pattern": LOGIN_PATTERN, "maxLength": 64}),
]
NewPassword = Annotated[
    str,
    Field(min_length=CHARACTERS_MIN, max_length=CHARACTERS_MAX),
    WithJsonSchema(_text(CHARACTERS_MIN, CHARACTERS_MAX)),
]
PresentPassword = Annotated[
    str, Field(min_length=1, max_length=CHARACTERS_MAX), WithJsonSchema(_text(1, CHARACTERS_MAX))
]
Email = Annotated[
    str,
    BeforeValidator(_caseless),
    Field(max_length=254),
    AfterValidator(_email),
    WithJsonSchema({"type": "string", "pattern": EMAIL_PATTERN, "maxLength": 254}),
]
Name = Annotated[
    str,
    Field(min_length=1, max_length=120),
    AfterValidator(_name),
    WithJsonSchema(
        {"type": "string", "minLength": 1, "maxLength": 120, "pattern": "^[!-~]([ -~]*[!-~])?$"}
    ),
]
Label = Annotated[
    str,
    Field(min_length=1, max_length=60),
    AfterValidator(_name),
    WithJsonSchema(
        {"type": "string", "minLength": 1, "maxLength": 60, "pattern": "^[!-~]([ -~]*[!-~])?$"}
    ),
]
ScopeName = Literal[
    "payments:read", "payments:write", "refunds:write", "webhooks:write", "account:write"
]
assert set(ScopeName.__args__) == set(SCOPES)  # type: ignore[attr-defined]  # noqa: S101


class NewUser(StrictBody):
    """`POST /users/`."""

    model_config = ConfigDict(
        json_schema_extra={
            "anyOf": [
                {"properties": {"pin": {"type": "null"}}},
                {"required": ["role"], "properties": {"role": {"const": "payer"}}},
            ]
        }
    )

    username: Login
    password: NewPassword
    email: Email | None = None
    name: Name | None = None
    """The name that shoppers and banks see; the username when absent."""
    role: Annotated[Literal["merchant", "payer"], BeforeValidator(_role)] = "merchant"
    pin: Annotated[str, Field(pattern=r"^[0-9]{4,6}$")] | None = None
    """The PIN of a payer's card at the simulated bank; the bank makes one when absent."""


class PasswordChange(StrictBody):
    """`POST /users/me/password`."""

    current_password: PresentPassword
    new_password: NewPassword


_SHORT_TEXT = WithJsonSchema(_text(1, 64))


class SignInBody(StrictBody):
    """`POST /api/login`, with the login as `username` or `login`."""

    model_config = ConfigDict(
        json_schema_extra={
            # Null means not given, so the one that is given must be a text. The document asks
            # clients to leave the other one out, because a form can only send the word "null".
            "oneOf": [
                {
                    "required": [name],
                    "properties": {name: {"type": "string"}},
                    "not": {"required": [other]},
                }
                for name, other in (("username", "login"), ("login", "username"))
            ]
        }
    )

    username: Annotated[Annotated[str, Field(min_length=1, max_length=64)] | None, _SHORT_TEXT] = (
        None
    )
    login: Annotated[Annotated[str, Field(min_length=1, max_length=64)] | None, _SHORT_TEXT] = None
    password: PresentPassword


class RefreshBody(StrictBody):
    """`POST /token/refresh`."""

    refresh_token: Annotated[
        str,
        Field(min_length=1, max_length=2048),
        WithJsonSchema({"type": "string", "pattern": "^[!-~]+$", "maxLength": 2048}),
    ]


class NewKey(StrictBody):
    """`POST /api/keys`; without `livemode` the key is of the caller's own mode."""

    livemode: bool | None = None
    label: Label = "api"
    scopes: Annotated[
        list[ScopeName],
        Field(min_length=1, max_length=len(SCOPES), json_schema_extra={"uniqueItems": True}),
        AfterValidator(_distinct),
    ] = ["payments:read", "payments:write"]  # noqa: RUF012 - pydantic copies it


class UserObject(BaseModel):
    """An account as its owner sees it."""

    id: str
    username: str
    name: str
    email: str | None
    role: Literal["merchant", "payer", "admin"]
    is_active: bool
    city: str
    pix_key: str | None
    shop_url: str | None
    support_url: str | None
    support_contact: str | None
    logo_url: str | None
    brand_color: str | None
    grace_seconds: int
    created_at: str


class SignUpAnswer(UserObject):
    """A new account, with a payer's card at the simulated bank and its PIN, shown only once."""

    card: str | None = None
    pin: str | None = None


class TokenAnswer(BaseModel):
    """The tokens of a sign-in (RFC 6749, 5.1)."""

    access_token: str
    token_type: Literal["bearer"]
    expires_in: int
    refresh_token: str


class SignInAnswer(TokenAnswer):
    """The tokens of a sign-in by a browser, which also gets them as cookies."""

    csrf_token: str
    user: UserObject


class Message(BaseModel):
    """One sentence."""

    message: str


class EndedSessions(Message):
    """How many sessions ended."""

    ended_sessions: int


class KeyObject(BaseModel):
    """An API key, without its secret part."""

    id: str
    label: str
    prefix: str
    mode: Literal["test", "live"] | None
    livemode: bool
    scopes: list[str]
    created_at: str
    last_used_at: str | None
    revoked_at: str | None


class NewKeyAnswer(KeyObject):
    """A new key; `key` is shown only once."""

    key: str


class KeyList(BaseModel):
    """A page of keys; `next` goes into `?after=`."""

    data: list[KeyObject]
    next: str | None


class SignInObject(BaseModel):
    """A sign-in that has not ended; `current` marks the one that sends the request."""

    id: str
    channel: Literal["cookie", "token"]
    current: bool
    created_at: str
    seen_at: str
    expires_at: str
    address: str
    user_agent: str


class SignInList(BaseModel):
    """A page of sessions; `next` goes into `?after=`."""

    data: list[SignInObject]
    next: str | None
