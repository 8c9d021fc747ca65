"""The payer's routes: `/pay/<code>` and its JSON, for a signed-in payer.

They exist only in the development profile, where the bank is simulated: with a real bank,
people pay in the bank's own application.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Annotated, Any

from flask import Response, g, redirect, render_template, request
from flask_openapi import Tag
from pydantic import BaseModel, Field
from werkzeug.wrappers import Response as BaseResponse

from accounts import audit, csrf
from accounts.access import acting_payer, development_only, page_guard
from blueprints.payer import bank_wallet, paying
from blueprints.payer.bank_wallet import NewWallet, Wallet
from blueprints.payer.demo import DEMO_PIN, is_demo_payer
from config import current_parts, current_settings
from core import ids
from core.errors import (
    BalcaoError,
    Conflict,
    CsrfFailed,
    InvalidRequest,
    PaymentNotFound,
    Refused,
    Unauthorized,
)
from core.money import json_number
from core.payer_errors import (
    BankUnavailable,
    NoWallet,
    PayerRefused,
)
from db_models import Account, AuditAction, Payment, PaymentStatus
from db_models.account import PAYER
from payments.answers import PaymentObject
from payments.lifecycle import status_at
from repository.database import in_unit_of_work, reading
from web.answers import REPLAYED, private_json
from web.api_docs import SIGNED_IN, DocumentedBlueprint, declare, html_page, problems, request_body
from web.bodies import StrictBody
from web.forms import FORM, is_form, parse, read_form
from web.limits import limiter
from web.merchant_view import merchant_view
from web.pages import language_query
from web.problems import prefers_page, status_of

bp = DocumentedBlueprint("payer", __name__, abp_tags=[Tag(name="Payer")])

JSON = "application/json"
PAY_LIMIT = "60 per minute"
"""Per address: a person pays a few times, and the bank counts wrong PINs."""


class PayerPath(BaseModel):
    """Which payment."""

    code: str = Field(
        description="The payment's id: 32 hex digits.",
        json_schema_extra={
            "pattern": "^[0-9a-f]{32}$"
        },  # documented, not validated: other codes are a 404
    )


Pin = Annotated[str, Field(pattern=r"^[0-9]{4,6}$")]


class PayBody(StrictBody):
    """`POST /api/pay/<code>`."""

    card: Annotated[str, Field(pattern=r"^[0-9][0-9 .\-]{10,30}$")] | None = None
    """The number of the account's own card; may be left out."""
    pin: Pin


class WalletBody(StrictBody):
    """`POST /api/wallet`."""

    pin: Pin | None = None
    """The PIN that the payer chooses; without a PIN the bank makes one and answers it once."""


class WalletObject(BaseModel):
    """A payer's wallet at the simulated bank."""

    card_masked: str
    balance: float
    balance_centavos: int
    limit: float
    limit_centavos: int
    pins_left: int
    bank_login: str
    bank_url: str


class NewWalletObject(WalletObject):
    """The wallet in the answer that opens it; only this answer has card and PIN."""

    card: str
    pin: str | None


class PaidAnswer(BaseModel):
    """The payment's result; `state` is `created` until the bank's notice arrives."""

    message: str
    state: str
    code: str
    end_to_end_id: str
    balance: float
    balance_centavos: int
    note: str | None
    payment: PaymentObject


declare(bp, PayBody, WalletBody)


def _require_well_formed_code(view: Callable[..., Any]) -> Callable[..., Any]:
    """Answer 404 to a malformed code, instead of a redirect to the sign-in."""

    @wraps(view)
    def guarded(path: PayerPath) -> Any:
        if not ids.is_txid(path.code):
            raise PaymentNotFound
        return view(path=path)

    return guarded


@bp.get("/pay", doc_ui=False)
@development_only
@page_guard(PAYER)
def wallet_page() -> BaseResponse:
    """The payer's wallet: card, balance, limit, and a link to the bank's application."""
    with reading() as work:
        account = acting_payer(work)
    return _payer_page("wallet", account, None)


@bp.get(
    "/pay/<string:code>",
    summary="The payer's page",
    responses={
        200: html_page("Payee, amount, card and PIN; or why it cannot be paid."),
        303: {"description": "Not signed in: to the sign-in page, and back."},
        **problems(403, 404, 503),
    },
)
@development_only
@_require_well_formed_code
@page_guard(PAYER)
def pay_page(path: PayerPath) -> BaseResponse:
    """The page with payee, amount and PIN."""
    with reading() as work:
        account = acting_payer(work)
        payment = work.payments.by_txid(path.code)
    return _payer_page("pay", account, payment)


@bp.post(
    "/api/pay/<string:code>",
    summary="Pay",
    responses={
        200: PaidAnswer,
        303: {"description": "To a browser's form: go to the payment's page."},
        **problems(400, 401, 402, 403, 404, 409, 413, 415, 429, 503),
    },
    security=SIGNED_IN,
    openapi_extensions=request_body(PayBody, JSON, FORM),
)
@development_only
@limiter.limit(PAY_LIMIT)
def pay(path: PayerPath) -> BaseResponse:
    """Pay from the signed-in payer's balance, through the simulated bank. A retry pays once.

    The answer waits up to 5 s for the bank's notice. Without the notice `state` is `created`,
    and the notice confirms the payment later.
    """
    try:
        with reading() as work:
            account = acting_payer(work)
            payment = work.payments.by_txid(path.code)
            paying.require_payable(work, payment)
        body = _read(PayBody)
        outcome = paying.pay(account, payment, body.card, body.pin)
    except Unauthorized:
        if not prefers_page():
            raise
        back = f"?next=/pay/{path.code}" if ids.is_txid(path.code) else ""
        return redirect(f"{request.script_root}/login{back}", 303)
    except (PayerRefused, InvalidRequest, Conflict, Refused, BankUnavailable) as error:
        return _error_page("pay", error, path.code)
    if prefers_page():
        return redirect(f"{request.script_root}/payments/pix/{payment.txid}{language_query()}", 303)
    note = None if outcome.is_completed else "The bank's notice is on its way; look again."
    answer = {
        "message": "The payment has been made.",
        "state": "completed" if outcome.is_completed else "created",
        "code": payment.txid,
        "end_to_end_id": outcome.debit.end_to_end_id,
        "balance": json_number(outcome.debit.balance_centavos),
        "balance_centavos": outcome.debit.balance_centavos,
        "note": note,
        "payment": _payment_object(outcome.payment),
    }
    response = private_json(answer)
    if outcome.debit.is_repeated:
        response.headers[REPLAYED] = "true"
    return response


@bp.get(
    "/api/wallet",
    summary="The payer's wallet",
    responses={200: WalletObject, **problems(401, 403, 404, 409, 503)},
    security=SIGNED_IN,
)
@development_only
def show_wallet() -> Response:
    """Card (masked), balance and limit; 409 `no-wallet` before the wallet is opened."""
    with reading() as work:
        account = acting_payer(work)
    wallet = bank_wallet.wallet_of(account)
    if wallet is None:
        raise NoWallet("Choose a PIN first: POST /api/wallet.")
    return private_json(wallet_object(wallet))


@bp.post(
    "/api/wallet",
    summary="Open the payer's wallet",
    responses={201: NewWalletObject, **problems(400, 401, 403, 404, 409, 413, 415, 429, 503)},
    security=SIGNED_IN,
    openapi_extensions=request_body(WalletBody, JSON, FORM),
)
@development_only
@limiter.limit(PAY_LIMIT)
def open_wallet() -> BaseResponse:
    """Open the wallet, with demo money; only this answer has card and PIN.

    As the answer may get lost, the wallet can be opened again, with another PIN, until the first
    right PIN.
    """
    code = ""
    try:
        with reading() as work:
            account = acting_payer(work)
        code = request.form.get("code", "") if is_form() else ""
        body = _read(WalletBody, without=("code",))
        new_wallet = bank_wallet.open_wallet(account, body.pin)
    except (PayerRefused, InvalidRequest, Conflict, BankUnavailable) as error:
        return _error_page("pay" if ids.is_txid(code) else "wallet", error, code)
    in_unit_of_work(
        lambda work: audit.record(work, account, AuditAction.WALLET_OPENED, account.login)
    )
    if prefers_page():
        payment_path = f"/{code}" if ids.is_txid(code) else ""
        page = render_template(
            "payer/opened.html",
            new_wallet=new_wallet,
            bank_login=new_wallet.wallet.handle,
            bank_url=current_settings().bank_url,
            next_url=f"{request.script_root}/pay{payment_path}{language_query()}",
        )
        return Response(page, mimetype="text/html")
    return private_json(new_wallet_object(new_wallet), 201)


def wallet_object(wallet: Wallet) -> dict[str, Any]:
    """The wallet as JSON."""
    return {
        "card_masked": wallet.card_masked,
        "balance": json_number(wallet.balance_centavos),
        "balance_centavos": wallet.balance_centavos,
        "limit": json_number(wallet.limit_centavos),
        "limit_centavos": wallet.limit_centavos,
        "pins_left": wallet.pins_left,
        "bank_login": wallet.handle,
        "bank_url": current_settings().bank_url,
    }


def new_wallet_object(new_wallet: NewWallet) -> dict[str, Any]:
    """The answer that opens a wallet: the only one with card and PIN."""
    return {**wallet_object(new_wallet.wallet), "card": new_wallet.card, "pin": new_wallet.pin}


def _read(model: type[StrictBody], without: tuple[str, ...] = ()) -> Any:
    """The body, JSON or form. Raises InvalidRequest, and UnsupportedMediaType for anything else."""
    if not is_form():
        return parse(model, request.get_json())
    fields = read_form()
    dropped = {csrf.FIELD, *without}
    # A form sends all its fields; an empty field counts as missing.
    values = {name: text for name, text in fields.items() if name not in dropped and text != ""}
    return parse(model, values)


def _payment_object(payment: Payment) -> dict[str, Any]:
    presenter = current_parts().presenter
    with reading() as work:
        return presenter.public_payment(payment, work.now)


def _error_page(name: str, error: BalcaoError, code: str) -> BaseResponse:
    """Show the error on the page to a browser; raise the error for a program."""
    if not prefers_page() or isinstance(error, CsrfFailed):
        raise error
    g.problem_code = error.code
    with reading() as work:
        account = acting_payer(work)
        payment = work.payments.by_txid(code) if name == "pay" else None
    response = _payer_page(name, account, payment, error)
    response.status_code = status_of(type(error))
    return response


def _payer_page(
    name: str, account: Account, payment: Payment | None, error: BalcaoError | None = None
) -> Response:
    wallet, is_away = None, False
    try:
        wallet = bank_wallet.wallet_of(account)
    except BankUnavailable:
        is_away = True
    with reading() as work:
        status = None if payment is None else status_at(payment, work.now)
    is_open = status is PaymentStatus.PENDING and bool(payment and payment.has_location)
    needs_amount = payment is not None and paying.needs_a_typed_amount(payment)
    page = render_template(
        f"payer/{name}.html",
        account=account,
        wallet=wallet,
        is_away=is_away,
        demo_pin=DEMO_PIN if is_demo_payer(account) else None,
        payment=payment,
        merchant=None if payment is None else merchant_view(payment.merchant),
        status=status,
        is_payable=is_open and not needs_amount,
        needs_amount=is_open and needs_amount,
        problem=None if error is None else error.code,
        bank_url=current_settings().bank_url,
    )
    return Response(page, mimetype="text/html")
