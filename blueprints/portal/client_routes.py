"""The portal's pages of API Pix clients: make one, see its id and secret once, revoke it."""

from __future__ import annotations

from typing import Any

from flask import redirect, request, url_for
from flask.typing import ResponseReturnValue

from accounts import oauth_clients
from accounts.access import page_guard, signed_in_merchant
from blueprints.portal.confirmation import Question, confirmation_page, is_confirmed
from blueprints.portal.page import bp, page
from config import current_settings
from core.errors import Conflict
from db_models import OAuthClient
from repository.database import Work, in_unit_of_work, reading
from web.form_fields import Form
from web.pages import language_args
from web.pages import translate as _

SCOPE = "account:write"
SECTION = "developers"
LABEL_MAX = 60


@bp.get("/portal/developers/clients/new")
@page_guard("merchant")
def new_client() -> ResponseReturnValue:
    return _render_new(Form({}))


def _render_new(form: Form, status: int = 200) -> ResponseReturnValue:
    with reading() as work:
        merchant = signed_in_merchant(work, SCOPE)
    return page(
        "client_new.html",
        merchant,
        SECTION,
        status,
        form=form,
        resources=_resources(),
        checked_scopes=_sent_scopes() if form.errors else list(oauth_clients.SCOPES),
        label_max=LABEL_MAX,
    )


@bp.post("/portal/developers/clients")
@page_guard("merchant")
def create_client() -> ResponseReturnValue:
    """Make a client; only this answer shows its secret."""
    form = Form(request.form)
    label, scopes = form.text("label", LABEL_MAX, required=True), _sent_scopes()
    if not scopes:
        form.refuse("scopes", _("Escolha ao menos uma permissão."))
    if form.errors or label is None:
        return _render_new(form, 400)

    def create(work: Work) -> tuple[OAuthClient, str]:
        merchant = signed_in_merchant(work, SCOPE)
        return oauth_clients.make_client(work, merchant, label, scopes)

    try:
        client, secret = in_unit_of_work(create, attempts=1)
    except Conflict:
        sentence = _("Há credenciais demais: revogue uma antes. São no máximo %(n)s.")
        form.refuse("label", sentence % {"n": oauth_clients.CLIENTS_MAX})
        return _render_new(form, 409)
    with reading() as work:
        merchant = signed_in_merchant(work, SCOPE)
    return page(
        "client_made.html",
        merchant,
        SECTION,
        client=client,
        secret=secret,
        api_pix_url=current_settings().api_pix_url,
    )


@bp.post("/portal/developers/clients/<string:client_id>/revoke")
@page_guard("merchant")
def revoke_client(client_id: str) -> ResponseReturnValue:
    """Revoke a client with its tokens. Asks first."""
    if not is_confirmed():
        with reading() as work:
            merchant = signed_in_merchant(work, SCOPE)
            client = oauth_clients.find_client(work, merchant, client_id)
        question = Question(
            _("Revogar a credencial %(label)s?") % {"label": client.label},
            _("Sim, revogar a credencial"),
            ((_("Client ID"), client.client_id),),
            _("Os programas que usam esta credencial param na hora. Não dá para desfazer."),
        )
        return confirmation_page(merchant, SECTION, question, _address())

    def revoke(work: Work) -> None:
        oauth_clients.revoke_client(work, signed_in_merchant(work, SCOPE), client_id)

    in_unit_of_work(revoke)
    return redirect(_address(done="client-revoked"), 303)


def _address(**values: Any) -> str:
    return url_for("portal.developers", **values, _anchor="api-pix", **language_args())


def _sent_scopes() -> list[str]:
    sent_scopes = request.form.getlist("scopes")
    return [scope for scope in oauth_clients.SCOPES if scope in sent_scopes]


def _resources() -> list[tuple[str, str]]:
    """Each resource of API Pix with what a merchant calls it."""
    names = {
        "cob": _("Cobranças imediatas"),
        "cobv": _("Cobranças com vencimento"),
        "lotecobv": _("Lotes de cobranças com vencimento"),
        "cobr": _("Cobranças recorrentes"),
        "rec": _("Recorrências do Pix Automático"),
        "solicrec": _("Pedidos de confirmação de recorrência"),
        "pix": _("Pix recebidos e devoluções"),
        "webhook": _("Webhooks de Pix"),
        "webhookrec": _("Webhook de recorrências"),
        "webhookcobr": _("Webhook de cobranças recorrentes"),
        "payloadlocation": _("Endereços dos QR codes"),
        "payloadlocationrec": _("Endereços das recorrências"),
    }
    return [(resource, names[resource]) for resource in oauth_clients.RESOURCES]


def short_scopes(text: str) -> str:
    """Scopes for people: `cob` stands for both `cob.read` and `cob.write`."""
    scopes, names = text.split(), []
    for resource in oauth_clients.RESOURCES:
        own = [scope for scope in scopes if scope.partition(".")[0] == resource]
        names += [resource] if len(own) > 1 else own
    return ", ".join(names)
