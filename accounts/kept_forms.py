"""A form that was refused for its CSRF token: say why, and show what was typed, to send again.

What was typed is shown only if a page of this service sent it. Another site could else have its
own values confirmed. Passwords are never written into a page; they are typed again.
"""

from __future__ import annotations

from dataclasses import dataclass

from flask import Flask, Response, g, make_response, render_template, request
from werkzeug.wrappers import Response as BaseResponse

from accounts import csrf, tokens
from core.errors import BalcaoError, CsrfFailed, Unauthorized
from db_models import Account
from repository.database import reading
from web.forms import is_form
from web.pages import translate as _
from web.problems import answer_error, prefers_page

FIELDS_MAX = 60
"""The most fields that the page keeps; no form here has as many."""

SECRET_FIELDS = frozenset(
    {
        *("password", "current_password", "new_password", "repeated", "pin"),
        *("client_secret", "certificate_password"),
    }
)


@dataclass(frozen=True)
class KeptField:
    """A field as it was sent; without a label it is not shown, but sent again."""

    name: str
    value: str
    label: str = ""


def init_kept_forms(app: Flask) -> None:
    """Answer a refused form with the page; programs get the same error as before."""
    app.register_error_handler(CsrfFailed, _on_csrf_failed)


def is_kept() -> bool:
    """Whether a page of this service sent this form, so that it may be shown again."""
    return (
        request.method == "POST"
        and is_form()
        and prefers_page()
        and _is_from_our_own_page() is True
    )


def _is_from_our_own_page() -> bool | None:
    """Whether a page of this service sent the form; None if the browser does not say.

    Our pages send no referrer, so browsers write `Origin: null` for our own forms, too. Then
    Sec-Fetch-Site says who sent it. Old browsers do not send it, nor does any over plain HTTP.
    """
    site = request.headers.get("Sec-Fetch-Site")
    if site is not None:
        return site == "same-origin"
    if request.headers.get("Origin", "null") == "null":
        return None
    return csrf.is_from_our_own_page()


def raise_if_foreign(error: BalcaoError) -> None:
    """Raise a CsrfFailed again, unless a page of this service surely sent the form."""
    if isinstance(error, CsrfFailed) and not is_kept():
        raise error


def ended_page() -> BaseResponse:
    """The page after a form of a session that has ended."""
    return _page(csrf.ENDED, None, 401)


def reason_of(error: CsrfFailed) -> str:
    """The reason of the refusal; empty if it has none."""
    return error.reason if isinstance(error, csrf.FormRefused) else ""


def explain(reason: str) -> tuple[str, str]:
    """Why the form was refused, and what to do."""
    words = {
        csrf.ENDED: (
            _("Sua sessão terminou"),
            _("Entre de novo em outra aba. Depois volte aqui e envie."),
        ),
        csrf.OTHER_SIGN_IN: (
            _("Você entrou de novo em outra aba"),
            _("A página era da sessão anterior. Confira a conta e envie de novo."),
        ),
        csrf.TOO_OLD: (
            _("A página ficou aberta tempo demais"),
            _("Envie de novo por esta página, que é nova."),
        ),
        csrf.NO_COOKIES: (
            _("Seu navegador não enviou os cookies"),
            _("Permita os cookies deste site e envie de novo."),
        ),
        csrf.OTHER_MODE: (
            _("O modo mudou em outra aba"),
            _("Esta página era do outro modo. Confira se você está ao vivo ou em teste."),
        ),
        csrf.OTHER_SITE: (
            _("Este formulário não veio de uma página nossa"),
            _("Abra a página pelo nosso endereço e preencha de novo."),
        ),
    }
    incomplete = (
        _("O formulário chegou incompleto"),
        _("Carregue a página de novo e envie por ela."),
    )
    return words.get(reason, incomplete)


def _on_csrf_failed(error: CsrfFailed) -> Response | BaseResponse:
    if not (is_form() and prefers_page()):
        return answer_error(error)
    g.problem_code = error.code
    reason = reason_of(error)
    if _is_from_our_own_page() is False:
        return _page(csrf.OTHER_SITE, None, 403)
    account = _signed_in_account()
    if reason == csrf.OTHER_SIGN_IN and account is None:
        reason = csrf.ENDED
    return _page(reason, account, 403)


def _page(reason: str, account: Account | None, status: int) -> BaseResponse:
    heading, advice = explain(reason)
    # In the other mode the same form would do something else, so it is not offered again.
    is_shown_again = is_kept() and reason != csrf.OTHER_MODE
    if not is_shown_again and reason in (csrf.ENDED, csrf.OTHER_SIGN_IN, csrf.TOO_OLD):
        advice = explain(csrf.OTHER_SITE)[1]  # there is no form here to send again
    page = render_template(
        "errors/kept_form.html",
        heading=heading,
        advice=advice,
        account=account,
        is_shown_again=is_shown_again,
        needs_sign_in=reason == csrf.ENDED,
        has_other_mode=reason == csrf.OTHER_MODE,
        action=request.full_path.removesuffix("?"),
        fields=_kept_fields() if is_shown_again else [],
        secret_names=[name for name in request.form if name in SECRET_FIELDS],
        file_names=list(request.files)[:FIELDS_MAX],
        labels=_labels(),
        status=status,
        request_id=g.get("request_id", ""),
    )
    answer = make_response(page, status)
    answer.headers["Cache-Control"] = "no-store"
    return answer


def _kept_fields() -> list[KeptField]:
    labels = _labels()
    skipped = SECRET_FIELDS | {csrf.FIELD}
    fields = [
        KeptField(name, value, labels.get(name, ""))
        for name, values in request.form.lists()
        if name not in skipped
        for value in values
    ]
    return fields[:FIELDS_MAX]


def _labels() -> dict[str, str]:
    """The labels of the fields that people type."""
    return {
        "value": _("Valor"),
        "description": _("Descrição"),
        "order_id": _("Número do pedido"),
        "name": _("Nome"),
        "city": _("Cidade"),
        "support_contact": _("Contato"),
        "institution": _("Banco que recebe"),
        "document": _("CPF ou CNPJ"),
        "street": _("Endereço"),
        "state": _("UF"),
        "postal_code": _("CEP"),
        "support_url": _("Link de atendimento"),
        "shop_url": _("Site da loja"),
        "pix_key": _("Chave Pix"),
        "email": _("E-mail"),
        "label": _("Para que serve a nova chave"),
        "username": _("Usuário"),
        "password": _("Senha"),
        "current_password": _("Senha atual"),
        "new_password": _("Nova senha"),
        "repeated": _("Nova senha, de novo"),
        "pin": _("Senha do cartão"),
    }


def _signed_in_account() -> Account | None:
    """The account whose cookie this browser sends now."""
    token = g.get("renewed_access_token") or request.cookies.get(tokens.ACCESS_COOKIE, "")
    try:
        claims = tokens.read(token, "access")
    except Unauthorized:
        return None
    with reading() as work:
        return work.accounts.find_signed_in(claims.account_public_id, claims.sign_in_id, work.now)
