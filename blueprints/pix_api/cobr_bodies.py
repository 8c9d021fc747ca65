"""The bodies of a recurring charge (API Pix 2.9.0, CobRSolicitada and CobRRevisada)."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from blueprints.pix_api.due_bodies import Day, PostalCode
from blueprints.pix_api.fields import IdRec, PixBody, Valor
from blueprints.pix_api.problems import Violation
from core.pix.recurrence_rules import ID_REC
from core.pix.recurring_charge_rules import (
    DUE_IN_DAYS_MAX,
    DUE_IN_DAYS_MIN,
    RETRIES_MAX,
    RETRY_DAYS,
    AttemptDays,
    ChargeRule,
    RetryRule,
    charge_violations,
    retry_violations,
)
from db_models import Recurrence
from payments.recurring.charges import NewRecurringCharge
from payments.recurring.recurrences import terms_of
from repository.recurring_charges import RecurringChargeRecord


def _account_type(value: object) -> object:
    # One of the standard's own examples has a cedilla, which its schema does not allow.
    return "POUPANCA" if value == "POUPANÇA" else value


class CobRCalendario(PixBody):
    """The due date."""

    dataDeVencimento: Day


class CobRValor(PixBody):
    """The amount."""

    original: Valor


class CobRDevedor(PixBody):
    """How to reach the debtor, whom the recurrence names."""

    email: Annotated[str, Field(max_length=254)] | None = None
    logradouro: Annotated[str, Field(max_length=200)] | None = None
    cidade: Annotated[str, Field(max_length=200)] | None = None
    uf: Annotated[str, Field(max_length=2)] | None = None
    cep: PostalCode | None = None


class CobRRecebedor(PixBody):
    """The merchant's account."""

    conta: Annotated[str, Field(min_length=1, max_length=20)]
    tipoConta: Annotated[
        Literal["CORRENTE", "POUPANCA", "PAGAMENTO"], BeforeValidator(_account_type)
    ]
    agencia: Annotated[str, Field(max_length=4)] | None = None


class CobRBody(PixBody):
    """`PUT /cobr/{txid}` and `POST /cobr`."""

    idRec: IdRec
    infoAdicional: Annotated[str, Field(max_length=140)] | None = None
    calendario: CobRCalendario
    valor: CobRValor
    ajusteDiaUtil: bool = True
    recebedor: CobRRecebedor
    devedor: CobRDevedor | None = None

    @property
    def has_possible_id(self) -> bool:
        """Whether a recurrence can have the id."""
        return ID_REC.fullmatch(self.idRec) is not None

    def charge(self) -> NewRecurringCharge:
        """What the merchant asks."""
        contact = self.devedor.model_dump(exclude_none=True) if self.devedor else None
        return NewRecurringCharge(
            amount_centavos=self.valor.original,
            due_day=self.calendario.dataDeVencimento,
            adjusts_day=self.ajusteDiaUtil,
            payee_account=self.recebedor.conta,
            payee_account_type=self.recebedor.tipoConta,
            payee_branch=self.recebedor.agencia or None,
            info=self.infoAdicional or None,
            contact=contact or None,
        )

    def faults(self, recurrence: Recurrence, today: date) -> list[Violation]:
        """The violations of a charge of this recurrence that is created today."""
        rules = charge_violations(
            terms_of(recurrence), self.calendario.dataDeVencimento, self.valor.original, today
        )
        return [Violation(f"O campo {_DUE_OR_AMOUNT[rule]}.", _path_of(rule)) for rule in rules]

    def repeats(self, record: RecurringChargeRecord) -> bool:
        """Whether this is the request that created the charge, but for the debtor's contact."""
        charge, payment, new = record.charge, record.payment, self.charge()
        stored = (
            record.recurrence.id_rec,
            payment.amount_centavos,
            payment.description,
            charge.due_day,
            charge.adjusts_day,
            charge.payee_account,
            charge.payee_account_type,
            charge.payee_branch,
        )
        return stored == (
            self.idRec,
            new.amount_centavos,
            new.info,
            new.due_day,
            new.adjusts_day,
            new.payee_account,
            new.payee_account_type,
            new.payee_branch,
        )


class CobRPatch(PixBody):
    """`PATCH /cobr/{txid}`."""

    status: Literal["CANCELADA"] | None = None


def retry_faults(record: RecurringChargeRecord, day: date, today: date) -> list[Violation]:
    """The violations of a further attempt on this day."""
    days = tuple(attempt.settles_on for attempt in record.attempts)
    attempts = AttemptDays(days, record.open_attempt is not None)
    allows_retries = record.recurrence.allows_retries
    rules = retry_violations(attempts, day, today, allows_retries=allows_retries)
    return [Violation(_RETRY_REASONS[rule], "data", day.isoformat()) for rule in rules]


_DUE, _AMOUNT = "cobr.calendario.dataDeVencimento", "cobr.valor.original"
_DUE_OR_AMOUNT = {
    ChargeRule.DUE_BEFORE_CREATION: f"{_DUE} é anterior à data de criação da cobrança",
    ChargeRule.DUE_TOO_SOON: (
        f"{_DUE} deve ser no mínimo {DUE_IN_DAYS_MIN} dias depois da criação da cobrança"
    ),
    ChargeRule.DUE_TOO_LATE: (
        f"{_DUE} deve ser no máximo {DUE_IN_DAYS_MAX} dias depois da criação da cobrança"
    ),
    ChargeRule.DUE_OUTSIDE_TERM: f"{_DUE} está fora da vigência da recorrência",
    ChargeRule.AMOUNT_ZERO: f"{_AMOUNT} apresenta o valor zero",
    ChargeRule.AMOUNT_NOT_FIXED: f"{_AMOUNT} é diferente do valor fixo da recorrência",
}
_RETRY_REASONS = {
    RetryRule.NOT_ALLOWED: (
        "A política configurada na recorrência não permite retentativa de cobrança."
    ),
    RetryRule.DAY_NOT_FUTURE: "O parâmetro data não corresponde a uma data futura.",
    RetryRule.DAY_TOO_EARLY: "O parâmetro data é anterior à data da primeira tentativa.",
    RetryRule.DAY_TOO_LATE: (
        f"O parâmetro data deve ser no máximo {RETRY_DAYS} dias depois da primeira tentativa."
    ),
    RetryRule.DAY_IN_USE: "Existe uma tentativa vigente para a data informada.",
    RetryRule.ATTEMPT_OPEN: "Existe uma tentativa com status SOLICITADA ou AGENDADA.",
    RetryRule.NO_FIRST_ATTEMPT: "A cobrança ainda não teve uma tentativa.",
    RetryRule.TOO_MANY: f"A cobrança já teve {RETRIES_MAX} retentativas.",
}


def _path_of(rule: ChargeRule) -> str:
    return _AMOUNT if rule in (ChargeRule.AMOUNT_ZERO, ChargeRule.AMOUNT_NOT_FIXED) else _DUE
