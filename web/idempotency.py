"""Idempotency-Key: a repeated request gets the first answer."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

from flask import Response, request
from pydantic import BaseModel

from core.errors import FieldError, IdempotencyConflict, InvalidRequest
from db_models import IdempotentRequest
from repository.database import Work, in_unit_of_work, now
from repository.idempotent_requests import UNFINISHED
from web.answers import created_json
from web.limits import client_network

HEADER = "Idempotency-Key"
KEPT_FOR = timedelta(days=7)
STRANGER = "¤"
"""Begins the stored keys of callers without credentials; no Idempotency-Key may hold it."""
STRANGERS_KEYS_MAX = 20
"""How many keys of strangers are stored for one payment."""
_FORGET_BATCH = 500
_KEY = re.compile(r"[\x20-\x7e]{1,255}")


@dataclass(frozen=True)
class CreatedAnswer:
    """The answer to a request that creates something, as stored under its key."""

    location: str
    """The absolute URL of the new resource; empty if it has none."""
    answer: dict[str, Any]
    is_replay: bool = False
    """Whether this is the stored answer to a repeated request."""
    awaits: str = ""
    """The id of the payment whose bank must answer before there is a final answer; empty if this
    is the final one."""

    def response(self) -> Response:
        """201 with the answer as JSON."""
        return created_json(self.answer, self.location, is_replay=self.is_replay)


@dataclass(frozen=True)
class KeyedRequest:
    """A request and its Idempotency-Key; with a key of None nothing is stored or looked up."""

    key: str | None
    operation: str
    fields: Mapping[str, Any]
    """The fields that must be equal when the key is used again; empty without a key."""
    namespace: str = ""
    namespace_max: int | None = None
    """How many keys that begin with `namespace` are stored; further answers are not."""

    def of_stranger(self, scope: str, keys_max: int | None = None) -> KeyedRequest:
        """The same request, with a key of its own for `scope` and for the client's network.

        A caller without credentials may neither take a key of the merchant nor read its answer.
        """
        if self.key is None:
            return self
        namespace = f"{STRANGER}{scope}:"
        digest = hashlib.sha256(f"{client_network()}\n{self.key}".encode()).hexdigest()[:40]
        return replace(self, key=namespace + digest, namespace=namespace, namespace_max=keys_max)

    def store(self, work: Work, account_id: int, created: CreatedAnswer) -> CreatedAnswer:
        """Store the answer, in the transaction that creates the resource; return the answer.

        The COMMIT raises LostRace if another request of the account used the key meanwhile.
        """
        if self.key is not None and not self._is_namespace_full(work, account_id):
            work.idempotent_requests.defer_insert(
                {
                    "merchant_id": account_id,
                    "key": self.key,
                    "operation": self.operation,
                    "request": dict(self.fields),
                    "status": UNFINISHED if created.awaits else 201,
                    "location": created.location,
                    "answer": created.answer,
                    "created_at": work.now,
                }
            )
        return created

    def finish(self, work: Work, account_id: int, final: CreatedAnswer) -> CreatedAnswer:
        """Store the final answer of an unfinished request; return the one that is stored."""
        if self.key is None:
            return final
        values = {"status": 201, "location": final.location, "answer": final.answer}
        if work.idempotent_requests.finish(account_id, self.key, values):
            return final
        stored = self.first_request(work, account_id)
        if stored is None or stored.status == UNFINISHED:
            return final
        return CreatedAnswer(stored.location, stored.answer)

    def first_answer(self, work: Work, account_id: int) -> CreatedAnswer | None:
        """The answer stored under this key; None if the key is new.

        Raises IdempotencyConflict with the fields that differ, if this is another request.
        """
        first = self.first_request(work, account_id)
        return None if first is None else self.replay_of(first)

    def first_request(self, work: Work, account_id: int) -> IdempotentRequest | None:
        """The first request under this key, whether it equals this one or not."""
        if self.key is None:
            return None
        return work.idempotent_requests.find(account_id, self.key)

    def _is_namespace_full(self, work: Work, account_id: int) -> bool:
        if self.namespace_max is None:
            return False
        stored = work.idempotent_requests.count_beginning_with(account_id, self.namespace)
        return stored >= self.namespace_max

    def replay_of(self, first: IdempotentRequest) -> CreatedAnswer:
        """The answer to the first request. Raises IdempotencyConflict if this request differs."""
        names = [*first.request, *(name for name in self.fields if name not in first.request)]
        differing = [name for name in names if first.request.get(name) != self.fields.get(name)]
        if first.operation != self.operation:
            differing = ["(the operation)", *differing]
        if differing:
            raise IdempotencyConflict(
                f"This Idempotency-Key was used before with other values: {', '.join(differing)}.",
                [FieldError(name, "differs from the first request") for name in differing],
            )
        awaits = str(first.answer["awaits"]) if first.status == UNFINISHED else ""
        return CreatedAnswer(first.location, first.answer, is_replay=True, awaits=awaits)


def keyed_request(operation: str, body: BaseModel, without: set[str] | None = None) -> KeyedRequest:
    """The current request with its Idempotency-Key.

    `without` names fields of the body that are not stored, and so not compared. Raises
    InvalidRequest for a malformed key.
    """
    key = request_key()
    # Without a key nobody compares the fields.
    fields = {} if key is None else body.model_dump(mode="json", exclude=without)
    return KeyedRequest(key, operation, fields)


def request_key() -> str | None:
    """The request's Idempotency-Key. Raises InvalidRequest unless it has 1 to 255 characters."""
    key = request.headers.get(HEADER)
    if key is not None and not _KEY.fullmatch(key):
        raise InvalidRequest([FieldError(HEADER, "must be 1 to 255 printable ASCII characters")])
    return key


def forget_old_keys() -> int:
    """Delete a batch of answers older than seven days; return how many."""
    before = now() - KEPT_FOR
    return in_unit_of_work(
        lambda work: work.idempotent_requests.forget_before(before, _FORGET_BATCH)
    )
