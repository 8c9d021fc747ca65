"""Visit one account at a bank: what callbacks named, due look-ups, refunds, and due lists."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial

import structlog

from core.errors import BalcaoError, ConcurrentUpdate, DatabaseUnavailable
from core.runtime.throttle import Throttle
from db_models import ProviderAccount, ProviderHint
from payments import lifecycle, traces
from payments.at_bank import booking, callback_checks, health, lists, refund_runs, returns
from payments.at_bank.account_lists import WANTED_LISTS, AccountLists, note_callback
from payments.at_bank.booking import Way
from payments.at_bank.turns import RATE_LIMIT, in_turn
from payments.at_bank.walking import NEAR
from providers.accounts import provider_of
from providers.port import AccountRefusal, Provider, ProviderAway, ProviderRefusal
from repository.database import Work, in_unit_of_work, now, reading
from repository.provider_money import DueLookUp
from repository.reconciliations import Mark, lease_of_account

log = structlog.get_logger()

LEASE = timedelta(seconds=120)
"""How long one process may visit an account alone; after a crash the next visit waits this long,
except the first one of a new process, and unless the account gets other credentials."""
VISIT_SECONDS = 20.0
"""A visit begins no further request after this time; the next one goes on where it ended."""
REFUNDS_SECONDS = 5.0
"""How much of it refunds may take."""
SINGLES_MAX = 20
"""When more look-ups are due, the list of Pix is read instead."""
BATCH = 500
LOOK_UP_SECONDS, CROWD_SECONDS = 5.0, 10.0
"""The shortest pauses between two look-ups of one charge, and between two lists instead of many
look-ups."""
UNANSWERED_MAX = 2
"""After so many look-ups in a row without an answer the bank counts as away."""
PAUSE = timedelta(seconds=1)
AWAY_PAUSE, AWAY_PAUSE_MAX = timedelta(seconds=4), timedelta(seconds=60)
DATABASE_PAUSE = timedelta(seconds=4)
"""After a visit that our own database has ended, which says nothing of the bank."""
FAULT_PAUSE = timedelta(seconds=60)
RATE_PAUSE_MAX = timedelta(seconds=300)
"""A longer rest of the lease counts as one from before the clock was set back, and ends at once."""
HINT_PAUSE, HINT_PAUSE_MAX = timedelta(seconds=5), timedelta(minutes=10)
REMOVED_FOR = timedelta(days=30)
"""How long after its removal an account's list is read."""
_IMMEDIATE = frozenset({"breaker-open", "rate-limit"})
"""Nothing was sent, so nothing was learnt of this charge."""

LOOK_UPS = Throttle(LOOK_UP_SECONDS)
"""Of single charges, by txid; a shopper's question counts too."""
_CROWDS = Throttle(CROWD_SECONDS)


@dataclass
class Visit:
    """One process's work for one account, while it holds the lease."""

    account_id: int
    mark: Mark
    keep_going: Callable[[], bool]
    deadline: float
    unanswered: int = 0
    is_complete: bool = True
    """Whether no list is left half read."""
    has_answer: bool = False
    is_released: bool = False
    """Whether the lease was given back; if not, this process holds it although the visit ended."""
    next_look_ups: dict[int, datetime | None] = field(default_factory=dict)

    @classmethod
    def begin(
        cls, account_id: int, *, by_force: bool, keep_going: Callable[[], bool]
    ) -> Visit | None:
        """Acquire the account's lease; None if another process has it, or if the account rests."""
        name = lease_of_account(account_id)

        def take(work: Work) -> Mark | None:
            until = work.now + LEASE
            return work.reconciliations.acquire(name, work.now, until, work.now, by_force=by_force)

        mark = in_unit_of_work(take)
        if mark is None:
            return None
        return cls(account_id, mark, keep_going, time.monotonic() + VISIT_SECONDS)

    def run(self, *, is_first: bool) -> None:
        """Do what is due; the lease rests as long as the bank wants to be left alone."""
        pause = PAUSE
        try:
            provider = provider_of(self.account_id)
            self._do_all(provider, is_first=is_first)
            _away_pauses.pop(self.account_id, None)
            if self.has_answer:
                health.note_answer(self.account_id)
        except ProviderAway as error:
            pause = self._pause_after(error)
            if error.code != RATE_LIMIT:
                health.note_fault(self.account_id, error.code)
            log.info("provider.visit_unanswered", account=self.account_id, code=error.code)
        except AccountRefusal as refusal:
            pause = FAULT_PAUSE
            health.note_fault(self.account_id, refusal.code)
            log.info("provider.visit_refused", account=self.account_id, code=refusal.code)
        except BalcaoError as error:
            is_of_database = isinstance(error, (ConcurrentUpdate, DatabaseUnavailable))
            pause = DATABASE_PAUSE if is_of_database else FAULT_PAUSE
            log.warning("provider.visit_postponed", account=self.account_id, code=error.code)
        except Exception:
            pause = FAULT_PAUSE  # such as a profile that does not fit any more: it stays so
            raise
        finally:
            in_unit_of_work(partial(self._end, pause))
            self.is_released = True

    def _end(self, pause: timedelta, work: Work) -> None:
        """Nothing is written if the lease is lost: the account got other credentials meanwhile, or
        a new process visits it."""
        name = lease_of_account(self.account_id)
        work.reconciliations.release(name, self.mark, work.now + pause)

    def _pause_after(self, error: ProviderAway) -> timedelta:
        if error.code == RATE_LIMIT:  # of our own making: the bank is well
            return min(max(PAUSE, error.retry_after or PAUSE), RATE_PAUSE_MAX)
        pauses = _away_pauses
        longest = AWAY_PAUSE_MAX
        pause = min(pauses.get(self.account_id, AWAY_PAUSE / 2) * 2, longest)
        pauses[self.account_id] = pause
        return max(pause, min(error.retry_after or pause, longest))

    def _do_all(self, provider: Provider, *, is_first: bool) -> None:
        with reading() as work:
            account = work.provider_accounts.find(self.account_id)
        if account is None:
            return
        # First, and not for long: they are few, and a flood of callbacks must not hold them up.
        self._send_refunds()
        account_lists = AccountLists(provider, account, self._goes_on)
        refusal: AccountRefusal | None = None
        try:
            self._look_up(provider, account_lists)
        except AccountRefusal as error:
            refusal = error  # a scope may be missing for single questions alone
        finally:
            self._store_look_ups()
            self._note_lists(account_lists)
        if is_listed(account, now()):
            try:
                account_lists.read_due(is_first=is_first)
            finally:
                self._note_lists(account_lists)
            callback_checks.check(account)
        _away_pauses.pop(self.account_id, None)
        if refusal is not None:
            raise refusal

    def _note_lists(self, account_lists: AccountLists) -> None:
        self.is_complete = account_lists.is_complete
        self.has_answer |= account_lists.has_answer

    def _send_refunds(self) -> None:
        end = time.monotonic() + REFUNDS_SECONDS
        try:
            refund_runs.run_at_bank(self.account_id, lambda: time.monotonic() < end)
        except ProviderAway as error:
            # A missing scope for returns must not keep us from learning of money.
            log.info("provider.refunds_unanswered", account=self.account_id, code=error.code)

    def _goes_on(self) -> bool:
        return self.keep_going() and time.monotonic() < self.deadline

    # -- single charges ------------------------------------------------------------------------

    def _look_up(self, provider: Provider, account_lists: AccountLists) -> None:
        """Ask about what callbacks named, then about what is due; many at once by the list."""
        with reading() as work:
            hints = work.provider_money.hints_due(self.account_id, work.now, BATCH)
            due = work.provider_money.due_look_ups(
                self.account_id, work.now, lifecycle.LOOK_UP_PAUSE_MAX, BATCH
            )
        name = str(self.account_id)
        is_crowd = len(due) > SINGLES_MAX and _CROWDS.allow(name)
        # A forged callback may name many charges, so hints get the list less often.
        names_many = len({hint.txid for hint in hints}) > SINGLES_MAX
        if names_many and WANTED_LISTS.allow(f"hints {name}"):
            is_crowd = True
        if is_crowd and account_lists.walk(NEAR, Way.WINDOW).is_complete:
            self._reschedule(due)
            due = []
        refusal: AccountRefusal | None = None
        for hint in _distinct(hints):
            if not self._goes_on():
                return
            try:
                self._follow(provider, hint, hints)
            except AccountRefusal as error:
                refusal = error  # a scope may be missing for Pix alone, and not for charges
                break
        for one in due[:SINGLES_MAX]:
            if not self._goes_on():
                return
            self._look_up_one(provider, one)
        if refusal is not None:
            raise refusal

    def _reschedule(self, due: Sequence[DueLookUp]) -> None:
        moment = now()
        for one in due:
            self.next_look_ups[one.payment_id] = lifecycle.next_look_up(
                one.created_at, one.expires_at, moment
            )

    def _store_look_ups(self) -> None:
        times = self.next_look_ups
        if times:
            in_unit_of_work(lambda work: work.provider_money.schedule_look_ups(times))

    def _look_up_one(self, provider: Provider, one: DueLookUp) -> None:
        if not LOOK_UPS.allow(one.txid):
            return
        try:
            self._ask(provider, one.txid, Way.POLL)
        except ProviderAway as error:
            if error.code not in _IMMEDIATE:
                self._reschedule([one])
            self._count_unanswered(error)
            return
        except AccountRefusal:
            self._reschedule([one])  # or no other payment would ever get its turn
            raise
        except DatabaseUnavailable:
            raise
        except Exception:
            log.exception("provider.not_booked", account=self.account_id, id=one.txid)
        self._reschedule([one])

    def _ask(self, provider: Provider, txid: str, way: Way) -> int:
        """Ask about a charge and book what it has. Raises ProviderAway and AccountRefusal."""
        try:
            bank_charge = in_turn(partial(provider.find_charge, txid), self._goes_on)
        except AccountRefusal:
            raise
        except ProviderRefusal as refusal:
            log.info("provider.look_up_refused", txid=txid, code=refusal.code)
            return 0
        self.unanswered, self.has_answer = 0, True
        traces.record_look_up(txid)
        return 0 if bank_charge is None else lists.book_charge(self.account_id, bank_charge, way)

    def _follow(self, provider: Provider, hint: ProviderHint, all_: Sequence[ProviderHint]) -> None:
        """Ask about what a callback named, and forget all hints about the same."""
        subject = hint.txid or hint.end_to_end_id or ""
        if not LOOK_UPS.allow(subject):
            return
        same = [one for one in all_ if _subject_of(one) == _subject_of(hint)]
        rows = [one.id for one in same]
        hint = next((one for one in same if one.misfit is not None), hint)
        try:
            number, unfit = self._ask_about(provider, hint)
        except ProviderAway as error:
            self._postpone(rows, _pause_of(hint))
            self._count_unanswered(error)
            return
        except (AccountRefusal, DatabaseUnavailable):
            raise
        except Exception:
            # What cannot be booked must not keep back all other money of the account.
            log.exception("provider.not_booked", account=self.account_id, id=subject)
            self._postpone(rows, max(returns.AGAIN, _pause_of(hint)))
            return
        if unfit is not None:
            self._postpone(rows, _pause_of_return(hint, unfit), unfit)
            return
        in_unit_of_work(lambda work: work.provider_money.delete_hints(rows))
        if number:
            note_callback(self.account_id)

    def _ask_about(
        self, provider: Provider, hint: ProviderHint
    ) -> tuple[int, returns.UnfitReturn | None]:
        """Book what a hint is about; how many Pix that were, and a return that does not fit."""
        if hint.txid is not None:
            return self._ask(provider, hint.txid, Way.CALLBACK), None
        ask = partial(provider.find_money, hint.end_to_end_id or "")
        money = in_turn(ask, self._goes_on)
        if money is None:
            # A return that does not fit is never forgotten, as a person must look at it.
            is_unfit = hint.misfit is not None and hint.amount_centavos is not None
            return 0, returns.UnfitReturn(
                hint.amount_centavos or 0, hint.misfit
            ) if is_unfit else None
        booking.book(self.account_id, money, Way.CALLBACK)
        return 1, returns.book_returns(self.account_id, money)

    def _postpone(
        self, rows: Sequence[int], pause: timedelta, unfit: returns.UnfitReturn | None = None
    ) -> None:
        """Follow these hints later; `unfit` is the return that does not fit yet."""
        misfit = {}
        if unfit is not None:
            amount_centavos = unfit.amount_centavos if unfit.misfit else None
            misfit = {"misfit": unfit.misfit, "amount_centavos": amount_centavos}
        in_unit_of_work(
            lambda work: work.provider_money.postpone_hints(rows, work.now + pause, misfit)
        )

    def _count_unanswered(self, error: ProviderAway) -> None:
        """Raise the error again if the bank seems to be away."""
        self.unanswered += 1
        is_told = error.code in _IMMEDIATE or error.retry_after is not None
        if is_told or self.unanswered >= UNANSWERED_MAX:
            raise error


def is_listed(account: ProviderAccount, moment: datetime) -> bool:
    """Whether the account's list of Pix is still read."""
    return account.removed_at is None or account.removed_at > moment - REMOVED_FOR


def _pause_of(hint: ProviderHint) -> timedelta:
    """The pause before a hint is followed again; it doubles, and no number of days overflows."""
    growing: timedelta = HINT_PAUSE * 2 ** min(hint.attempts, 16)
    return min(growing, HINT_PAUSE_MAX)


def _pause_of_return(hint: ProviderHint, unfit: returns.UnfitReturn) -> timedelta:
    """The pause before a return is tried again that does not fit."""
    longest = returns.EXCEEDS_AGAIN_MAX if unfit.misfit else returns.AGAIN_MAX
    growing: timedelta = returns.AGAIN * 2 ** min(hint.attempts, 16)
    return min(growing, longest)


def _subject_of(hint: ProviderHint) -> tuple[str | None, str | None]:
    return hint.txid, hint.end_to_end_id


def _distinct(hints: Sequence[ProviderHint]) -> list[ProviderHint]:
    """One hint for each charge or Pix, in their order."""
    return list({_subject_of(hint): hint for hint in reversed(hints)}.values())[::-1]


_away_pauses: dict[int, timedelta] = {}
"""The last pause of each account whose bank is away, in this process."""
