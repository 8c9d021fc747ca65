"""A shop of six products and a cart of one; *Pagar com Pix* leads to the payment page.

It exists only in the development profile; in production its address leads to the portal.
"""

from __future__ import annotations

import re
import secrets
from dataclasses import dataclass
from datetime import timedelta

from flask import Blueprint, make_response, redirect, render_template, request
from flask.typing import ResponseReturnValue
from flask_babel import lazy_gettext as _

from accounts.access import DEMO_LOGIN, acting_account, development_only
from accounts.local_paths import HOME_OF_ROLE
from config import current_settings
from core.errors import FieldError, InvalidRequest, NotFound, OrderAlreadyHasPayment, Unauthorized
from db_models import Payment, PaymentStatus
from db_models.account import PAYER
from payments import service
from payments.schemas import NewPayment
from repository.database import Work, in_unit_of_work, reading
from web.pages import language_query

bp = Blueprint("shop", __name__)

ORDER_LIFETIME = timedelta(minutes=15)
CART = "cart_"
"""Begins the name of the cookie that keeps a cart's order; a product's slug follows."""
CART_LIFETIME = timedelta(days=1)
_ORDER = re.compile(r"FV-[0-9A-F]{8}", re.ASCII)


@dataclass(frozen=True)
class Product:
    """One thing on the shelf; `image` is a path below static/."""

    slug: str
    name: object
    price_centavos: int
    image: str
    blurb: object


PRODUCTS = {
    product.slug: product
    for product in (
        Product(
            "cafe",
            _("Café da serra, 250 g"),
            3490,
            "img/products/cafe.svg",
            _("Torra média, notas de cacau e laranja."),
        ),
        Product(
            "queijo",
            _("Queijo meia cura, 500 g"),
            5490,
            "img/products/queijo.svg",
            _("De leite cru, curado por vinte dias."),
        ),
        Product(
            "mel",
            _("Mel silvestre, 300 g"),
            2890,
            "img/products/mel.svg",
            _("Das abelhas do alto da mata."),
        ),
        Product(
            "pao",
            _("Pão de fermentação lenta"),
            1850,
            "img/products/pao.svg",
            _("Assado hoje cedo, casca grossa."),
        ),
        Product(
            "doce",
            _("Doce de leite, 400 g"),
            2350,
            "img/products/doce.svg",
            _("Tacho de cobre, ponto de colher."),
        ),
        Product(
            "caneca",
            _("Caneca de cerâmica"),
            6200,
            "img/products/caneca.svg",
            _("Feita à mão, cada uma diferente."),
        ),
    )
}


@bp.get("/")
def shelf() -> ResponseReturnValue:
    """The products; in production the way to the caller's own pages, or to the sign-in."""
    if not current_settings().is_development:
        answer = redirect(f"{request.script_root}{_own_pages()}{language_query()}", 303)
        answer.headers["Cache-Control"] = "no-store"
        return answer
    return render_template("shop/index.html", products=list(PRODUCTS.values()), home_url="/")


def _own_pages() -> str:
    try:
        with reading() as work:
            role = acting_account(work).role
    except Unauthorized:
        return "/login"
    # A payer's pages exist in development only.
    return "/login" if role == PAYER else HOME_OF_ROLE[role]


@bp.get("/shop/cart/<slug>")
@development_only
def cart(slug: str) -> ResponseReturnValue:
    """A cart with one product; it keeps its order's number until the order is paid.

    So *Pagar*, *back* and *Pagar* lead to one payment, and not to two that can both be paid.
    """
    product = _product(slug)
    number = _open_order(slug) or _new_order()
    page = render_template("shop/cart.html", product=product, order=number, home_url="/")
    response = make_response(page)
    response.set_cookie(
        f"{CART}{slug}",
        number,
        max_age=CART_LIFETIME,
        path="/shop",
        secure=current_settings().public_url.startswith("https://"),
        httponly=True,
        samesite="Lax",
    )
    return response


@bp.post("/shop/orders")
@development_only
def order() -> ResponseReturnValue:
    """Create the order's payment and take the shopper to its page."""
    product = _product(request.form.get("product", ""))
    number = request.form.get("order") or _new_order()
    if not _ORDER.fullmatch(number):
        raise InvalidRequest([FieldError("order", "is not an order number of this shop")])
    payment = NewPayment.of(
        product.price_centavos,
        description=str(product.name),
        order_id=number,
        metadata={"product": product.slug},
    )
    try:
        txid = in_unit_of_work(lambda work: _pay(work, payment, number).txid)
    except OrderAlreadyHasPayment:
        txid = in_unit_of_work(lambda work: _live(work, number).txid)
    return redirect(f"{request.script_root}/payments/pix/{txid}{language_query()}", 303)


def _open_order(slug: str) -> str | None:
    """The order's number in the cart's cookie; None if there is none or the order is paid."""
    number = request.cookies.get(f"{CART}{slug}", "")
    if not _ORDER.fullmatch(number):
        return None
    with reading() as work:
        merchant = work.accounts.by_login(DEMO_LOGIN)
        live = work.payments.live_of_order(merchant.id, number)
    is_paid = live is not None and live.status == PaymentStatus.CONFIRMED
    return None if is_paid else number


def _pay(work: Work, payment: NewPayment, number: str) -> Payment:
    merchant = work.accounts.by_login(DEMO_LOGIN)
    service.explain_live_order(work, merchant, number)
    return service.create(
        work,
        merchant,
        payment,
        ttl=ORDER_LIFETIME,
        location_base=current_settings().location_base,
    )


def _live(work: Work, number: str) -> Payment:
    merchant = work.accounts.by_login(DEMO_LOGIN)
    live = work.payments.live_of_order(merchant.id, number)
    if live is None:
        raise NotFound
    return live


def _new_order() -> str:
    return f"FV-{secrets.token_hex(4).upper()}"


def _product(slug: str) -> Product:
    product = PRODUCTS.get(slug)
    if product is None:
        raise NotFound("This shop has no such product.")
    return product
