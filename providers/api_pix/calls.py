"""Calls of API Pix by the rules of a profile: success, missing, or refused."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar
from urllib.parse import quote

from providers.api_pix import reading
from providers.api_pix.answers import without_secrets
from providers.api_pix.exchange import BankExchange, BankReply
from providers.api_pix.problems import BankProblem, problem_in
from providers.api_pix.profiles import AccountProfile
from providers.port import UNPROVED, AccountRefusal, ProviderAway, ProviderRefusal

Content = TypeVar("Content")

_COMES_AGAIN = (408, 425, 429)


@dataclass(frozen=True)
class BankCall:
    """A request below the bank's base; the parts of its path are escaped."""

    method: str
    resource: str
    path: str
    operation: str
    is_read: bool = False
    """Whether it gives way to calls that create something."""
    body: Mapping[str, Any] | None = None
    query: Mapping[str, str] | None = None
    headers: Mapping[str, str] | None = None
    txid: str | None = None
    """For the log."""


class BankCaller:
    """Sends the calls of one account; any number of threads or greenlets may share it."""

    def __init__(self, profile: AccountProfile, exchange: BankExchange) -> None:
        """Nothing is sent yet."""
        self.profile = profile
        self.exchange = exchange

    def send(self, call: BankCall) -> BankReply:
        """Send a call. Raises ProviderAway and AccountRefusal."""
        return self.exchange.call(
            call.method,
            call.resource,
            call.path,
            body=call.body,
            query=call.query,
            extra_headers=call.headers,
            operation=call.operation,
            is_read=call.is_read,
            txid=call.txid,
        )

    def get(self, call: BankCall, *, wants_proof: bool = False) -> Mapping[str, Any] | None:
        """The object of an answer; None if the bank says that there is none.

        Raises ProviderAway and AccountRefusal. With `wants_proof` a 404 that does not name its
        problem as the bank's API does raises ProviderAway(UNPROVED): a gateway may have sent it.
        """
        reply = self.send(call)
        if is_success(reply):
            return readable(lambda: reading.object_in(reply.members))
        problem = self.problem(reply)
        if self.is_missing(problem):
            if wants_proof and not problem.is_own:
                raise ProviderAway(UNPROVED)
            return None
        raise no_answer(problem)

    def problem(self, reply: BankReply) -> BankProblem:
        """Why the bank refuses. Raises ProviderAway if the answer is not the bank's own."""
        if not reply.is_json and reply.text_kind != "empty":
            # A page of a load balancer: it proves nothing, not even that something is missing.
            raise ProviderAway("unreadable", retry_after=reply.retry_after)
        secrets = self.exchange.secret_texts()
        return problem_in(reply.status, reply.members, lambda text: without_secrets(text, secrets))

    def is_missing(self, problem: BankProblem) -> bool:
        """Whether the bank says that something does not exist."""
        if problem.status in self.profile.missing_statuses:
            return True
        return problem.status in (400, 404, 410) and problem.says_missing


def is_success(reply: BankReply) -> bool:
    """Banks answer 200 where the standard says 201, and the other way round."""
    return 200 <= reply.status < 300


def readable(read: Callable[[], Content]) -> Content:
    """What `read` returns. Raises ProviderAway instead of Unreadable."""
    try:
        return read()
    except reading.Unreadable:
        raise ProviderAway("unreadable") from None


def refusal(problem: BankProblem) -> ProviderRefusal | ProviderAway:
    """The exception for an answer that is no success."""
    if problem.status >= 500 or problem.status in _COMES_AGAIN:
        return ProviderAway(f"status-{problem.status}")
    # A path that the bank does not have is a wrong address of the account, and no decision.
    has_no_such_path = problem.status in (404, 405) and not problem.says_missing
    kind = AccountRefusal if problem.blames_account or has_no_such_path else ProviderRefusal
    return kind(problem.code, problem.sentence)


def no_answer(problem: BankProblem) -> AccountRefusal | ProviderAway:
    """The exception for a question that the bank refuses: what was asked for stays unknown."""
    error = refusal(problem)
    if isinstance(error, ProviderAway | AccountRefusal):
        return error
    return ProviderAway(error.code)


def escaped(text: str) -> str:
    """A part of a path."""
    return quote(text, safe="")
