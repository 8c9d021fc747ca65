"""The audit log: who did what, when and from where. Rows are inserted and never changed."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import JSON, ForeignKey, Index, String
from sqlalchemy.orm import Mapped, mapped_column

from core.ids import new_public_id
from db_models.account import Id
from db_models.base import TABLE_OPTIONS, UtcDateTime, db, exact_string


class AuditAction(StrEnum):
    """The actions in the audit log, listed in docs/accounts.md."""

    ACCOUNT_CREATED = "account.created"
    ACCOUNT_DISABLED = "account.disabled"
    ACCOUNT_ENABLED = "account.enabled"
    ACCOUNT_ERASED = "account.erased"
    PAYER_ERASED = "payer.erased"
    SESSION_STARTED = "session.started"
    SESSION_REFUSED = "session.refused"
    SESSION_ENDED = "session.ended"
    SESSIONS_ENDED = "sessions.ended"
    PASSWORD_CHANGED = "password.changed"  # noqa: S105 - an action's name
    PASSWORD_REFUSED = "password.refused"  # noqa: S105 - an action's name
    KEY_CREATED = "key.created"
    KEY_REVOKED = "key.revoked"
    OAUTH_CLIENT_CREATED = "oauth-client.created"
    OAUTH_CLIENT_REVOKED = "oauth-client.revoked"
    SHOP_CHANGED = "shop.changed"
    LOGO_CHANGED = "logo.changed"
    PIX_KEY_CHANGED = "pix-key.changed"
    RECEIPT_ATTACHED = "receipt.attached"
    TILL_OPENED = "till.opened"
    TILL_CLOSED = "till.closed"
    MAIL_CHANGED = "mail.changed"
    PAYMENT_CREATED = "payment.created"
    PAYMENT_CANCELLED = "payment.cancelled"
    PAYMENT_RENEWED = "payment.renewed"
    REFUND_ASKED = "refund.asked"
    PROOF_VERIFIED = "proof.verified"
    PROOF_REJECTED = "proof.rejected"
    PROOF_DELETED = "proof.deleted"
    PROOFS_CLEANED = "proofs.cleaned"
    SIGNALS_SEEN = "signals.seen"
    SIGNING_KEY_ROTATED = "signing-key.rotated"
    WALLET_OPENED = "wallet.opened"
    PAYMENT_PAID = "payment.paid"
    WEBHOOK_CREATED = "webhook.created"
    WEBHOOK_CHANGED = "webhook.changed"
    WEBHOOK_ROTATED = "webhook.rotated"
    WEBHOOK_DELETED = "webhook.deleted"
    WEBHOOK_SENT = "webhook.sent"
    PIN_REFUSED = "payment.pin-refused"
    PROVIDER_ADDED = "provider.added"
    PROVIDER_RENEWED = "provider.renewed"
    PROVIDER_CHOSEN = "provider.chosen"
    PROVIDER_REMOVED = "provider.removed"
    PROVIDER_REGISTERED = "provider.registered"
    PROVIDERS_REENCRYPTED = "providers.reencrypted"


class AuditEntry(db.Model):  # type: ignore[name-defined, misc]  # see Account
    """One action. It has no account if the actor is unknown, or is the operator at the terminal."""

    __tablename__ = "audit_entries"
    __table_args__ = (
        Index("ix_audit_entries_account", "account_id", "id"),
        Index("ix_audit_entries_occurred", "occurred_at"),
        Index("ix_audit_entries_action", "action", "id"),
        TABLE_OPTIONS,
    )

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    public_id: Mapped[str] = mapped_column(exact_string(32), unique=True, default=new_public_id)
    account_id: Mapped[int | None] = mapped_column(ForeignKey("accounts.id"))
    """The account of the actor."""
    action: Mapped[str] = mapped_column(String(40))
    subject: Mapped[str] = mapped_column(String(140))
    """The object of the action: a login, a key's public id, a payment's id."""
    details: Mapped[dict[str, Any]] = mapped_column(JSON)
    """More facts on the action; never a secret."""
    address: Mapped[str] = mapped_column(String(45))
    """The IP address of the actor; empty at the terminal."""
    request_id: Mapped[str] = mapped_column(String(128))
    occurred_at: Mapped[datetime] = mapped_column(UtcDateTime)
