"""Idempotency-Key: the same request again gets its first answer again."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from flask import request
from pydantic import BaseModel

from core.errors import FieldError, IdempotencyConflict, InvalidRequest
from repository.database import Work, in_unit_of_work, now

HEADER = "Idempotency-Key"
KEPT_FOR = timedelta(days=7)
_FORGET_BATCH = 500
_KEY = re.compile(r"[\x20-\x7e]{1,255}")


@dataclass(frozen=True)
class Replay:
    """A first answer, to be given again."""

    status: int
    location: str
    answer: dict[str, Any]


@dataclass(frozen=True)
class Keyed:
    """One request under its key; a key of None keeps nothing."""

    key: str | None
    operation: str
    body: Mapping[str, Any]

    def keep(self, work: Work, merchant_id: int, location: str, answer: dict[str, Any]) -> None:
        """Store the answer in the transaction of what it created.

        Raises LostRace where the key was used meanwhile.
        """
        if self.key is not None:
            work.idempotent_requests.insert(
                {
                    "merchant_id": merchant_id,
                    "key": self.key,
                    "operation": self.operation,
                    "request": dict(self.body),
                    "status": 201,
                    "location": location,
                    "answer": answer,
                    "created_at": work.now,
                }
            )

    def find(self, work: Work, merchant_id: int) -> Replay | None:
        """The first answer, or None where the key is new.

        Raises IdempotencyConflict, naming the fields that differ, for another request.
        """
        if self.key is None:
            return None
        kept = work.idempotent_requests.find(merchant_id, self.key)
        if kept is None:
            return None
        differing = _differing(kept.request, self.body)
        if kept.operation != self.operation:
            differing = ["(the operation)", *differing]
        if differing:
            raise IdempotencyConflict(
                f"This Idempotency-Key came before with other values of: {', '.join(differing)}.",
                [FieldError(name, "differs from the first request") for name in differing],
            )
        return Replay(kept.status, kept.location, kept.answer)


def keyed_by_request(operation: str, body: BaseModel) -> Keyed:
    """The request under its Idempotency-Key. Raises InvalidRequest for a key that is none."""
    key = key_of_request()
    # The body is kept for comparison alone: without a key nothing is.
    return Keyed(key, operation, {} if key is None else body.model_dump(mode="json"))


def key_of_request() -> str | None:
    """The request's Idempotency-Key. Raises InvalidRequest unless it has 1 to 255 characters."""
    key = request.headers.get(HEADER)
    if key is not None and not _KEY.fullmatch(key):
        raise InvalidRequest([FieldError(HEADER, "must be 1 to 255 printable ASCII characters")])
    return key


def forget_old_keys() -> int:
    """Drop answers older than seven days, a bounded batch at a time; gives how many."""
    before = now() - KEPT_FOR
    return in_unit_of_work(
        lambda work: work.idempotent_requests.forget_before(before, _FORGET_BATCH)
    )


def _differing(first: Mapping[str, Any], second: Mapping[str, Any]) -> list[str]:
    names = [*first, *(name for name in second if name not in first)]
    return [name for name in names if first.get(name) != second.get(name)]
