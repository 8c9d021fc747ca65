"""Read and list charges: the same for both kinds, but for their words (tags Cob and CobV)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from flask import request

from blueprints.pix_api.access import merchant_for
from blueprints.pix_api.fields import INT32_MAX, TXID_OF_CHARGE
from blueprints.pix_api.lists import (
    Read,
    one_of,
    read_batch_number,
    read_boolean,
    read_cnpj,
    read_cpf,
    read_window,
)
from blueprints.pix_api.problems import PixProblem, refuse
from db_models import Account, ChargeKind, Payment, PaymentStatus
from payments import charges
from payments.pix_objects import pix_object
from repository.charges import ChargeFilters
from repository.database import Work, reading
from repository.pix import ReceivedPix

REMOVED = "REMOVIDA_PELO_USUARIO_RECEBEDOR"
STATUSES = {
    "ATIVA": (PaymentStatus.PENDING, PaymentStatus.EXPIRED),
    "CONCLUIDA": (PaymentStatus.CONFIRMED,),
    REMOVED: (PaymentStatus.CANCELLED,),
    "REMOVIDA_PELO_PSP": (),
}
"""The stored statuses of each status of the standard."""


@dataclass(frozen=True)
class ChargeReading:
    """How charges of one kind are read: their scope, their types of errors, their JSON object."""

    kind: ChargeKind
    unreadable: str
    missing: str
    missing_detail: str
    presented: Callable[[Payment], dict[str, Any]]

    def own(self, work: Work, merchant: Account, txid: str) -> Payment:
        """The merchant's charge of this kind. Raises PixProblem."""
        is_txid = TXID_OF_CHARGE.fullmatch(txid) is not None
        return self._require(work.charges.find(merchant, txid) if is_txid else None)

    def one(self, txid: str) -> dict[str, Any]:
        """The charge with its Pix, as it stands, or as it stood at the query's `revisao`."""
        with reading() as work:
            merchant = merchant_for(work, f"{self.kind}.read")
            is_txid = TXID_OF_CHARGE.fullmatch(txid) is not None
            payment, pix = work.charges.find_with_pix(merchant, txid) if is_txid else (None, None)
            charge = self._require(payment)
            body = self.presented(self._at_revision(work, charge))
        return {**body, **_pix_of(charge, pix)}

    def page(self) -> dict[str, Any]:
        """The charges that were created within the query's window, oldest first."""
        with reading() as work:
            merchant = merchant_for(work, f"{self.kind}.read")
            readers: dict[str, Read] = {
                "cpf": read_cpf,
                "cnpj": read_cnpj,
                "locationPresente": read_boolean,
                "status": one_of(*STATUSES),
            }
            if self.kind == ChargeKind.COBV:
                readers["loteCobVId"] = read_batch_number
            window = read_window(self.unreadable, readers)
            query = window.filters
            filters = ChargeFilters(
                self.kind,
                window.span,
                document=query.get("cpf") or query.get("cnpj"),
                statuses=STATUSES[query["status"]] if "status" in query else None,
                has_location=query.get("locationPresente"),
                batch_number=query.get("loteCobVId"),
            )
            total, page = work.charges.page(merchant, filters, window.offset, window.size)
        return {
            "parametros": window.parameters(total),
            "cobs": [{**self.presented(payment), **_pix_of(payment, pix)} for payment, pix in page],
        }

    def _require(self, payment: Payment | None) -> Payment:
        if payment is None or payment.charge_kind != self.kind:
            raise PixProblem(self.missing, self.missing_detail)
        return payment

    def _at_revision(self, work: Work, payment: Payment) -> Payment:
        text = request.args.get("revisao")
        if text is None:
            return payment
        is_number = text.isascii() and text.isdigit() and len(text) <= 10
        is_number = is_number and int(text) <= INT32_MAX
        old = charges.at_revision(work, payment, int(text)) if is_number else None
        if old is None:
            raise refuse(self.unreadable, "Esta cobrança não tem esta revisao.", "revisao", text)
        return old


def _pix_of(payment: Payment, pix: ReceivedPix | None) -> dict[str, Any]:
    """The member `pix` of a charge that was paid."""
    return {} if pix is None else {"pix": [pix_object(pix, payment.merchant.pix_key)]}
