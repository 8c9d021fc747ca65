"""Read a token request of API Pix: its parameters, and what the client proves itself by.

The parameters come as a form (RFC 6749, 4.4.2) or, as many SDKs of Brazilian banks send them, as a
JSON object. The id and the secret come by HTTP Basic or among the parameters.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import unquote_plus

from authlib.oauth2.rfc6749 import InvalidRequestError
from flask import Request, request
from werkzeug.exceptions import HTTPException

from core.errors import InvalidRequest
from web.bodies import check_storable
from web.forms import is_form, read_form

CREDENTIAL_CHARACTERS_MAX = 512
BASIC, POST, TLS = "client_secret_basic", "client_secret_post", "tls_client_auth"
"""The names of the ways in which a client proves itself (RFC 8414, RFC 8705)."""


@dataclass(frozen=True)
class SentCredentials:
    """The id of a client and what came with it, unchecked; `method` is None for no credentials."""

    method: str | None
    client_id: str = ""
    secret: str = ""


@dataclass(frozen=True)
class SentTokenRequest:
    """A token request as the client sent it."""

    parameters: Mapping[str, str]
    credentials: SentCredentials
    certificate_thumbprint: str | None
    """The certificate that the connection has proven, as in `OAuthClient`."""


def read_token_request(certificate_thumbprint: str | None) -> SentTokenRequest:
    """The token request at hand. Raises InvalidRequestError, which answers 400."""
    try:
        parameters = _parameters(request)
    except InvalidRequest as error:
        raise InvalidRequestError(_description(error.detail)) from None
    except HTTPException:  # too many parts, or too many bytes
        raise InvalidRequestError("The body is too large.") from None
    credentials = _credentials(request, parameters, certificate_thumbprint)
    return SentTokenRequest(parameters, credentials, certificate_thumbprint)


def _parameters(req: Request) -> dict[str, str]:
    if is_form():
        return read_form()
    if not req.get_data().strip():
        return {}
    if not req.is_json:
        raise InvalidRequest(
            detail="Send the parameters as application/x-www-form-urlencoded or application/json."
        )
    # Names that mean nothing here are ignored, as RFC 6749, 3.2, asks for.
    names = ("grant_type", "scope", "client_id", "client_secret")
    members = {name: value for name, value in req.get_json().items() if name in names}
    for name, value in members.items():
        if value is not None and not isinstance(value, str):
            raise InvalidRequest(detail=f"{name} must be a text.")
    return {name: value for name, value in members.items() if value is not None}


def _credentials(
    req: Request, parameters: Mapping[str, str], thumbprint: str | None
) -> SentCredentials:
    """What the client proves itself by. Raises InvalidRequestError for two different proofs."""
    client_id, secret = parameters.get("client_id", ""), parameters.get("client_secret", "")
    header = req.headers.get("Authorization")
    if header is not None:
        basic = _basic(header)
        # RFC 6749, 2.3, allows one method; some SDKs send the same credentials in both places.
        is_other_id = client_id and client_id != basic.client_id
        is_other_secret = secret and secret != basic.secret
        if basic.method is not None and (is_other_id or is_other_secret):
            raise InvalidRequestError("The header and the body hold different credentials.")
        return basic
    if client_id and secret:
        return SentCredentials(POST, client_id, secret)
    if client_id and thumbprint is not None:
        return SentCredentials(TLS, client_id)
    return SentCredentials(None)


def _basic(header: str) -> SentCredentials:
    """The credentials of HTTP Basic, both percent-encoded by the client (RFC 6749, 2.3.1).

    The ids and secrets of this service look the same encoded and not encoded.
    """
    scheme, _, encoded = header.partition(" ")
    if scheme.lower() != "basic" or len(encoded) > 4 * CREDENTIAL_CHARACTERS_MAX:
        return SentCredentials(None)
    try:
        text = base64.b64decode(encoded.strip(), validate=True).decode()
        client_id, separator, secret = text.partition(":")
        client_id, secret = unquote_plus(client_id), unquote_plus(secret)
        check_storable(client_id)
    except (binascii.Error, ValueError, InvalidRequest):
        return SentCredentials(None)
    return SentCredentials(BASIC, client_id, secret) if separator else SentCredentials(None)


def _description(text: str) -> str:
    """The text in the characters that RFC 6749, 5.2, allows in `error_description`."""
    return "".join(
        letter if " " <= letter <= "~" and letter not in '"\\' else "?" for letter in text
    )
