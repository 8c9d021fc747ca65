"""The bodies of a charge with a due date (API Pix 2.9.0, CobVSolicitada and CobVRevisada)."""

from __future__ import annotations

import re
from datetime import date, datetime
from decimal import Decimal
from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from blueprints.pix_api.charge_bodies import (
    Devedor,
    InfoAdicional,
    LocReference,
    debtor_of,
    faults_of_key,
)
from blueprints.pix_api.fields import Int32, PixBody, Valor
from blueprints.pix_api.problems import Violation
from core.errors import MalformedJson
from core.money import plain
from core.pix.business_days import brasilia_day
from core.pix.due_rules import DAYS_AFTER_DUE_MAX, DUE_IN_DAYS_MAX, DueRule, due_violations
from core.pix.due_terms import (
    DAYS_AFTER_DUE_DEFAULT,
    Abatement,
    AbatementMode,
    DatedDiscount,
    Discount,
    DiscountMode,
    DueTerms,
    Fine,
    FineMode,
    Interest,
    InterestMode,
)
from db_models import Account, Payment
from payments.charges import ChargeValues
from payments.due_charges import DEBTOR, due_terms_of, original_of, with_due_terms
from payments.location import INFO
from payments.payees import document_of

_DAY = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
_VALUE = re.compile(r"\d{1,10}\.\d{2}", re.ASCII)
_POSTAL_CODE = re.compile(r"[0-9]{5}-?[0-9]{3}", re.ASCII)


def day_of(value: object) -> date:
    """A date as 2026-01-31. Raises ValueError."""
    if not isinstance(value, str) or not _DAY.fullmatch(value):
        raise ValueError("deve ser uma data como 2026-01-31")
    try:
        return date.fromisoformat(value)
    except ValueError:
        raise ValueError("deve ser uma data que existe") from None


def _value(value: object) -> Decimal:
    if not isinstance(value, str) or not _VALUE.fullmatch(value):
        raise ValueError("deve ser um texto como 123.45")
    return Decimal(f"{int(value.replace('.', ''))}E-2")


def _postal_code(value: object) -> str:
    # The standard's own examples write a hyphen, which its schema has no room for.
    if not isinstance(value, str) or not _POSTAL_CODE.fullmatch(value):
        raise ValueError("deve ter 8 dígitos")
    return value.replace("-", "")


Day = Annotated[date, BeforeValidator(day_of)]
PostalCode = Annotated[str, BeforeValidator(_postal_code)]
ValorPerc = Annotated[Decimal, BeforeValidator(_value)]
"""Reais or percent, always with two decimals."""


class DueCalendario(PixBody):
    """The due date, and for how many days after it the charge can be paid."""

    dataDeVencimento: Day
    validadeAposVencimento: Int32 = DAYS_AFTER_DUE_DEFAULT


class DueDevedor(Devedor):
    """The debtor, with an address."""

    email: Annotated[str, Field(max_length=254)] | None = None
    logradouro: Annotated[str, Field(max_length=200)] | None = None
    cidade: Annotated[str, Field(max_length=200)] | None = None
    uf: Annotated[str, Field(max_length=2)] | None = None
    cep: PostalCode | None = None

    @property
    def contact(self) -> dict[str, str]:
        """The members that a payment has no column for."""
        return self.model_dump(include=CONTACT_MEMBERS, exclude_none=True)


CONTACT_MEMBERS = {"email", "logradouro", "cidade", "uf", "cep"}


class Multa(PixBody):
    """The fine of a late payment."""

    modalidade: Annotated[Int32, Field(ge=1, le=2)]
    valorPerc: ValorPerc

    @property
    def fine(self) -> Fine:
        """The fine of the terms."""
        return Fine(FineMode(self.modalidade), self.valorPerc)


class Juros(PixBody):
    """The interest of a late payment."""

    modalidade: Annotated[Int32, Field(ge=1, le=8)]
    valorPerc: ValorPerc

    @property
    def interest(self) -> Interest:
        """The interest of the terms."""
        return Interest(InterestMode(self.modalidade), self.valorPerc)


class Abatimento(PixBody):
    """What is taken from the amount on every day."""

    modalidade: Annotated[Int32, Field(ge=1, le=2)]
    valorPerc: ValorPerc

    @property
    def abatement(self) -> Abatement:
        """The abatement of the terms."""
        return Abatement(AbatementMode(self.modalidade), self.valorPerc)


class DescontoDataFixa(PixBody):
    """The discount until a date."""

    data: Day
    valorPerc: ValorPerc


class Desconto(PixBody):
    """The discount of an early payment."""

    modalidade: Annotated[Int32, Field(ge=1, le=6)]
    valorPerc: ValorPerc | None = None
    descontoDataFixa: list[DescontoDataFixa] | None = None

    @property
    def discount(self) -> Discount:
        """The discount of the terms."""
        dates = (DatedDiscount(one.data, one.valorPerc) for one in self.descontoDataFixa or ())
        return Discount(DiscountMode(self.modalidade), self.valorPerc, tuple(dates))


class CobVValor(PixBody):
    """The amount, and what changes it from day to day."""

    original: Valor
    multa: Multa | None = None
    juros: Juros | None = None
    abatimento: Abatimento | None = None
    desconto: Desconto | None = None


class CobVBody(PixBody):
    """`PUT /cobv/{txid}`."""

    calendario: DueCalendario
    devedor: DueDevedor
    loc: LocReference | None = None
    valor: CobVValor
    chave: Annotated[str, Field(min_length=1, max_length=77)]
    solicitacaoPagador: Annotated[str, Field(max_length=140)] | None = None
    infoAdicionais: Annotated[list[InfoAdicional], Field(max_length=50)] | None = None

    def faults(self, merchant: Account, created_at: datetime, now: datetime) -> list[Violation]:
        """The violations that no single field shows."""
        original, terms = self.valor.original, self.terms
        created_on = brasilia_day(created_at)
        violations = [
            Violation(f"O campo {path} {_REASONS[rule]}.", path)
            for path, rule in (
                (_path_of(one.field), one.rule)
                for one in due_violations(max(1, original), terms, created_on, brasilia_day(now))
                if original > 0 or one.rule not in _ABOUT_THE_AMOUNT
            )
        ]
        if original == 0:
            path = "cobv.valor.original"
            violations.append(Violation(f"O campo {path} apresenta o valor zero.", path, "0.00"))
        # The last millisecond of a day is the deadline of a charge that is due on the same day.
        if not violations and terms.deadline() <= created_at:
            violations.append(Violation(f"O campo {_DUE} {_REASONS[_TOO_EARLY]}.", _DUE))
        if document_of(merchant) is None:
            reason = "O recebedor não tem CPF nem CNPJ: informe-o nas configurações da loja."
            violations.append(Violation(reason, "cobv.chave"))
        return [*violations, *faults_of_key(self.chave, merchant, "cobv")]

    @property
    def terms(self) -> DueTerms:
        """The terms of the due date."""
        valor = self.valor
        return DueTerms(
            self.calendario.dataDeVencimento,
            self.calendario.validadeAposVencimento,
            fine=None if valor.multa is None else valor.multa.fine,
            interest=None if valor.juros is None else valor.juros.interest,
            abatement=None if valor.abatimento is None else valor.abatimento.abatement,
            discount=None if valor.desconto is None else valor.desconto.discount,
        )

    def values(self) -> ChargeValues:
        """The columns of the payment."""
        extras: dict[str, Any] = {}
        if self.infoAdicionais:
            extras[INFO] = [info.model_dump() for info in self.infoAdicionais]
        if contact := self.devedor.contact:
            extras[DEBTOR] = contact
        return ChargeValues(
            amount_centavos=self.valor.original,
            expires_at=self.terms.deadline(),
            description=self.solicitacaoPagador or None,
            payer_name=self.devedor.nome,
            payer_document=self.devedor.document,
            charge_terms=with_due_terms(extras, self.valor.original, self.terms),
        )


_MEMBERS = {
    "due_date": "calendario.dataDeVencimento",
    "days_after_due": "calendario.validadeAposVencimento",
    "fine": "valor.multa",
    "interest": "valor.juros",
    "abatement": "valor.abatimento",
    "discount": "valor.desconto",
    "value": "valorPerc",
    "dates": "descontoDataFixa",
    "day": "data",
}
_DUE = f"cobv.{_MEMBERS['due_date']}"
_TOO_EARLY = DueRule.DUE_BEFORE_CREATION
_ABOUT_THE_AMOUNT = {DueRule.NOT_BELOW_ORIGINAL, DueRule.NOTHING_LEFT, DueRule.TOTAL_TOO_LARGE}
_REASONS = {
    DueRule.DUE_BEFORE_CREATION: "é anterior à data de criação da cobrança",
    DueRule.DUE_TOO_LATE: f"deve ser no máximo {DUE_IN_DAYS_MAX} dias depois da criação",
    DueRule.DAYS_NEGATIVE: "é menor do que zero",
    DueRule.DAYS_TOO_MANY: f"deve ser no máximo {DAYS_AFTER_DUE_MAX}",
    DueRule.NOT_BELOW_ORIGINAL: "representa um valor maior ou igual ao valor da cobrança original",
    DueRule.NOT_BELOW_HUNDRED: "é maior ou igual a 100%",
    DueRule.NOTHING_LEFT: "deixa a cobrança sem valor a pagar",
    DueRule.DATES_MISSING: "deve ter de 1 a 3 elementos nas modalidades 1 e 2",
    DueRule.DATES_UNWANTED: "não pode estar preenchido nas modalidades de 3 a 6",
    DueRule.VALUE_MISSING: "deve estar preenchido nas modalidades de 3 a 6",
    DueRule.VALUE_UNWANTED: "não pode estar preenchido nas modalidades 1 e 2",
    DueRule.DATE_AFTER_DUE: "é posterior à data de vencimento",
    DueRule.DATE_TWICE: "repete a data de outro desconto",
    DueRule.TOTAL_TOO_LARGE: "faz a cobrança passar de 9999999999.99 até o último dia",
}


def _path_of(field: str) -> str:
    """`cobv.valor.desconto.descontoDataFixa.0.data` for `discount.dates.0.day`."""
    return ".".join(["cobv", *(_MEMBERS.get(part, part) for part in field.split("."))])


def due_members_of(payment: Payment) -> dict[str, Any]:
    """The present charge as the body that would create it; a PATCH is merged into it."""
    terms = due_terms_of(payment)
    if terms is None:
        raise MalformedJson("Esta cobrança não tem vencimento.")
    members = {
        "calendario": calendar_members(terms),
        "devedor": due_debtor_of(payment),
        "valor": value_members(original_of(payment), terms),
        "chave": payment.merchant.pix_key,
        "solicitacaoPagador": payment.description,
        "infoAdicionais": (payment.charge_terms or {}).get(INFO),
    }
    return {name: value for name, value in members.items() if value is not None}


def due_debtor_of(payment: Payment) -> dict[str, str]:
    """The member `devedor`."""
    return {**(debtor_of(payment) or {}), **(payment.charge_terms or {}).get(DEBTOR, {})}


def calendar_members(terms: DueTerms) -> dict[str, Any]:
    """The members of `calendario` that a client sends."""
    return {
        "dataDeVencimento": terms.due_date.isoformat(),
        "validadeAposVencimento": terms.days_after_due,
    }


def value_members(original_centavos: int, terms: DueTerms) -> dict[str, Any]:
    """The member `valor`."""
    parts = {"multa": terms.fine, "juros": terms.interest, "abatimento": terms.abatement}
    value: dict[str, Any] = {"original": plain(original_centavos)}
    for name, part in parts.items():
        if part is not None:
            value[name] = {"modalidade": int(part.mode), "valorPerc": str(part.value)}
    if terms.discount is not None:
        value["desconto"] = _discount_members(terms.discount)
    return value


def _discount_members(discount: Discount) -> dict[str, Any]:
    if discount.value is not None:
        return {"modalidade": int(discount.mode), "valorPerc": str(discount.value)}
    dates = [{"data": str(one.day), "valorPerc": str(one.value)} for one in discount.dates]
    return {"modalidade": int(discount.mode), "descontoDataFixa": dates}
