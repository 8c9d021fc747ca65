"""The authorization server of API Pix: OAuth 2.0 client credentials (RFC 6749, 4.4), by Authlib."""

from __future__ import annotations

import json
import re
from functools import cache
from typing import Any

from authlib.oauth2 import AuthorizationServer
from authlib.oauth2.rfc6749 import (
    ClientCredentialsGrant,
    ClientMixin,
    InvalidClientError,
    InvalidRequestError,
    InvalidScopeError,
    OAuth2Error,
    OAuth2Request,
    UnsupportedGrantTypeError,
)
from authlib.oauth2.rfc6749.requests import BasicOAuth2Payload
from authlib.oauth2.rfc6750 import BearerTokenGenerator
from flask import Response

from accounts.client_certificates import client_thumbprint, is_certificate_needed
from accounts.oauth_clients import SCOPES, is_secret_of, oauth_client_uses
from accounts.oauth_requests import (
    BASIC,
    CREDENTIAL_CHARACTERS_MAX,
    POST,
    TLS,
    SentTokenRequest,
    read_token_request,
)
from accounts.oauth_tokens import TOKEN_SECONDS, issue_token
from config import current_settings
from core.errors import TooManyRequests
from db_models import OAuthClient
from repository.database import now, reading
from web.limits import client_network, limits, per_seconds, register_limit

WRONG_SECRETS = register_limit("client-secret")
SCOPE_CHARACTERS_MAX = 1000
CLIENT_CREDENTIALS = "client_credentials"
"""The one grant type (RFC 6749, 4.4)."""

_CLIENT_ID = re.compile(r"[A-Za-z0-9._~\-]{1,64}", re.ASCII)
_CHALLENGE = ("WWW-Authenticate", 'Basic realm="API Pix", charset="UTF-8"')


class ClientRefused(InvalidClientError):  # type: ignore[misc]  # Authlib has no types
    """The client is unknown or revoked, or has not proven itself: 401 (RFC 6749, 5.2)."""

    status_code = 401
    description = (
        "The client is unknown or revoked, or its secret or certificate is wrong. Send client_id "
        "and client_secret by HTTP Basic or in the body, with mutual TLS where it is on."
    )

    def get_headers(self) -> list[tuple[str, str]]:
        """The headers, with the challenge that RFC 7617 asks for."""
        return [*OAuth2Error.get_headers(self), _CHALLENGE]


class GrantTypeRefused(UnsupportedGrantTypeError):  # type: ignore[misc]  # as above
    """Another grant type than client_credentials; the answer does not repeat it."""

    description = "grant_type must be client_credentials."


class ProvenClient(ClientMixin):  # type: ignore[misc]  # as above
    """A client that has proven itself, as Authlib asks about it."""

    def __init__(self, row: OAuthClient, certificate_thumbprint: str | None) -> None:
        """Take the row, and the certificate of this connection."""
        self.row = row
        self.certificate_thumbprint = certificate_thumbprint

    def check_grant_type(self, grant_type: str) -> bool:
        """Whether the client may use this grant type."""
        return grant_type == CLIENT_CREDENTIALS

    def check_endpoint_auth_method(self, method: str, endpoint: str) -> bool:  # noqa: ARG002 - Authlib's signature
        """Whether the client may prove itself in this way: every client may use each."""
        return method in ProvenClientGrant.TOKEN_ENDPOINT_AUTH_METHODS

    def get_allowed_scope(self, scope: str | None) -> str:
        """The scopes of a new token: all of the client's, unless the request names some."""
        names = (scope or "").split()
        return " ".join(dict.fromkeys(names)) if names else self.row.scopes


class ProvenClientGrant(ClientCredentialsGrant):  # type: ignore[misc]  # as above
    """Client credentials; a scope that the client lacks is an error and is not left out."""

    TOKEN_ENDPOINT_AUTH_METHODS = (BASIC, POST, TLS)

    def validate_requested_scope(self) -> None:
        """Raise InvalidScopeError for a scope that the client lacks, or that does not exist."""
        text = self.request.payload.scope or ""
        if len(text) > SCOPE_CHARACTERS_MAX:
            raise InvalidScopeError("The scope is too long.")
        missing = [
            name for name in text.split() if name not in self.request.client.row.scopes.split()
        ]
        if missing:
            lacking = [name for name in missing if name in SCOPES]
            names = f": {' '.join(lacking)}" if lacking else ""
            raise InvalidScopeError(f"The scope holds names that this client does not have{names}.")


class TokenServer(AuthorizationServer):  # type: ignore[misc]  # as above
    """Answers token requests. Tokens have no rows, so nothing is stored."""

    def __init__(self) -> None:
        """Register the grant, the token generator and the ways to prove oneself."""
        super().__init__()
        self.register_grant(ProvenClientGrant)
        # Without its own expiry Authlib's tokens would live for ten days.
        self.register_token_generator(
            "default", BearerTokenGenerator(_new_token, None, lambda *_: TOKEN_SECONDS)
        )
        for method in ProvenClientGrant.TOKEN_ENDPOINT_AUTH_METHODS:
            self.register_client_auth_method(method, _prover(method))

    def query_client(self, client_id: str) -> OAuthClient | None:
        """The client, if it is not revoked and its account not disabled; one statement."""
        if not _CLIENT_ID.fullmatch(client_id):
            return None
        with reading() as work:
            account_and_client = work.oauth_clients.find_usable(client_id)
        return None if account_and_client is None else account_and_client[1]

    def save_token(self, token: dict[str, Any], request: OAuth2Request) -> None:  # noqa: ARG002 - Authlib's signature
        """Note that the client was used; the token itself is not stored."""
        oauth_client_uses().note(request.client.row.id, now())

    def send_signal(self, name: str, *args: Any, **kwargs: Any) -> None:
        """Nobody listens to Authlib's signals."""

    def create_oauth2_request(self, request: SentTokenRequest) -> OAuth2Request:
        """The request in Authlib's form."""
        # Authlib refuses http addresses by a variable of the environment. Whether the service
        # speaks TLS is not decided here, so Authlib gets no address of this service.
        wrapped = OAuth2Request("POST", "https://localhost/oauth/token")
        wrapped.payload = BasicOAuth2Payload(dict(request.parameters))
        wrapped.sent = request
        return wrapped

    def get_token_grant(self, request: OAuth2Request) -> ProvenClientGrant:
        """The grant. Raises InvalidRequestError and GrantTypeRefused."""
        grant_type = request.payload.grant_type
        if not grant_type:
            raise InvalidRequestError("grant_type is missing: send client_credentials.")
        if grant_type != CLIENT_CREDENTIALS:
            raise GrantTypeRefused(None)
        grant: ProvenClientGrant = super().get_token_grant(request)
        return grant

    def authenticate_client(
        self, request: OAuth2Request, methods: tuple[str, ...], endpoint: str = "token"
    ) -> ProvenClient:
        """The client that sent the request. Raises ClientRefused and TooManyRequests."""
        try:
            client: ProvenClient = super().authenticate_client(request, methods, endpoint)
        except InvalidClientError:
            _count_refusal()
            raise ClientRefused from None
        return client

    def handle_response(
        self, status: int, body: dict[str, Any], headers: list[tuple[str, str]]
    ) -> Response:
        """The answer as JSON."""
        return Response(json.dumps(body), status, headers=headers)


@cache
def _token_server() -> TokenServer:
    """The server; it holds nothing of one app or request."""
    return TokenServer()


def answer_token_request() -> Response:
    """Answer the request at hand with a token, or with an error as RFC 6749, 5.2, writes it.

    A token is bound to the certificate that came with the request, if any. Raises TooManyRequests
    and DatabaseUnavailable.
    """
    try:
        sent = read_token_request(client_thumbprint())
        answer: Response = _token_server().create_token_response(sent)
    except OAuth2Error as error:
        answer = _token_server().handle_error_response(None, error)
    return answer


def _new_token(client: ProvenClient, scope: str, **_rest: Any) -> str:
    return issue_token(client.row, scope, client.certificate_thumbprint)


def _prover(method: str) -> Any:
    """A function that finds the client and checks what it proves itself by, for one method."""

    def prove(query_client: Any, request: OAuth2Request) -> ProvenClient | None:
        credentials = request.sent.credentials
        if credentials.method != method or len(credentials.secret) > CREDENTIAL_CHARACTERS_MAX:
            return None
        row: OAuthClient | None = query_client(credentials.client_id)
        if row is None:
            return None
        thumbprint = request.sent.certificate_thumbprint
        is_own = thumbprint is not None and thumbprint == row.certificate_thumbprint
        if method == TLS:
            is_proven = is_own
        else:
            # With mutual TLS, a stolen secret is of no use without the client's certificate.
            is_proven = is_secret_of(row, credentials.secret) and (
                is_own or (thumbprint is None and not is_certificate_needed())
            )
        return ProvenClient(row, thumbprint) if is_proven else None

    return prove


def _count_refusal() -> None:
    """Count a wrong secret of this address. Raises TooManyRequests past the limit of sign-ins.

    Only wrong secrets are counted and refused, never a right one: a secret has 256 random bits, and
    checking it costs one hash. So nobody can lock a client out, not even from its own address
    (docs/decisions/0020-throttling.md limits passwords before they are checked).
    """
    settings = current_settings()
    limit = per_seconds(settings.sign_in_tries_per_address_max, settings.sign_in_window_seconds)
    wait = limits().take(limit, WRONG_SECRETS, client_network())
    if wait is not None:
        limits().count(WRONG_SECRETS)
        raise TooManyRequests(wait, f"Too many wrong secrets. Try again in {wait} seconds.")
