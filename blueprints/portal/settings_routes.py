"""The shop's settings: what shoppers see, and where the money goes."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from typing import Any

from flask import Response, g, redirect, request, url_for
from flask.typing import ResponseReturnValue
from werkzeug.datastructures import FileStorage

from accounts import audit, passwords, service, sign_ins
from accounts.access import current_caller, page_guard, signed_in_merchant, signed_in_owner
from accounts.keys import SCOPES
from accounts.schemas import EMAIL
from blueprints.portal import logos
from blueprints.portal.confirmation import confirmation_page, is_confirmed
from blueprints.portal.page import bp, page
from blueprints.portal.password_check import check_password
from blueprints.portal.payee_fields import payee_columns
from blueprints.portal.pix_keys import format_key, kind_name
from blueprints.portal.settings_questions import key_question, logo_question, session_question
from core.errors import Conflict, InvalidRequest, NotFound
from core.ids import new_public_id
from core.merchant_errors import ShopNameTaken
from core.pix.pix_key import TYPED_CHARACTERS_MAX, kind_of, normalise
from core.typed import caseless
from db_models import Account, AuditAction, SignIn
from mail.outgoing import can_send
from repository.database import LostRace, Work, in_unit_of_work, reading
from repository.portal import PortalQueries
from web.answers import private_json
from web.bodies import body_limit
from web.brand import button_ink, parse_color
from web.form_fields import Form
from web.pages import language_args
from web.pages import translate as _

NAME_MAX, CITY_MAX, GRACE_SECONDS_MAX, CONTACT_MAX = 120, 60, 3600, 120
INSTITUTION_MAX = 60
KEYS_SHOWN, SESSIONS_SHOWN = 60, 30
NOTICES = frozenset({"shop", "logo", "pix-key", "mail", "password", "key-revoked", "session-ended"})
DEFAULT_COLOR = "#04694f"


@bp.get("/portal/settings")
@page_guard("merchant")
def settings() -> ResponseReturnValue:
    return _render_settings("", Form({}))


def _render_settings(
    section: str, form: Form, status: int = 200, new_key: str | None = None
) -> ResponseReturnValue:
    """Render the page; `form` has the values and errors of `section`, the section that was sent."""
    with reading() as work:
        half, merchant = signed_in_merchant(work), signed_in_owner(work)
        caller = current_caller(work)
        keys = work.accounts.keys_of(half.id, None, KEYS_SHOWN).items
        sessions = work.sign_ins.open_of(merchant.id, work.now, None, SESSIONS_SHOWN).items
    kind = kind_of(half.pix_key or "")
    notice = request.args.get("done")
    return page(
        "settings.html",
        merchant,
        "settings",
        status,
        sent_section=section,
        form=form,
        empty_form=Form({}),
        notice=notice if notice in NOTICES else None,
        keys=[key for key in keys if key.revoked_at is None],
        revoked_keys=[key for key in keys if key.revoked_at is not None],
        new_key=new_key,
        scopes=list(SCOPES),
        sessions=sessions,
        own_session=caller.sign_in_id,
        pix_key=format_key(half.pix_key or ""),
        pix_key_kind=kind_name(kind) if kind else "",
        color=merchant.brand_color or DEFAULT_COLOR,
        button_ink=button_ink(merchant.brand_color or DEFAULT_COLOR),
        password_min=passwords.CHARACTERS_MIN,
        grace_max=GRACE_SECONDS_MAX,
        can_send_mail=can_send(),
    )


def _redirect_with_notice(notice: str, section: str) -> ResponseReturnValue:
    """Redirect to a section of the page, which shows the notice."""
    address = url_for("portal.settings", done=notice, _anchor=section, **language_args())
    return redirect(address, 303)


@bp.post("/portal/settings/shop")
@page_guard("merchant")
def save_shop() -> ResponseReturnValue:
    """Save name, city, colour, contact, addresses and grace period."""
    form = Form(request.form)
    values: dict[str, Any] = {
        "name": form.text("name", NAME_MAX, required=True),
        "city": form.text("city", CITY_MAX, required=True),
        **payee_columns(form),
        "institution": form.text("institution", INSTITUTION_MAX),
        "support_contact": form.text("support_contact", CONTACT_MAX),
        "support_url": form.link("support_url"),
        "shop_url": form.link("shop_url"),
        "grace_seconds": form.whole("grace_seconds", 0, GRACE_SECONDS_MAX),
        "brand_color": parse_color(request.form.get("brand_color", "")),
    }
    if values["brand_color"] is None:
        form.refuse("brand_color", _("Escolha uma cor, como #04694f."))
    elif values["brand_color"] == DEFAULT_COLOR:
        values["brand_color"] = None
    if form.errors:
        return _render_settings("shop", form, 400)

    def save(work: Work, merchant: Account) -> None:
        service.require_payee(merchant.pix_key, values["name"], values["city"])
        service.rename(work, merchant, values["name"])
        work.accounts.change(merchant.id, values)
        audit.record(work, merchant, AuditAction.SHOP_CHANGED, merchant.login)

    try:
        _change_account(save)
    except InvalidRequest as error:
        for field_error in error.errors:
            form.refuse(
                field_error.field, _("Use letras ou números que um código Pix possa escrever.")
            )
        return _render_settings("shop", form, 400)
    except (ShopNameTaken, LostRace):  # LostRace: another shop took the name just now
        form.refuse("name", _("Outra loja já tem este nome. Escolha um nome diferente."))
        return _render_settings("shop", form, 409)
    return _redirect_with_notice("shop", "shop")


@bp.post("/portal/settings/logo")
@page_guard("merchant")
@body_limit(logos.UPLOAD_BYTES_MAX + 65_536)
def save_logo() -> ResponseReturnValue:
    """Save the logo of the payment page; `remove` deletes the logo, and asks first."""
    form = Form(request.form)
    png: bytes | None = None
    if "remove" in request.form:
        if not is_confirmed():
            with reading() as work:
                merchant = signed_in_owner(work)
            return confirmation_page(merchant, "settings", logo_question(), _address_of("logo"))
    else:
        upload = request.files.get("logo")
        try:
            png = logos.logo_png(_read_upload(upload) if upload else b"", str(g.caller.owner.id))
        except logos.LogoTooLarge:
            form.refuse("logo", _("Esta imagem é grande demais. Envie uma menor, de até 2 MB."))
            return _render_settings("logo", form, 413)
        except logos.UnusableLogo:
            form.refuse("logo", _("Envie uma imagem PNG, JPEG ou WebP de até 2 MB."))
            return _render_settings("logo", form, 400)

    def save(work: Work, merchant: Account) -> None:
        name = new_public_id() if png is not None else None
        PortalQueries(work.session).replace_logo(merchant.id, name, png or b"", work.now)
        address = f"{request.script_root}/logos/{name}.png" if name else None
        work.accounts.change(merchant.id, {"logo_url": address})
        audit.record(work, merchant, AuditAction.LOGO_CHANGED, merchant.login)

    _change_account(save)
    return _redirect_with_notice("logo", "logo")


@bp.post("/portal/settings/mail")
@page_guard("merchant")
def save_mail() -> ResponseReturnValue:
    """Save the e-mail and its messages. Requires the password: the e-mail can reset it."""
    form = Form(request.form)
    email = caseless(form.text("email", 254) or "")
    if email and not EMAIL.fullmatch(email):
        form.refuse("email", _("Escreva um e-mail, como ana@exemplo.com.br"))
    if form.errors:
        return _render_settings("mail", form, 400)
    check_password(form)
    if form.errors:
        return _render_settings("mail", form, 400)
    values = {"email": email or None, "mails_payments": "mails_payments" in request.form}

    def save(work: Work, merchant: Account) -> None:
        work.accounts.change(merchant.id, values)
        audit.record(work, merchant, AuditAction.MAIL_CHANGED, merchant.login)

    _change_account(save)
    return _redirect_with_notice("mail", "mail")


@bp.post("/portal/settings/pix-key")
@page_guard("merchant")
def save_pix_key() -> ResponseReturnValue:
    """Change the Pix key. Requires the password, because money goes to the key.

    Raises Conflict in test mode: the key of the test half belongs to no bank, and never changes.
    """
    if g.caller.is_test_mode:
        raise Conflict("The test half has a Pix key of its own: change the key in live mode.")
    form = Form(request.form)
    key = _read_pix_key(form)
    if form.errors or key is None:
        return _render_settings("pix-key", form, 400)
    check_password(form)
    if form.errors:
        return _render_settings("pix-key", form, 400)

    def save(work: Work, merchant: Account) -> None:
        service.require_payee(key, merchant.name, merchant.city)
        work.accounts.change(merchant.id, {"pix_key": key})
        audit.record(work, merchant, AuditAction.PIX_KEY_CHANGED, merchant.login)

    try:
        _change_account(save)
    except LostRace:
        form.refuse("pix_key", _("Outra conta recebe por esta chave."))
        return _render_settings("pix-key", form, 409)
    return _redirect_with_notice("pix-key", "pix-key")


@bp.post("/portal/settings/pix-key/kind")
@page_guard("merchant")
def pix_key_kind() -> Response:
    """The kind of the Pix key typed so far: `{"key"}` → `{"kind", "name", "shown"}`."""
    text = request.get_json().get("key")
    answer: dict[str, str | None] = {"kind": None, "name": None, "shown": None}
    if isinstance(text, str) and len(text) <= TYPED_CHARACTERS_MAX:
        try:
            key = normalise(text)
            kind = kind_of(key)
        except InvalidRequest:
            kind = None
        if kind is not None:
            answer = {"kind": str(kind), "name": kind_name(kind), "shown": format_key(key)}
    return private_json(answer)


@bp.post("/portal/settings/keys")
@page_guard("merchant")
def make_key() -> ResponseReturnValue:
    """Make an API key; only this answer shows the key."""
    form = Form(request.form)
    label = form.text("label", 60, required=True)
    scopes = [scope for scope in SCOPES if scope in request.form.getlist("scopes")]
    if not scopes:
        form.refuse("scopes", _("Escolha ao menos uma permissão."))
    if form.errors or label is None:
        return _render_settings("keys", form, 400)
    new_keys: list[str] = []

    def save(work: Work, merchant: Account) -> None:
        new_keys[:] = [service.make_key(work, merchant, label, scopes, by=current_caller(work))[1]]

    try:
        _change_half(save)
    except InvalidRequest:
        form.refuse("label", _("Há chaves demais: revogue uma antes."))
        return _render_settings("keys", form, 400)
    return _render_settings("keys", Form({}), new_key=new_keys[0])


@bp.post("/portal/settings/keys/<string:key_id>/revoke")
@page_guard("merchant")
def revoke_key(key_id: str) -> ResponseReturnValue:
    """Revoke an API key; asks first."""
    if not is_confirmed():
        with reading() as work:
            merchant = signed_in_merchant(work, "account:write")
            key = work.accounts.find_key(merchant.id, key_id)
        if key is None:
            raise NotFound("This key does not exist.")
        return confirmation_page(merchant, "settings", key_question(key), _address_of("keys"))
    _change_half(lambda work, half: service.revoke_key(work, half, key_id))
    return _redirect_with_notice("key-revoked", "keys")


@bp.post("/portal/settings/password")
@page_guard("merchant")
def change_password() -> ResponseReturnValue:
    """Change the password; ends every other sign-in."""
    form = Form(request.form)
    new_password = request.form.get("new_password", "")
    if not passwords.CHARACTERS_MIN <= len(new_password) <= passwords.CHARACTERS_MAX:
        limits = {"n": passwords.CHARACTERS_MIN}
        form.refuse(
            "new_password", _("A nova senha precisa de ao menos %(n)s caracteres.") % limits
        )
    elif new_password != request.form.get("repeated", ""):
        form.refuse("repeated", _("As duas senhas não são iguais."))
    if form.errors:
        return _render_settings("password", form, 400)
    with reading() as work:
        caller = current_caller(work)
    current_password = request.form.get("current_password", "")[: passwords.CHARACTERS_MAX]
    try:
        service.change_password(caller, current_password, new_password)
    except InvalidRequest as error:
        problems = {
            "current_password": _("A senha atual não confere."),
            "new_password": _("Escolha uma senha diferente da atual e do seu login."),
        }
        for field_error in error.errors:
            form.refuse(field_error.field, problems.get(field_error.field, field_error.detail))
        return _render_settings("password", form, 400)
    return _redirect_with_notice("password", "password")


@bp.post("/portal/settings/sessions/<string:session_id>/end")
@page_guard("merchant")
def end_session(session_id: str) -> ResponseReturnValue:
    """End one of the account's sign-ins; 404 for a sign-in of another account. Asks first."""

    def own_session(work: Work, merchant: Account) -> SignIn:
        session = work.sign_ins.find(session_id)
        if session is None or session.account_id != merchant.id:
            raise NotFound("There is no such session.")
        return session

    if not is_confirmed():
        with reading() as work:
            merchant = signed_in_owner(work)
            question = session_question(own_session(work, merchant))
        return confirmation_page(merchant, "settings", question, _address_of("sessions"))

    def save(work: Work, merchant: Account) -> None:
        own_session(work, merchant)
        sign_ins.end(work, merchant, session_id, sign_ins.ENDED_BY_OWNER)

    _change_account(save)
    return _redirect_with_notice("session-ended", "sessions")


def _address_of(section: str) -> str:
    return url_for("portal.settings", _anchor=section, **language_args())


def _read_upload(upload: FileStorage) -> bytes:
    with closing(upload):  # a large upload is a temporary file
        return bytes(upload.read(logos.UPLOAD_BYTES_MAX + 1))


def _change_account(save: Callable[[Work, Account], None]) -> None:
    """Change what both modes share: the person and the shop."""
    in_unit_of_work(lambda work: save(work, signed_in_owner(work)), attempts=1)


def _change_half(save: Callable[[Work, Account], None]) -> None:
    """Change what each half has alone."""
    in_unit_of_work(lambda work: save(work, signed_in_merchant(work, "account:write")), attempts=1)


def _read_pix_key(form: Form) -> str | None:
    text = form.text("pix_key", TYPED_CHARACTERS_MAX, required=True)
    if text is None:
        return None
    try:
        return normalise(text)
    except InvalidRequest:
        problem = _("Não é uma chave Pix: confira os números, ou use CPF, CNPJ, telefone, e-mail.")
        form.refuse("pix_key", problem)
        return None
