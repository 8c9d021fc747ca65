"""Sign-ins: one row from the password to the end, however often its tokens are refreshed."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import CheckConstraint, ForeignKey, Index, String
from sqlalchemy.orm import Mapped, mapped_column

from core.ids import new_public_id
from db_models.account import Id
from db_models.base import TABLE_OPTIONS, UtcDateTime, db, exact_string


class SignIn(db.Model):  # type: ignore[name-defined, misc]  # see Account
    """A family of tokens. Every access token names its row; when the row ends, all tokens end."""

    __tablename__ = "sign_ins"
    __table_args__ = (
        CheckConstraint(
            "(ended_at IS NULL AND end_reason IS NULL) "
            "OR (ended_at IS NOT NULL AND end_reason IS NOT NULL)",
            name="end_has_its_reason",
        ),
        Index("ix_sign_ins_account", "account_id", "id"),
        Index("ix_sign_ins_expires", "expires_at"),
        TABLE_OPTIONS,
    )

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    public_id: Mapped[str] = mapped_column(exact_string(32), unique=True, default=new_public_id)
    """The claim `sid` of the tokens."""
    account_id: Mapped[int] = mapped_column(ForeignKey("accounts.id"))
    channel: Mapped[str] = mapped_column(String(16))
    """`cookie` for browsers, `token` for programs."""
    refresh_id: Mapped[str] = mapped_column(exact_string(32))
    """The claim `jti` of the refresh token that may be used next."""
    previous_refresh_id: Mapped[str | None] = mapped_column(exact_string(32))
    """The replaced `jti`: from a second tab if used again within seconds, from a thief if later."""
    rotated_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    seen_at: Mapped[datetime] = mapped_column(UtcDateTime)
    """The last time that tokens were issued."""
    expires_at: Mapped[datetime] = mapped_column(UtcDateTime)
    ended_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    end_reason: Mapped[str | None] = mapped_column(String(24))
    address: Mapped[str] = mapped_column(String(45))
    user_agent: Mapped[str] = mapped_column(String(200))
