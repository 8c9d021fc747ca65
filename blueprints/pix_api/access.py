"""Who calls: the merchant of the token, for operations that need a scope."""

from __future__ import annotations

from flask import request

from accounts.oauth_tokens import merchant_of_token
from blueprints.pix_api.problems import refuse
from config import current_settings
from db_models import Account
from providers.accounts import account_for_new_payment
from repository.database import Work
from web import request_counts

_SIMULATED_ONLY = {
    "cobv.write": "CobVOperacaoInvalida",
    "lotecobv.write": "LoteCobVOperacaoInvalida",
    "payloadlocation.write": "PayloadLocationOperacaoInvalida",
    "payloadlocationrec.write": "RequisicaoInvalida",
    "rec.write": "RecOperacaoInvalida",
    "solicrec.write": "SolicRecOperacaoInvalida",
    "cobr.write": "CobROperacaoInvalida",
}
"""The scopes that create what only the simulated bank has, with the type of the refusal."""


def merchant_for(work: Work, scope: str) -> Account:
    """The merchant whose client calls; one statement. Raises Unauthorized and Forbidden.

    Raises PixProblem if the merchant's new charges go to a real bank and the scope is of resources
    that only the simulated bank has.
    """
    merchant = merchant_of_token(work, request.headers.get("Authorization"), scope)
    kind = _SIMULATED_ONLY.get(scope)
    if kind and request.method in ("POST", "PUT") and account_for_new_payment(merchant) is not None:
        resource = scope.partition(".")[0]
        raise refuse(kind, f"O banco deste recebedor não oferece {resource} por aqui.", resource)
    return merchant


def count_change(merchant: Account) -> None:
    """Count a request that stores something: a charge, a revision, a location.

    A merchant may send as many in a minute as it may create payments. Raises TooManyRequests.
    """
    most = current_settings().creations_per_minute
    request_counts.take(request_counts.CREATIONS, most, f"account {merchant.id}")
