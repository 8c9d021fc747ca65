"""Everything that one merchant, or one test half, can have in the database, row by row."""

from __future__ import annotations

import secrets
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

import db_models as m
from tests.db.tables import Tables, payment_row, receipt_row


class Half:
    """The rows of one account, inserted without the service; each table gets at least one."""

    def __init__(self, tables: Tables, account_id: int, at: datetime) -> None:
        """`at` is when all of it happened."""
        self._engine = tables.engine
        self.account_id = account_id
        self.at = at

    def insert(self, model: Any, **values: Any) -> Any:
        """Insert one row; its primary key, or the first column of it."""
        with self._engine.begin() as connection:
            statement = sa.insert(model.__table__).values(**values)
            key: Any = connection.execute(statement).inserted_primary_key
            return key[0]

    def payment(self, **values: Any) -> int:
        """An expired payment of this account."""
        row = {
            "status": "expired",
            "resolved_at": self.at,
            "created_at": self.at - timedelta(minutes=30),
            "expires_at": self.at,
            **values,
        }
        return int(self.insert(m.Payment, **payment_row(self.account_id, **row)))

    def confirmed(self, **values: Any) -> tuple[int, int]:
        """A confirmed payment with its receipt; both row ids."""
        end_to_end_id = f"E{secrets.token_hex(15)}"
        payment = self.payment(status="confirmed", end_to_end_id=end_to_end_id, **values)
        return payment, self.receipt(payment, end_to_end_id=end_to_end_id)

    def receipt(self, payment: int | None, **values: Any) -> int:
        """A receipt."""
        row = {"paid_at": self.at, "told_at": self.at, "merchant_id": self.account_id, **values}
        return int(self.insert(m.Receipt, **receipt_row(payment, **row)))

    def refund(self, payment: int, **values: Any) -> int:
        """A refund that is done."""
        row = {
            "refund_id": "r1",
            "bank_refund_id": secrets.token_hex(16),
            "return_id": f"D{secrets.token_hex(15)}",
            "amount_centavos": 1,
            "is_rest": False,
            "status": "done",
            "requested_at": self.at,
            "settled_at": self.at,
            "attempts": 1,
            **values,
        }
        return int(self.insert(m.Refund, payment_id=payment, **row))

    def endpoint(self, **values: Any) -> int:
        """An endpoint for webhooks."""
        row = {
            "public_id": secrets.token_hex(16),
            "merchant_id": self.account_id,
            "url": "https://shop.example/hook",
            "secret": "sealed",
            "enabled": True,
            "is_gone": False,
            "created_at": self.at,
            **values,
        }
        return int(self.insert(m.WebhookEndpoint, **row))

    def event(self, name: str, endpoint: int | None = None, **values: Any) -> int:
        """An event with its place in the feed, and a delivery with an attempt."""
        row = {"name": name, "sequence": 1, "occurred_at": self.at, "data": {"state": {}}, **values}
        event = int(self.insert(m.PaymentEvent, **row))
        with self._engine.begin() as connection:
            top = connection.scalar(sa.select(sa.func.max(m.FeedEntry.position))) or 0
        self.insert(
            m.FeedEntry,
            position=top + 1,
            public_id=secrets.token_hex(16),
            event_id=event,
            merchant_id=self.account_id,
            type=name,
            occurred_at=self.at,
        )
        if endpoint is not None:
            self.delivery(endpoint, feed_position=top + 1)
        return event

    def delivery(self, endpoint: int, **values: Any) -> int:
        """A delivery that has ended, with its attempt."""
        row = {
            "public_id": secrets.token_hex(16),
            "endpoint_id": endpoint,
            "kind": "event",
            "status": "delivered",
            "created_at": self.at,
            "ended_at": self.at,
            "attempts": 1,
            "refusals": 0,
            **values,
        }
        delivery = int(self.insert(m.WebhookDelivery, **row))
        self.insert(
            m.WebhookAttempt,
            delivery_id=delivery,
            at=self.at,
            duration_ms=1,
            url="https://shop.example/hook",
            response_headers={},
            response_body="",
        )
        return delivery

    def sandbox(self, environment: str = "test") -> int:
        """An account at a real bank."""
        return int(
            self.insert(
                m.ProviderAccount,
                public_id=secrets.token_hex(16),
                merchant_id=self.account_id,
                name="Banco",
                profile="standard",
                environment=environment,
                pix_key="a@b.example",
                sealed="sealed",
                token_sha256=secrets.token_hex(32),
                overrides={},
                version=1,
                created_at=self.at,
            )
        )

    def charge(self, payment: int, account: int, **values: Any) -> str:
        """A payment's charge at a real bank, with a hint; its txid."""
        txid = secrets.token_hex(16)
        row = {
            "pix_key": "a@b.example",
            "amount_centavos": 5490,
            "lifetime_seconds": 1800,
            "status": "closed",
            "created_at": self.at,
            "attempts": 1,
            **values,
        }
        self.insert(m.ProviderCharge, payment_id=payment, account_id=account, txid=txid, **row)
        self.insert(m.ProviderHint, account_id=account, txid=txid, due_at=self.at, attempts=0)
        return txid

    def recurrence(self, **values: Any) -> int:
        """A recurrence that was cancelled."""
        row = {
            "id_rec": secrets.token_hex(14),
            "merchant_id": self.account_id,
            "status": "cancelled",
            "contract": "1",
            "first_day": self.at.date(),
            "periodicity": "monthly",
            "allows_retries": False,
            "sequence": 2,
            "created_at": self.at,
            "updated_at": self.at,
            "closed_at": self.at,
            **values,
        }
        return int(self.insert(m.Recurrence, **row))

    def fill(self) -> None:
        """All kinds of payments, money, recurrences and batches."""
        endpoint = self.endpoint()
        self._fill_payments(endpoint)
        self._fill_sandbox()
        self._fill_recurrences(endpoint)
        self._fill_batches()

    def _fill_payments(self, endpoint: int) -> None:
        paid, receipt = self.confirmed(refunded_centavos=1)
        self.refund(paid)
        for name in ("payment.created", "payment.confirmed", "payment.refunded"):
            self.event(name, endpoint, payment_id=paid)
        first = self.payment()
        self.payment(renewed_from_id=first)
        self.insert(
            m.PaymentTrace,
            payment_id=paid,
            kind="opened",
            first_at=self.at,
            last_at=self.at,
            times=1,
        )
        self.insert(
            m.RecoveryUpload,
            public_id=secrets.token_hex(16),
            payment_id=paid,
            merchant_id=self.account_id,
            number=1,
            sha256=secrets.token_hex(32),
            picture=b"jpeg",
            width=1,
            height=1,
            verdict="pending",
            uploaded_at=self.at,
        )
        self.insert(
            m.Signal,
            public_id=secrets.token_hex(16),
            merchant_id=self.account_id,
            kind="wrong-pins",
            subject=secrets.token_hex(16),
            payment_id=paid,
            times=3,
            threshold=3,
            window_seconds=60,
            window_at=self.at,
            first_at=self.at,
            last_at=self.at,
        )
        self.insert(
            m.RobotPayment,
            payment_id=first,
            merchant_id=self.account_id,
            pay_at=self.at,
            is_at_bank=True,
            next_at=self.at,
            attempts=1,
        )
        self.insert(m.ChargeRevision, payment_id=first, revision=0, state={}, replaced_at=self.at)
        for payment in (first, None):
            self.insert(
                m.Location,
                token=secrets.token_hex(16),
                merchant_id=self.account_id,
                charge_kind="cob",
                created_at=self.at,
                payment_id=payment,
            )
        # Static money: one attached later, whose event still names the receipt, and one free.
        till = self.insert(
            m.Till,
            merchant_id=self.account_id,
            number=1,
            txid=secrets.token_hex(12),
            name="Caixa",
            created_at=self.at,
        )
        self.event("receipt.received", endpoint, receipt_id=receipt)
        free = self.receipt(None, bank_payment_id=None, pix_key="a@b.example", till_id=till)
        self.event("receipt.received", endpoint, receipt_id=free)

    def _fill_sandbox(self) -> None:
        account = self.sandbox()
        late = self.payment(provider_account_id=account)
        self.charge(late, account)
        values = {"provider_account_id": account, "misfit": "too-late", "meant_payment_id": late}
        self.receipt(None, **values)
        settled, _ = self.confirmed(provider_account_id=account)
        self.receipt(settled, **{**values, "verdict": "refused", "reason": "already-paid"})

    def _fill_recurrences(self, endpoint: int) -> None:
        locations = [
            self.insert(
                m.RecurrenceLocation,
                token=secrets.token_hex(16),
                merchant_id=self.account_id,
                created_at=self.at,
            )
            for _ in range(2)
        ]
        recurrence = self.recurrence(location_id=locations[0])
        change = self.insert(
            m.RecurrenceChange,
            recurrence_id=recurrence,
            status="cancelled",
            details={},
            changed_at=self.at,
        )
        self.delivery(endpoint, recurrence_change_id=change)
        id_solic_rec = secrets.token_hex(14)
        request = self.insert(
            m.RecurrenceRequest,
            id_solic_rec=id_solic_rec,
            recurrence_id=recurrence,
            status="expired",
            expires_at=self.at,
            payer_ispb="99999004",
            created_at=self.at,
            closed_at=self.at,
        )
        self.insert(
            m.RecurrenceRequestChange,
            request_id=request,
            status="expired",
            details={},
            changed_at=self.at,
        )
        payment = self.payment(charge_kind="cobr", has_location=False)
        self.insert(
            m.RecurringCharge,
            payment_id=payment,
            recurrence_id=recurrence,
            cycle=1,
            due_day=self.at.date(),
            settles_on=self.at.date(),
            adjusts_day=False,
            payee_account="1",
            payee_account_type="CORRENTE",
            status="expired",
            sequence=2,
            closed_at=self.at,
        )
        end_to_end_id = f"E{secrets.token_hex(15)}"
        attempt = self.insert(
            m.ChargeAttempt,
            payment_id=payment,
            end_to_end_id=end_to_end_id,
            kind="AGND",
            settles_on=self.at.date(),
            status="rejected",
            requested_at=self.at,
        )
        step = self.insert(
            m.RecurringChargeChange,
            payment_id=payment,
            status="expired",
            attempt_id=attempt,
            attempt_status="rejected",
            details={},
            changed_at=self.at,
        )
        self.delivery(endpoint, charge_change_id=step)
        for kind, subject in (("request", id_solic_rec), ("collection", end_to_end_id)):
            self.insert(
                m.PayerBankOrder,
                kind=kind,
                subject=subject,
                body={},
                created_at=self.at,
                next_at=self.at,
                attempts=9,
            )

    def _fill_batches(self) -> None:
        batch = self.insert(
            m.ChargeBatch,
            merchant_id=self.account_id,
            number=7,
            description="Aluguéis",
            created_at=self.at,
        )
        for position, payment in enumerate((self.payment(charge_kind="cobv"), None)):
            self.insert(
                m.ChargeBatchItem,
                batch_id=batch,
                position=position,
                merchant_id=self.account_id,
                txid=secrets.token_hex(16),
                status="refused" if payment is None else "created",
                payment_id=payment,
            )
