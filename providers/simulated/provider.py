"""What the simulated bank does for the domain, behind the port."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from core.runtime.bank_peer import BankPeer
from providers.port import BankAnswer, BankMoney, BankReturn, MoneyPage
from providers.simulated import bank_client, returns


@dataclass(frozen=True)
class SimulatedBank:
    """A `providers.port.SigningBank`: the simulated bank, or one that speaks its protocol."""

    peer: BankPeer
    half: bool | None
    """Whose payments it has: True for those of test halves; None for everybody's."""

    @property
    def is_test(self) -> bool:
        return self.peer.is_test

    def money_of(self, txid: str) -> tuple[BankMoney, ...]:
        return bank_client.fetch_transfers(self.peer, txid)

    def money_page(self, start: datetime, end: datetime, after: str | None) -> MoneyPage:
        return bank_client.fetch_settled_page(self.peer, start, end, after)

    def give_back(
        self, end_to_end_id: str, refund_id: str, amount_centavos: int, return_id: str
    ) -> BankReturn:
        return returns.give_back(self.peer, end_to_end_id, refund_id, amount_centavos, return_id)

    def order(self, question: str, path: str, body: Mapping[str, Any] | None = None) -> BankAnswer:
        return bank_client.order(self.peer, question, path, body)
