"""*Recebimento*: the merchant's accounts at banks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import structlog
from flask import redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from accounts.access import page_guard, signed_in_merchant
from blueprints.portal.confirmation import Question, confirmation_page, is_confirmed
from blueprints.portal.new_payment_routes import create_once
from blueprints.portal.page import bp, page
from blueprints.portal.password_check import check_password
from blueprints.portal.provider_forms import (
    FORM_BYTES_MAX,
    SCOPE,
    environment_of_mode,
    offered_profiles,
    offers_addresses,
    refuse_faults,
    typed_account,
    typed_credentials,
)
from blueprints.portal.provider_views import fallback_of, view_of
from core.errors import Conflict
from core.provider_errors import ProviderAccountNotFound, ProviderSecretsUnreadable
from db_models import Account, Environment, ProviderAccount
from payments.schemas import NewPayment
from providers import callbacks, check_words, enrolment
from providers.accounts import account_for_new_payment
from providers.check import PAGE_SECONDS, CheckLine, check_account
from providers.entry import EntryRefused, check_new, check_renewal
from providers.port import ProviderAway, ProviderRefusal
from repository.database import Work, in_unit_of_work, reading
from web.bodies import body_limit
from web.form_fields import Form
from web.pages import language_args
from web.pages import translate as _

log = structlog.get_logger()

SECTION = "provider"
UNFIT_RETURNS_MAX = 5
"""Returns that do not fit which the page of an account lists."""
NOTICES = frozenset(
    {"added", "renewed", "chosen", "simulated", "removed", "registered", "register-failed"}
)
TRIAL_CENTAVOS = 1


@bp.get("/portal/provider")
@page_guard("merchant")
def providers() -> ResponseReturnValue:
    """The merchant's accounts; the removed ones are folded away."""
    with reading() as work:
        merchant = signed_in_merchant(work)
        accounts = work.provider_accounts.of_merchant(merchant.id)
        views = [view_of(account, merchant, work) for account in accounts]
    notice = request.args.get("done")
    return page(
        "providers.html",
        merchant,
        SECTION,
        views=[view for view in views if view.account.removed_at is None],
        removed_views=[view for view in views if view.account.removed_at is not None],
        fallback=fallback_of(merchant),
        notice=notice if notice in NOTICES else None,
    )


@bp.get("/portal/provider/new")
@page_guard("merchant")
def new_provider() -> ResponseReturnValue:
    return _render_new(Form({}))


def _render_new(form: Form, status: int = 200) -> ResponseReturnValue:
    with reading() as work:
        merchant = signed_in_merchant(work, SCOPE)
    return page(
        "provider_new.html",
        merchant,
        SECTION,
        status,
        form=form,
        profiles=offered_profiles(),
        has_addresses=offers_addresses(),
        environment=environment_of_mode(),
    )


@bp.post("/portal/provider")
@page_guard("merchant")
@body_limit(FORM_BYTES_MAX)
def create_provider() -> ResponseReturnValue:
    """Add an account. Requires the password, because money goes to its Pix key."""
    form = Form(request.form)
    entry = typed_account(form)
    if form.errors:
        return _render_new(form, 400)
    try:
        new = check_new(entry)
    except EntryRefused as refused:
        refuse_faults(form, refused.faults, entry.profile)
        return _render_new(form, 400)
    check_password(form)
    if form.errors:
        return _render_new(form, 400)

    def add(work: Work) -> str:
        return enrolment.add(work, signed_in_merchant(work, SCOPE), new).public_id

    try:
        public_id = in_unit_of_work(add)
    except Conflict:
        sentence = _("Há contas demais: remova uma antes. São no máximo %(n)s.")
        form.refuse("profile", sentence % {"n": enrolment.ACCOUNTS_MAX})
        return _render_new(form, 409)
    return _redirect(public_id, "added")


@bp.get("/portal/provider/<string:provider_id>")
@page_guard("merchant")
def provider(provider_id: str) -> ResponseReturnValue:
    """One account: what it does, what is wrong, and what can be done."""
    return _render_one(provider_id, Form({}))


def _render_one(
    provider_id: str, form: Form, status: int = 200, lines: list[CheckLine] | None = None
) -> ResponseReturnValue:
    with reading() as work:
        merchant, account = _own(work, provider_id)
        view = view_of(account, merchant, work)
        unfit_returns = work.provider_money.unfit_returns(account.id, UNFIT_RETURNS_MAX)
    try:
        callback_url = enrolment.callback_url(account)
    except ProviderSecretsUnreadable:
        callback_url = ""
    notice = request.args.get("done")
    return page(
        "provider.html",
        merchant,
        SECTION,
        status,
        view=view,
        account=account,
        callback_url=callback_url,
        unfit_returns=unfit_returns,
        form=form,
        lines=_rows(lines),
        notice=notice if notice in NOTICES and not form.errors and lines is None else None,
    )


@bp.post("/portal/provider/<string:provider_id>/check")
@page_guard("merchant")
def check_provider(provider_id: str) -> ResponseReturnValue:
    """Try what the account needs of its bank; `?fragment=check` answers the table alone."""
    with reading() as work:
        _merchant, account = _own(work, provider_id)
    lines = check_account(account, PAGE_SECONDS)
    if request.args.get("fragment") == "check":
        return render_template("portal/_provider_check.html", lines=_rows(lines))
    return _render_one(provider_id, Form({}), lines=lines)


def _rows(lines: list[CheckLine] | None) -> list[dict[str, Any]]:
    return [
        {
            "name": check_words.step_name(line.step),
            "state": str(line.state),
            "sentence": check_words.sentence(line),
        }
        for line in lines or ()
    ]


@bp.post("/portal/provider/<string:provider_id>/register")
@page_guard("merchant")
def register_provider(provider_id: str) -> ResponseReturnValue:
    """Register the address of callbacks at the bank."""
    with reading() as work:
        _merchant, account = _own(work, provider_id)
    try:
        fault = callbacks.register(account)
    except (ProviderAway, ProviderRefusal) as error:
        form = Form({})
        form.refuse("register", check_words.fault_sentence(error.code))
        return _render_one(provider_id, form, 502)
    except ValueError:  # a profile that has changed, or was removed, since the account was stored
        log.exception("provider.unusable", account=account.public_id)
        form = Form({})
        form.refuse("register", check_words.fault_sentence("internal"))
        return _render_one(provider_id, form, 409)
    _change(provider_id, enrolment.note_registration)
    return _redirect(provider_id, "registered" if fault is None else "register-failed")


@bp.post("/portal/provider/<string:provider_id>/use")
@page_guard("merchant")
def use_provider(provider_id: str) -> ResponseReturnValue:
    """Use the account for new payments; with `use=0`, none of its environment."""
    if request.form.get("use") != "0":
        _change(provider_id, enrolment.choose)
        return _redirect(provider_id, "chosen")

    def stop(work: Work, merchant: Account, account: ProviderAccount) -> None:
        # An old page must not stop the account that was chosen since.
        if account.id not in (merchant.live_provider_id, merchant.test_provider_id):
            raise Conflict("New payments do not use this account.")
        enrolment.stop_using(work, merchant, Environment(account.environment))

    _change(provider_id, stop)
    return _redirect(provider_id, "simulated")


@bp.post("/portal/provider/<string:provider_id>/renew")
@page_guard("merchant")
@body_limit(FORM_BYTES_MAX)
def renew_provider(provider_id: str) -> ResponseReturnValue:
    """Replace credentials; what is left empty stays. Requires the password."""
    form = Form(request.form)
    with reading() as work:
        _own(work, provider_id)
    entry = typed_credentials(form)
    if form.errors:
        return _render_one(provider_id, form, 400)
    try:
        fresh = check_renewal(entry)
    except EntryRefused as refused:
        refuse_faults(form, refused.faults)
        return _render_one(provider_id, form, 400)
    check_password(form)
    if form.errors:
        return _render_one(provider_id, form, 400)
    try:
        _change(
            provider_id, lambda work, merchant, one: enrolment.renew(work, merchant, one, fresh)
        )
    except ProviderSecretsUnreadable:
        form.refuse("client_id", _("As credenciais antigas se perderam: preencha todas."))
        return _render_one(provider_id, form, 409)
    return _redirect(provider_id, "renewed")


@bp.post("/portal/provider/<string:provider_id>/remove")
@page_guard("merchant")
def remove_provider(provider_id: str) -> ResponseReturnValue:
    """Remove the account; asks first."""
    if not is_confirmed():
        with reading() as work:
            merchant, account = _own(work, provider_id)
            view = view_of(account, merchant, work)
        question = Question(
            _("Remover esta conta?"),
            _("Sim, remover a conta"),
            ((_("Banco"), view.bank), (_("Chave Pix"), view.key)),
            _(
                "Ela não recebe mais cobranças novas. As abertas ainda podem ser pagas, e as "
                "devoluções continuam."
            ),
        )
        return confirmation_page(merchant, SECTION, question, _address(provider_id))
    _change(provider_id, enrolment.remove)
    return redirect(url_for("portal.providers", done="removed", **language_args()), 303)


@bp.post("/portal/provider/<string:provider_id>/charge")
@page_guard("merchant")
def try_provider(provider_id: str) -> ResponseReturnValue:
    """Create a payment of R$ 0,01, and show it. Raises Conflict if it would be at another bank."""
    with reading() as work:
        merchant, account = _own(work, provider_id)
    if account.id != account_for_new_payment(merchant):
        raise Conflict("New payments do not use this account: choose it first.")
    terms = NewPayment.of(TRIAL_CENTAVOS, description=_("Cobrança de teste"))
    txid = create_once(terms, request.form.get("form_key", ""))
    address = url_for("portal.payment", payment_id=txid, done="created", **language_args())
    return redirect(address, 303)


def _own(work: Work, provider_id: str) -> tuple[Account, ProviderAccount]:
    merchant = signed_in_merchant(work, SCOPE)
    account = enrolment.own_account(work, merchant, provider_id)
    if account.merchant_id != merchant.id:  # of the test half, and the page is in live mode
        raise ProviderAccountNotFound
    return merchant, account


def _change(provider_id: str, change: Callable[[Work, Account, ProviderAccount], object]) -> None:
    def do(work: Work) -> None:
        merchant, account = _own(work, provider_id)
        change(work, merchant, account)

    in_unit_of_work(do)


def _address(provider_id: str, **values: Any) -> str:
    return url_for("portal.provider", provider_id=provider_id, **values, **language_args())


def _redirect(provider_id: str, notice: str) -> ResponseReturnValue:
    return redirect(_address(provider_id, done=notice), 303)
