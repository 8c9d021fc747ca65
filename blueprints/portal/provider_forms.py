"""The forms of *Recebimento*: read the fields, and show each fault next to its field."""

from __future__ import annotations

from contextlib import closing

from flask import g, request

from config import current_settings
from core.pix.pix_key import TYPED_CHARACTERS_MAX
from db_models import Environment
from providers.api_pix.profiles import BankProfile, all_profiles
from providers.enrolment import NAME_CHARACTERS_MAX
from providers.entry import (
    ADDRESS_CHARACTERS_MAX,
    FILE_BYTES_MAX,
    SECRET_CHARACTERS_MAX,
    EntryFault,
    TypedAccount,
    TypedCredentials,
)
from web.form_fields import Form
from web.pages import translate as _

SCOPE = "account:write"
FORM_BYTES_MAX = 3 * FILE_BYTES_MAX + 65_536
"""Three files, and the fields around them."""


def offers_addresses() -> bool:
    """Whether the form lets a merchant type addresses.

    They could make the service send requests into its own network, as webhooks could; so the same
    setting decides. The operator's command has no such limit.
    """
    return current_settings().webhook_allow_private


def offered_profiles() -> dict[str, BankProfile]:
    """The profiles that a merchant may choose: those with addresses, if no address can be typed."""
    profiles = all_profiles()
    if offers_addresses():
        return profiles
    environment = environment_of_mode()
    if environment is not None:
        is_test = environment == Environment.TEST
        return {n: one for n, one in profiles.items() if (one.test if is_test else one.live)}
    return {name: one for name, one in profiles.items() if one.live or one.test}


def environment_of_mode() -> Environment | None:
    """The only environment that the form can add; None in development, where the form asks.

    In production an account for tests belongs to the test half, and a real one to the merchant.
    """
    if not current_settings().is_live:
        return None
    return Environment.TEST if g.caller.is_test_mode else Environment.LIVE


def typed_account(form: Form) -> TypedAccount:
    """The account as the form has it; a text that no field can hold becomes an error."""
    profile = request.form.get("profile", "")
    bank = offered_profiles().get(profile)
    if bank is None:
        form.refuse("profile", _("Escolha um banco da lista."))
    extra = {
        one.name: form.text(f"extra.{profile}.{one.name}", 300) or ""
        for one in (bank.client_fields if bank else ())
    }
    has_addresses = offers_addresses()
    sent_environment = request.form.get("environment", "")
    environment = environment_of_mode()
    if environment is not None and sent_environment not in ("", environment):
        form.refuse(
            "profile", _("Contas de teste se adicionam no modo de teste, e as reais ao vivo.")
        )
    return TypedAccount(
        profile=profile,
        environment=environment or sent_environment,
        pix_key=form.text("pix_key", TYPED_CHARACTERS_MAX, required=True) or "",
        name=form.text("name", NAME_CHARACTERS_MAX) or "",
        base_url=(form.text("base_url", ADDRESS_CHARACTERS_MAX) or "") if has_addresses else "",
        token_url=(form.text("token_url", ADDRESS_CHARACTERS_MAX) or "") if has_addresses else "",
        extra=extra,
        credentials=typed_credentials(form),
    )


def typed_credentials(form: Form) -> TypedCredentials:
    """Client id, secret and files; a secret is never written into a page again."""
    return TypedCredentials(
        client_id=form.text("client_id", SECRET_CHARACTERS_MAX) or "",
        client_secret=request.form.get("client_secret", "").strip(),
        certificate=_upload("certificate"),
        certificate_key=_upload("certificate_key"),
        certificate_password=request.form.get("certificate_password", "")[:SECRET_CHARACTERS_MAX],
        authorities=_upload("authorities"),
    )


def _upload(name: str) -> bytes:
    """The file of a field, or a part that is already too large; empty without a file."""
    upload = request.files.get(name)
    if upload is None:
        return b""
    with closing(upload):
        return bytes(upload.read(FILE_BYTES_MAX + 1))


def refuse_faults(form: Form, faults: list[EntryFault], profile: str = "") -> None:
    """Show each fault next to its field."""
    for fault in faults:
        name = fault.field
        if name.startswith("extra."):
            name = f"extra.{profile}.{name.removeprefix('extra.')}"
        form.refuse(name, _fault_sentence(fault))


def _fault_sentence(fault: EntryFault) -> str:
    sentences = {
        "unknown": _("Escolha uma das opções."),
        "required": _("Este banco pede este campo."),
        "empty": _("Preencha o que é novo: credenciais, certificado ou os dois."),
        "address": _("Use um endereço que comece com https://."),
        "too-large": _("O arquivo é grande demais para um certificado."),
        "no-certificate": _("O arquivo não tem um certificado."),
        "no-key": _("Falta a chave privada: envie o .p12 ou .pfx, ou também o arquivo da chave."),
        "unreadable": _("O arquivo não pode ser lido: envie o .p12, o .pfx ou o .pem do banco."),
        "password-needed": _("O arquivo pede uma senha."),
        "password-wrong": _("A senha não abre o arquivo."),
        "other-key": _("A chave não é deste certificado: envie o par que foi criado junto."),
        "authority": _("É o certificado da autoridade: envie o que o banco emitiu para você."),
        "expired": _("Este certificado já venceu: emita um novo no banco."),
        "not-yet-valid": _("Este certificado ainda não vale."),
        "unusable": _("Este certificado não serve para uma conexão segura."),
    }
    if fault.field == "pix_key":
        return _("Não é uma chave Pix: confira os números, ou use CPF, CNPJ, telefone, e-mail.")
    return sentences.get(fault.code) or _("Confira este campo.")
