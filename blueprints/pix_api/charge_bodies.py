"""The bodies of an immediate charge (API Pix 2.9.0, CobSolicitada and CobRevisada)."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from blueprints.pix_api.fields import INT32_MAX, Cnpj, Cpf, Int32, LocationId, PixBody, Valor
from blueprints.pix_api.problems import Violation
from core.money import CENTAVOS_MAX, plain
from db_models import Account, Payment
from payments.charges import ChargeValues
from payments.location import INFO, ORIGINAL, WITHDRAWAL

EXPIRACAO_DEFAULT = 86_400
_AGENTS_OF = {"saque": ("AGTEC", "AGTOT", "AGPSS", "AGFSS"), "troco": ("AGTEC", "AGTOT")}


class Calendario(PixBody):
    """How long the charge can be paid, in seconds from its creation."""

    expiracao: Int32 = EXPIRACAO_DEFAULT


class Devedor(PixBody):
    """The debtor: a person or a company, with its name."""

    cpf: Cpf | None = None
    cnpj: Cnpj | None = None
    nome: Annotated[str, Field(min_length=1, max_length=200)]

    @model_validator(mode="after")
    def _one_document(self) -> Self:
        if (self.cpf is None) == (self.cnpj is None):
            raise ValueError("deve ter cpf ou cnpj, e não os dois")
        return self

    @property
    def document(self) -> str:
        """The CPF or CNPJ."""
        return self.cpf or self.cnpj or ""


class Withdrawal(PixBody):
    """A withdrawal of cash: `saque` or `troco`."""

    valor: Valor
    modalidadeAlteracao: Annotated[Int32, Field(ge=0, le=1)] = 0
    modalidadeAgente: Literal["AGTEC", "AGTOT", "AGPSS", "AGFSS"]
    prestadorDoServicoDeSaque: Annotated[str, Field(pattern=r"^[0-9A-Z]{8}$")]


class Retirada(PixBody):
    """Either `saque` or `troco`."""

    saque: Withdrawal | None = None
    troco: Withdrawal | None = None

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        if (self.saque is None) == (self.troco is None):
            raise ValueError("deve ter saque ou troco, e não os dois")
        return self

    @property
    def kind(self) -> str:
        """`saque` or `troco`."""
        return "saque" if self.saque is not None else "troco"

    @property
    def withdrawal(self) -> Withdrawal:
        """The withdrawal of either kind."""
        withdrawal = self.saque or self.troco
        if withdrawal is None:
            raise ValueError("deve ter saque ou troco")
        return withdrawal


class CobValor(PixBody):
    """The amount, and whether the payer may change it."""

    original: Valor
    modalidadeAlteracao: Annotated[Int32, Field(ge=0, le=1)] = 0
    retirada: Retirada | None = None


class LocReference(PixBody):
    """The location that shall show the charge."""

    id: LocationId


class InfoAdicional(PixBody):
    """A line for the payer."""

    nome: Annotated[str, Field(max_length=50)]
    valor: Annotated[str, Field(max_length=200)]


class CobBody(PixBody):
    """`PUT /cob/{txid}` and `POST /cob`; a missing `calendario` counts as empty."""

    calendario: Calendario = Field(default_factory=Calendario)
    devedor: Devedor | None = None
    loc: LocReference | None = None
    valor: CobValor
    chave: Annotated[str, Field(min_length=1, max_length=77)]
    solicitacaoPagador: Annotated[str, Field(max_length=140)] | None = None
    infoAdicionais: Annotated[list[InfoAdicional], Field(max_length=50)] | None = None

    def faults(self, merchant: Account) -> list[Violation]:
        """The violations that no single field shows."""
        violations = [*_faults_of_amount(self.valor), *faults_of_key(self.chave, merchant, "cob")]
        if not 1 <= self.calendario.expiracao <= INT32_MAX:
            reason = "O campo cob.calendario.expiracao é igual ou menor que zero."
            path = "cob.calendario.expiracao"
            violations.append(Violation(reason, path, self.calendario.expiracao))
        return violations

    def values(self, created_at: datetime) -> ChargeValues:
        """The columns of the payment."""
        devedor = self.devedor
        return ChargeValues(
            amount_centavos=self.total_centavos,
            expires_at=created_at + timedelta(seconds=self.calendario.expiracao),
            description=self.solicitacaoPagador or None,
            payer_name=devedor.nome if devedor else None,
            payer_document=devedor.document if devedor else None,
            payer_sets_amount=self._payer_sets_amount,
            charge_terms=self._terms() or None,
        )

    @property
    def total_centavos(self) -> int:
        """What the payer pays: the original amount, and the withdrawal."""
        retirada = self.valor.retirada
        return self.valor.original + (retirada.withdrawal.valor if retirada else 0)

    @property
    def _payer_sets_amount(self) -> bool:
        retirada = self.valor.retirada
        return bool(self.valor.modalidadeAlteracao) or bool(
            retirada and retirada.withdrawal.modalidadeAlteracao
        )

    def _terms(self) -> dict[str, Any]:
        terms: dict[str, Any] = {}
        retirada = self.valor.retirada
        if retirada is not None or self._payer_sets_amount:
            terms[ORIGINAL] = self.valor.original
        if retirada is not None:
            members = retirada.withdrawal.model_dump()
            terms[WITHDRAWAL] = {
                retirada.kind: {**members, "valor": plain(retirada.withdrawal.valor)}
            }
        if self.infoAdicionais:
            terms[INFO] = [info.model_dump() for info in self.infoAdicionais]
        return terms


def faults_of_key(key: str, merchant: Account, head: str) -> list[Violation]:
    """The violation of a key that is not the merchant's."""
    if key == merchant.pix_key:
        return []
    reason = (
        f"O campo {head}.chave corresponde a uma conta que não pertence a este usuário recebedor."
    )
    return [Violation(reason, f"{head}.chave", key)]


def _faults_of_amount(valor: CobValor) -> list[Violation]:
    retirada = valor.retirada
    violations = []
    if retirada is None:
        if valor.original == 0 and not valor.modalidadeAlteracao:
            reason = "O campo cob.valor.original é zero."
            violations.append(Violation(reason, "cob.valor.original", "0.00"))
        return violations
    path = f"cob.valor.retirada.{retirada.kind}"
    if valor.modalidadeAlteracao:
        reason = "O campo cob.valor.modalidadeAlteracao não pode ser 1 com retirada."
        violations.append(Violation(reason, "cob.valor.modalidadeAlteracao", 1))
    if retirada.kind == "saque" and valor.original != 0:
        reason = "O campo cob.valor.original deve ser 0.00 em um saque."
        violations.append(Violation(reason, "cob.valor.original", plain(valor.original)))
    if retirada.kind == "troco" and valor.original == 0:
        reason = "O campo cob.valor.original deve ser maior que 0.00 em um troco."
        violations.append(Violation(reason, "cob.valor.original", "0.00"))
    withdrawal = retirada.withdrawal
    if withdrawal.valor == 0 and not withdrawal.modalidadeAlteracao:
        violations.append(Violation(f"O campo {path}.valor é zero.", f"{path}.valor", "0.00"))
    if withdrawal.modalidadeAgente not in _AGENTS_OF[retirada.kind]:
        reason = f"O campo {path}.modalidadeAgente não vale para {retirada.kind}."
        violations.append(
            Violation(reason, f"{path}.modalidadeAgente", withdrawal.modalidadeAgente)
        )
    if valor.original + withdrawal.valor > CENTAVOS_MAX:
        reason = "A soma de cob.valor.original e da retirada passa do limite."
        violations.append(Violation(reason, f"{path}.valor", plain(withdrawal.valor)))
    return violations


def members_of(payment: Payment) -> dict[str, Any]:
    """The present charge as the body that would create it; a PATCH is merged into it."""
    terms = payment.charge_terms or {}
    valor: dict[str, Any] = {
        "original": plain(terms.get(ORIGINAL, payment.amount_centavos)),
        "modalidadeAlteracao": int(payment.payer_sets_amount and WITHDRAWAL not in terms),
    }
    if WITHDRAWAL in terms:
        valor["retirada"] = terms[WITHDRAWAL]
    lifetime = payment.expires_at - payment.created_at
    members: dict[str, Any] = {
        "calendario": {"expiracao": int(lifetime.total_seconds())},
        "valor": valor,
        "chave": payment.merchant.pix_key,
        "solicitacaoPagador": payment.description,
        "infoAdicionais": terms.get(INFO),
    }
    devedor = debtor_of(payment)
    return {**members, "devedor": devedor} if devedor else members


def debtor_of(payment: Payment) -> dict[str, str] | None:
    """The member `devedor`; None unless both name and document are known."""
    document = payment.payer_document
    if not document or not payment.payer_name:
        return None
    return {"cpf" if len(document) == 11 else "cnpj": document, "nome": payment.payer_name}


def merged(members: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """The members after a PATCH: objects merge member by member, arrays are replaced whole.

    `cpf` and `cnpj` replace each other, and so do `saque` and `troco`, and the two forms of a
    discount.
    """
    result = dict(members)
    for name, value in changes.items():
        if value is None:
            continue
        old = result.get(name)
        if isinstance(old, dict) and isinstance(value, dict):
            rivals = _RIVALS.get(name, ())
            # Some SDKs write null for a member that they do not send.
            sent = [rival for rival in rivals if value.get(rival) is not None]
            if sent:
                old = {key: item for key, item in old.items() if key not in rivals or key in sent}
            value = merged(old, value)
        result[name] = value
    return result


_RIVALS = {
    "devedor": ("cpf", "cnpj"),
    "retirada": ("saque", "troco"),
    "desconto": ("valorPerc", "descontoDataFixa"),
}
