"""Why a recurrence or one of its charges has ended, as both store it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from core.pix.recurrence_rules import REASON_CHARACTERS_MAX
from db_models import ClosingParty


@dataclass(frozen=True)
class Closing:
    """A code of the messages between banks, and a Portuguese sentence."""

    code: str
    text: str
    party: ClosingParty | None = None
    """Who cancels; None for a rejection."""

    @property
    def columns(self) -> dict[str, Any]:
        """The columns of the row that ends."""
        return {
            "closing_code": self.code,
            "closing_text": self.text[:REASON_CHARACTERS_MAX],
            "closing_party": self.party,
        }
