"""The bodies of a recurrence (API Pix 2.9.0, RecSolicitada and RecRevisada)."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from typing import Annotated, Literal

from pydantic import Field

from blueprints.pix_api.charge_bodies import Devedor
from blueprints.pix_api.due_bodies import Day
from blueprints.pix_api.fields import TXID_OF_CHARGE, LocationId, PixBody, Valor
from blueprints.pix_api.problems import Violation
from core.pix.recurrence_rules import (
    FIRST_IN_DAYS_MAX,
    TERM_DAYS_MAX,
    RecurrenceRule,
    RecurrenceTerms,
    recurrence_violations,
)
from payments.recurring.objects import PERIODICITY_WORDS, RETRIES
from payments.recurring.recurrences import NewRecurrence

_PERIODICITIES = {word: periodicity for periodicity, word in PERIODICITY_WORDS.items()}
_Periodicidade = Literal["SEMANAL", "MENSAL", "TRIMESTRAL", "SEMESTRAL", "ANUAL"]
_Nome = Annotated[str, Field(min_length=1, max_length=140)]


class RecDevedor(Devedor):
    """The debtor of a recurrence: its name is shorter than that of a charge's debtor."""

    nome: _Nome


class Vinculo(PixBody):
    """What the recurrence pays for, and who owes it."""

    contrato: Annotated[str, Field(min_length=1, max_length=35)]
    devedor: RecDevedor
    objeto: Annotated[str, Field(max_length=35)] | None = None


class RecCalendario(PixBody):
    """From when, until when and how often the recurrence is charged."""

    dataInicial: Day
    dataFinal: Day | None = None
    periodicidade: _Periodicidade


class RecValor(PixBody):
    """A fixed amount, or the least that a payer may set as a maximum, or neither."""

    valorRec: Valor | None = None
    valorMinimoRecebedor: Valor | None = None


class RecRecebedor(PixBody):
    """The merchant's contract with the bank."""

    convenio: Annotated[str, Field(max_length=60)] | None = None


class DadosJornada(PixBody):
    """The charge whose payment accepts the recurrence."""

    txid: Annotated[str, Field(pattern=rf"^{TXID_OF_CHARGE.pattern}$")]


class Ativacao(PixBody):
    """How the payer accepts the recurrence."""

    dadosJornada: DadosJornada | None = None


class RecBody(PixBody):
    """`POST /rec`."""

    vinculo: Vinculo
    calendario: RecCalendario
    valor: RecValor = Field(default_factory=RecValor)
    recebedor: RecRecebedor = Field(default_factory=RecRecebedor)
    politicaRetentativa: Literal["NAO_PERMITE", "PERMITE_3R_7D"]
    loc: LocationId | None = None
    ativacao: Ativacao = Field(default_factory=Ativacao)

    @property
    def terms(self) -> RecurrenceTerms:
        """The terms of the recurrence."""
        return RecurrenceTerms(
            first_day=self.calendario.dataInicial,
            periodicity=_PERIODICITIES[self.calendario.periodicidade],
            allows_retries=self.politicaRetentativa == RETRIES,
            last_day=self.calendario.dataFinal,
            fixed_centavos=self.valor.valorRec,
            minimum_centavos=self.valor.valorMinimoRecebedor,
        )

    @property
    def activation_txid(self) -> str | None:
        """The txid of `ativacao`, if it has one."""
        return txid_of(self.ativacao)

    def offer(self) -> NewRecurrence:
        """What the merchant offers."""
        return NewRecurrence(
            terms=self.terms,
            contract=self.vinculo.contrato,
            debtor_name=self.vinculo.devedor.nome,
            debtor_document=self.vinculo.devedor.document,
            subject=self.vinculo.objeto or None,
            agreement_name=self.recebedor.convenio or None,
            activation_txid=self.activation_txid,
        )


class NewNome(PixBody):
    """The debtor's new name."""

    nome: _Nome


class NewVinculo(PixBody):
    """The debtor whose name changes."""

    devedor: NewNome | None = None


class NewDataInicial(PixBody):
    """The new first day."""

    dataInicial: Day | None = None


class RecPatch(PixBody):
    """`PATCH /rec/{idRec}`."""

    status: Literal["CANCELADA"] | None = None
    vinculo: NewVinculo = Field(default_factory=NewVinculo)
    calendario: NewDataInicial = Field(default_factory=NewDataInicial)
    loc: LocationId | None = None
    ativacao: Ativacao = Field(default_factory=Ativacao)

    @property
    def debtor_name(self) -> str | None:
        """The new name, if there is one."""
        return self.vinculo.devedor.nome if self.vinculo.devedor else None


def txid_of(activation: Ativacao) -> str | None:
    """The txid of the charge that accepts the recurrence, if there is one."""
    return activation.dadosJornada.txid if activation.dadosJornada else None


def faults_of_terms(terms: RecurrenceTerms, created_on: date) -> list[Violation]:
    """The violations of the terms of a recurrence that was created on this day."""
    return [
        Violation(f"O campo {_MEMBERS[one.field]} {_REASONS[one.rule]}.", _MEMBERS[one.field])
        for one in recurrence_violations(terms, created_on)
    ]


def faults_of_first_day(terms: RecurrenceTerms, day: date, created_on: date) -> list[Violation]:
    """The violations of a new first day."""
    return faults_of_terms(replace(terms, first_day=day), created_on)


_MEMBERS = {
    "first_day": "rec.calendario.dataInicial",
    "last_day": "rec.calendario.dataFinal",
    "fixed_centavos": "rec.valor.valorRec",
    "minimum_centavos": "rec.valor.valorMinimoRecebedor",
}
_REASONS = {
    RecurrenceRule.FIRST_BEFORE_CREATION: "é anterior à data de criação da recorrência",
    RecurrenceRule.FIRST_TOO_LATE: f"deve ser no máximo {FIRST_IN_DAYS_MAX} dias depois da criação",
    RecurrenceRule.LAST_BEFORE_FIRST: "é anterior ao campo rec.calendario.dataInicial",
    RecurrenceRule.LAST_TOO_LATE: f"deve ser no máximo {TERM_DAYS_MAX} dias depois da dataInicial",
    RecurrenceRule.AMOUNT_ZERO: "apresenta o valor zero",
    RecurrenceRule.TWO_AMOUNTS: "não pode estar preenchido junto com rec.valor.valorRec",
}
