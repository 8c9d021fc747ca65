"""A provider whose bank answers as a test has planned: the port without any network."""

from __future__ import annotations

import threading
from dataclasses import replace
from datetime import timedelta
from typing import Any

from core.clock import Clock
from core.pix.br_code.encode import encode_dynamic
from providers.port import ChargeState, HeldCharge, NewCharge


def code_of(txid: str) -> str:
    """The BR Code that the bank makes for this charge."""
    return encode_dynamic(f"bank.example/pix/v2/{txid}", "Loja", "Recife")


class ScriptedBank:
    """Holds charges as a bank does; raises what is planned before or after it did its work."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.charges: dict[str, HeldCharge] = {}
        self.opened: list[NewCharge] = []
        """Every request to open a charge."""
        self.calls: list[str] = []
        self.errors: list[Exception] = []
        """Raised one by one, before a charge is opened."""
        self.lost_answers: list[Exception] = []
        """Raised one by one, after a charge was opened."""
        self.gate: threading.Event | None = None
        """What a request waits for, if a test has set it."""

    def open_charge(self, charge: NewCharge) -> HeldCharge:
        self.opened.append(charge)
        if self.gate is not None:
            self.gate.wait(20)
        if self.errors:
            raise self.errors.pop(0)
        bank_charge = HeldCharge(
            charge.txid,
            ChargeState.ACTIVE,
            charge.amount_centavos,
            charge.pix_key,
            self.clock.now(),
            charge.lifetime_seconds,
            f"bank.example/pix/v2/{charge.txid}",
            code_of(charge.txid),
        )
        self.charges.setdefault(charge.txid, bank_charge)
        if self.lost_answers:
            raise self.lost_answers.pop(0)
        return self.charges[charge.txid]

    def find_charge(self, txid: str) -> HeldCharge | None:
        self.calls.append("find")
        if self.errors:
            raise self.errors.pop(0)
        return self.charges.get(txid)

    def close_charge(self, txid: str) -> HeldCharge | None:
        self.calls.append("close")
        if self.errors:
            raise self.errors.pop(0)
        bank_charge = self.charges.get(txid)
        if bank_charge is None or bank_charge.money:
            return bank_charge
        if bank_charge.state is ChargeState.ACTIVE:
            bank_charge = self.charges[txid] = replace(bank_charge, state=ChargeState.REMOVED)
        return bank_charge

    def clock_offset(self) -> timedelta | None:
        return timedelta(seconds=2)

    def change(self, txid: str, **values: Any) -> None:
        """Change a charge at the bank behind the service's back."""
        self.charges[txid] = replace(self.charges[txid], **values)
