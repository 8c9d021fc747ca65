"""Reads a BR Code as a payer's bank does and trusts only what is signed and verified.

The steps follow Banco Central's Manual de Padrões para Iniciação do Pix §2.7: the code, its host,
the answer, the signature, the payload's fields, the charge's status, its deadline, its amount.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime

from bank.codes.charge import Charge, charge_from, due_charge_from
from bank.codes.directory import KeyDirectory
from bank.codes.locations import LocationReader
from bank.errors import (
    ChargeExpired,
    ChargePaid,
    ChargeRemoved,
    CodeNotPayableHere,
    CodeUnreadable,
)
from bank.languages import translate as _
from bank.page_text import moment
from bank.text import clean
from core.languages import N_
from core.pix import br_code
from core.pix.br_code.fault_words import CHECKSUM_WRONG, WHOLE_BUT_FAULTY, fault_of_maker
from core.pix.br_code.pasted import decode_pasted
from core.pix.business_days import brasilia_day

DUE_SEGMENT = "/cobv/"
"""The part of a location's path that says that its charge has a due date."""
ACTIVE, PAID = "ATIVA", "CONCLUIDA"
REMOVED = ("REMOVIDA_PELO_USUARIO_RECEBEDOR", "REMOVIDA_PELO_PSP")

_NOT_PAYABLE = {
    "payload_format_invalid": N_("Isto não é um código Pix."),
    "pix_account_missing": N_("Este código é de outro meio de pagamento, não de Pix."),
    "currency_invalid": N_("Este código não é em reais."),
    "too_long": N_("O código é longo demais para ser um código Pix."),
}
_INCOMPLETE = {
    "crc_missing": N_("O código está incompleto. Copie de novo, do início ao fim."),
    "tlv_malformed": N_("Isto não é um código Pix, ou ele está incompleto."),
}
_CUT = N_("O código está incompleto.")
_WARNINGS = {
    "key_invalid": N_("A chave deste código não tem a forma de uma chave Pix."),
    "amount_invalid": N_("O valor deste código está escrito de um jeito incomum."),
    "name_invalid": N_("O nome neste código tem caracteres incomuns."),
    "city_invalid": N_("A cidade neste código tem caracteres incomuns."),
    "postal_code_invalid": N_("O CEP deste código está escrito de um jeito incomum."),
    "txid_invalid": N_("O identificador deste código está escrito de um jeito incomum."),
}

_REFERENCE = re.compile(r"[a-zA-Z0-9]{1,25}", re.ASCII)
_CODE_CHECKED = N_("Código inteiro: o verificador (CRC) confere")


@dataclass(frozen=True)
class Offer:
    """What the payer sees before entering the PIN: the payee, the key and the amount.

    A static code has no `charge`. The amount is None if the payer has to type one. `is_confirmed`
    says that a bank has signed who owns the key. `checks` lists the checks that the code passed.
    """

    code: str
    payee_name: str
    payee_city: str | None
    key: str
    amount_centavos: int | None
    warnings: tuple[str, ...]
    charge: Charge | None
    is_confirmed: bool
    is_payable: bool
    message: str | None
    reference: str | None
    checks: tuple[str, ...]


class CodeReader:
    """Turns codes into offers by fetching charges from the receivers' banks."""

    def __init__(self, locations: LocationReader, directory: KeyDirectory) -> None:
        self._locations = locations
        self._directory = directory

    def read(self, code: str, now: datetime) -> Offer:
        """Check the code in a pasted text step by step.

        Raises a CodeRefused at the first check that fails.
        """
        code, decoded_code = read_code(code)
        warnings = tuple(_(_WARNINGS[warning]) for warning in decoded_code.warnings)
        if decoded_code.url is None and decoded_code.key is not None:
            return self._static_offer(code, decoded_code, decoded_code.key, warnings)
        location = _location_of(decoded_code)
        host = location.partition("/")[0].lower()
        charge = self._charge_at(location, now)
        _refuse_unless_payable(charge, now)
        self._directory.learn(charge, host, now)
        return Offer(
            code=code,
            payee_name=charge.payee_name or clean(decoded_code.merchant_name, 100),
            payee_city=charge.payee_city or clean(decoded_code.merchant_city, 40),
            key=charge.key,
            amount_centavos=None if charge.payer_sets_amount else charge.amount_centavos,
            warnings=warnings,
            charge=charge,
            is_confirmed=True,
            is_payable=True,
            message=charge.message,
            reference=None,
            checks=(
                _(_CODE_CHECKED),
                _("O endereço da cobrança (%(host)s) é de um banco conhecido") % {"host": host},
                _("A cobrança veio assinada, por chave publicada por esse banco"),
                _("O certificado é o da chave (x5t), a cadeia fecha e está na validade"),
                _("A assinatura confere: nada mudou no caminho"),
                _("A cobrança está ativa, até %(time)s") % {"time": moment(charge.expires_at)},
            ),
        )

    def _static_offer(
        self, code: str, decoded_code: br_code.BrCode, key: str, warnings: tuple[str, ...]
    ) -> Offer:
        """The offer of a static code: the payee from the directory, else as the code says."""
        if decoded_code.fss is not None:
            raise CodeNotPayableHere(_("É um código de Pix Saque. Nada foi pago."))
        is_key_valid = "key_invalid" not in decoded_code.warnings
        owner = self._directory.find(key) if is_key_valid else None
        info = clean(decoded_code.additional_info or "", 72)
        return Offer(
            code=code,
            payee_name=owner.name if owner else clean(decoded_code.merchant_name, 100),
            payee_city=owner.city if owner else clean(decoded_code.merchant_city, 40),
            key=key,
            amount_centavos=decoded_code.amount_centavos,
            warnings=warnings,
            charge=None,
            is_confirmed=owner is not None,
            is_payable=is_key_valid,
            message=info or None,
            reference=decoded_code.txid if _REFERENCE.fullmatch(decoded_code.txid) else None,
            checks=(_(_CODE_CHECKED), _("A chave tem a forma de uma chave Pix"))
            + ((_("O dono da chave foi informado pelo banco dele"),) if owner else ()),
        )

    def _charge_at(self, location: str, now: datetime) -> Charge:
        has_due_date = DUE_SEGMENT in f"/{location.partition('/')[2]}"
        # The amount depends on the day of the payment. Without the code of the payer's municipality
        # the receiver's bank counts national holidays.
        query = f"?DPP={brasilia_day(now)}" if has_due_date else ""
        payload = self._locations.payload_at(location, now, query)
        return due_charge_from(payload) if has_due_date else charge_from(payload)


def read_code(text: str) -> tuple[str, br_code.BrCode]:
    """The BR Code in a pasted text, and its content. Raises CodeUnreadable."""
    try:
        return decode_pasted(text)
    except br_code.BrCodeError as error:
        raise CodeUnreadable(_sentence_about(error), error.code) from None


def _sentence_about(error: br_code.BrCodeError) -> str:
    """Why the text is no code that can be paid."""
    if error.code in _NOT_PAYABLE:
        return _(_NOT_PAYABLE[error.code])
    if error.is_whole:
        return _(WHOLE_BUT_FAULTY) % {"fault": _(fault_of_maker(error.code))}
    if error.code == "crc_mismatch":
        # The lengths of all fields add up to the end of the text, so nothing is missing.
        return _(CHECKSUM_WRONG)
    return _(_INCOMPLETE.get(error.code, _CUT))


def _location_of(decoded_code: br_code.BrCode) -> str:
    if decoded_code.url is None:
        raise CodeNotPayableHere(
            _("Ele autoriza um Pix Automático: leia-o no aplicativo do banco. Nada foi pago.")
        )
    return decoded_code.url


def _refuse_unless_payable(charge: Charge, now: datetime) -> None:
    if charge.status == PAID:
        raise ChargePaid(_("Não pague de novo: o valor já chegou a quem recebe."))
    if charge.status in REMOVED:
        # A bank may also serve an expired charge with its final status.
        if now > charge.expires_at:
            raise _expired_error(charge)
        raise ChargeRemoved(_("Quem recebe não espera mais este pagamento. Nada foi pago."))
    if charge.status != ACTIVE:
        raise ChargeRemoved(_("Esta cobrança não aceita pagamento. Nada foi pago."))
    if now > charge.expires_at:
        raise _expired_error(charge)


def _expired_error(charge: Charge) -> ChargeExpired:
    return ChargeExpired(
        _("Era até %(time)s. Peça um novo código à loja. Nada foi pago.")
        % {"time": moment(charge.expires_at)}
    )
