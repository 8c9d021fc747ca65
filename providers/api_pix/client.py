"""The port's implementation for a bank that speaks Banco Central's API Pix, by its profile."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import structlog
from flask import has_app_context

from config import current_parts
from core.money import plain
from db_models import ProviderAccount
from providers.api_pix import reading
from providers.api_pix.calls import (
    BankCall,
    BankCaller,
    escaped,
    is_success,
    readable,
    refusal,
)
from providers.api_pix.charge_desk import ChargeDesk
from providers.api_pix.exchange import BankAddress, BankExchange
from providers.api_pix.profiles import AccountProfile, merged_profile
from providers.api_pix.tokens import TokenStyle
from providers.api_pix.windows import WindowPlace, bounds, list_query, next_place, parts_of
from providers.port import (
    AccountRefusal,
    BankMoney,
    BankReturn,
    ChargePage,
    HeldCharge,
    MoneyPage,
    NewCharge,
    ProviderAway,
    ProviderRefusal,
    ReturnState,
)
from providers.secrets import AccountSecrets
from repository import database

log = structlog.get_logger()

ALL = "all:"
_REASON_MAX = 140
_SHIFT_ERROR_SECONDS = 5
"""How much a window may be shifted wrongly; those who read windows let them overlap by more."""


def build_provider(account: ProviderAccount, secrets: AccountSecrets) -> ApiPixProvider:
    """The client of an account; it sends nothing yet.

    Raises ValueError with a sentence for overrides, addresses or certificates that cannot be used.
    """
    profile = merged_profile(account.profile, account.environment, account.overrides or {})
    label = f"{account.profile}-{account.environment}"
    exchange = exchange_of(profile, secrets, label=label)
    return ApiPixProvider(profile, exchange, pix_key=account.pix_key, label=label)


def exchange_of(
    profile: AccountProfile,
    secrets: AccountSecrets,
    *,
    label: str,
    now: Callable[[], datetime] = database.now,
) -> BankExchange:
    """The exchange with a profile's bank; `label` is for logs and metrics, so it names nobody."""
    return BankExchange(
        label=label,
        address=BankAddress(
            base=profile.base,
            token_url=profile.token_url,
            base_by_resource=profile.base_by_resource,
        ),
        token_style=TokenStyle(
            style=profile.token_style,
            ok=tuple(profile.token_ok),
            scopes=profile.scopes or None,
        ),
        secrets=secrets,
        query=profile.query,
        headers=profile.headers,
        calls_per_minute=profile.rate,
        now=now,
    )


class ApiPixProvider:
    """One account at one bank; any number of threads or greenlets may share it."""

    def __init__(
        self,
        profile: AccountProfile,
        exchange: BankExchange,
        *,
        pix_key: str,
        label: str,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """`label` names the bank in logs and metrics; `sleep` is for the pauses between looks."""
        self._label = label
        self.profile = profile
        self.exchange = exchange
        self._pix_key = pix_key
        self._caller = BankCaller(profile, exchange)
        self._charges = ChargeDesk(self._caller, sleep)
        self._refuses_filter = False

    # Charges.

    def open_charge(self, charge: NewCharge) -> HeldCharge:
        """Create the charge, or find it; see `providers.port.Provider`."""
        return self._charges.open_charge(charge)

    def find_charge(self, txid: str) -> HeldCharge | None:
        """What the bank holds for a charge; see `providers.port.Provider`."""
        return self._charges.find_charge(txid)

    def close_charge(self, txid: str) -> HeldCharge | None:
        """Remove an active charge; see `providers.port.Provider`.

        A charge that is still active in the answer could not be removed: the bank refused.
        """
        return self._charges.close_charge(txid)

    # Lists.

    def money_page(self, start: datetime, end: datetime, after: str | None) -> MoneyPage:
        """A page of the Pix of a window; see `providers.port.Provider`."""
        return self._money_page(start, end, after, {})

    def returned_page(self, start: datetime, end: datetime, after: str | None) -> MoneyPage:
        """A page of Pix with returns; see `providers.port.Provider`.

        A cursor of the list of all Pix begins with ALL, so that any process goes on in that list.
        """
        name = self.profile.returned_filter
        is_all = not name or self._refuses_filter if after is None else after.startswith(ALL)
        if not is_all:
            try:
                return self._money_page(start, end, after, {name: "true"})
            except AccountRefusal:
                raise
            except ProviderRefusal:
                if after is not None:
                    raise
        cursor = None if after is None else after.removeprefix(ALL)
        page = self._money_page(start, end, cursor, {})
        # It refuses the filter and not the window.
        self._refuses_filter = True
        return MoneyPage(page.money, None if page.next is None else ALL + page.next)

    def returns_listed_for(self) -> timedelta:
        """How old a Pix may be that `returned_page` lists; see `providers.port.Provider`."""
        return timedelta(days=self.profile.returned_days)

    def _money_page(
        self, start: datetime, end: datetime, after: str | None, filters: Mapping[str, str]
    ) -> MoneyPage:
        place, members = self._page("pix", "list-pix", start, end, after, filters)
        money, skipped = reading.money_list(_items(members, "pix"))
        self._report_skipped("pix", skipped)
        ids = [pix.end_to_end_id for pix in money]
        return MoneyPage(money, self._next(place, members, ids, skipped, start, end))

    def charge_page(self, start: datetime, end: datetime, after: str | None) -> ChargePage:
        """A page of the charges of a window; see `providers.port.Provider`."""
        place, members = self._page("cob", "list-cob", start, end, after)
        charges, skipped = reading.charge_list(_items(members, "cobs"))
        self._report_skipped("cob", skipped)
        ids = [charge.txid for charge in charges]
        return ChargePage(charges, self._next(place, members, ids, skipped, start, end))

    def _page(
        self,
        name: str,
        operation: str,
        start: datetime,
        end: datetime,
        after: str | None,
        filters: Mapping[str, str] | None = None,
    ) -> tuple[WindowPlace, Mapping[str, Any]]:
        place = WindowPlace.of(after)
        if after is None:
            place = replace(place, shift_seconds=self._shift_seconds())
        filters = filters or {}
        members = self._list(name, operation, start, end, place, filters)
        # The first answer of all tells the bank's time, when the window was chosen without it.
        shift = self._shift_seconds()
        if after is None and abs(shift - place.shift_seconds) > _SHIFT_ERROR_SECONDS:
            place = replace(place, shift_seconds=shift)
            members = self._list(name, operation, start, end, place, filters)
        return place, members

    def _list(
        self,
        name: str,
        operation: str,
        start: datetime,
        end: datetime,
        place: WindowPlace,
        filters: Mapping[str, str],
    ) -> Mapping[str, Any]:
        window = bounds(start, end, place, window_days=self.profile.window_days)
        query = list_query(self.profile, window, place.page) | dict(filters)
        # The charges' list is at the base of all else, also where single charges have their own.
        resource = "cobs" if name == "cob" else name
        call = BankCall("GET", resource, f"/{name}", operation, is_read=True, query=query)
        reply = self._caller.send(call)
        if is_success(reply):
            return readable(lambda: reading.object_in(reply.members))
        problem = self._caller.problem(reply)
        error = refusal(problem)
        is_refused = isinstance(error, ProviderRefusal) and not problem.blames_account
        if place.is_beyond and is_refused:
            return {name if name == "pix" else "cobs": []}  # it has no such page
        raise error

    def _shift_seconds(self) -> int:
        offset = self.clock_offset()
        return 0 if offset is None else round(offset.total_seconds())

    def _next(
        self,
        place: WindowPlace,
        members: Mapping[str, Any],
        ids: list[str],
        skipped: int,
        start: datetime,
        end: datetime,
    ) -> str | None:
        paging = reading.paging_in(members)
        following = next_place(
            place,
            paging,
            ids,
            count=len(ids) + skipped,
            page_size=paging.page_size or self.profile.page_size,
            parts=parts_of(start, end, self.profile.window_days),
        )
        return None if following is None else str(following)

    def _report_skipped(self, name: str, skipped: int) -> None:
        if not skipped:
            return
        log.warning("provider.unreadable_items", bank=self._label, list=name, items=skipped)
        if has_app_context():
            metrics = current_parts().metrics.bank_calls
            metrics.unreadable.labels(self._label, name).inc(skipped)

    def find_money(self, end_to_end_id: str) -> BankMoney | None:
        """One Pix; see `providers.port.Provider`."""
        path = f"/pix/{escaped(end_to_end_id)}"
        members = self._caller.get(BankCall("GET", "pix", path, "get-pix", is_read=True))
        if members is None:
            return None
        money = readable(lambda: reading.money_in(members))
        if money.end_to_end_id != end_to_end_id:
            raise ProviderAway("unreadable")
        return money

    # Returns.

    def give_back(self, end_to_end_id: str, return_id: str, amount_centavos: int) -> BankReturn:
        """Return money of a Pix; see `providers.port.Provider`."""
        path = _return_path(end_to_end_id, return_id)
        unknown, problem, was_repeated = ProviderAway("unreadable"), None, False
        try:
            body = {"valor": plain(amount_centavos)}
            reply = self._caller.send(BankCall("PUT", "pix", path, "put-return", body=body))
            if is_success(reply):
                entry = reading.return_in(reply.members)
                if (entry.id, entry.amount_centavos) == (return_id, amount_centavos):
                    return entry
            else:
                was_repeated = reply.was_repeated
                problem = self._caller.problem(reply)
        except reading.Unreadable:
            pass  # the GET decides
        except ProviderAway as away:
            if not away.was_sent:
                raise
            unknown = away
        if problem is not None and problem.blames_account:
            raise refusal(problem)
        present = self._read_return(end_to_end_id, return_id, is_read=False)
        if present is None:
            if problem is None or problem.status == 409:
                raise unknown
            if was_repeated:
                # The bank may have carried out the first copy and show it later.
                raise ProviderAway(problem.code)
            raise refusal(problem)
        if present.amount_centavos != amount_centavos:
            raise ProviderRefusal("return-id-used", "The bank has another amount for this return.")
        if present.state is ReturnState.FAILED and present.reason is None and problem is not None:
            return replace(present, reason=problem.sentence[:_REASON_MAX] or None)
        return present

    def find_return(self, end_to_end_id: str, return_id: str) -> BankReturn | None:
        """How a return stands; see `providers.port.Provider`."""
        return self._read_return(end_to_end_id, return_id, is_read=True)

    def _read_return(
        self, end_to_end_id: str, return_id: str, *, is_read: bool
    ) -> BankReturn | None:
        path = _return_path(end_to_end_id, return_id)
        members = self._caller.get(BankCall("GET", "pix", path, "get-return", is_read=is_read))
        if members is None:
            return None
        entry = readable(lambda: reading.return_in(members))
        if entry.id != return_id:
            raise ProviderAway("unreadable")
        return entry

    # The address of callbacks.

    def register_callback(self, url: str) -> None:
        """Register the address of callbacks; see `providers.port.Provider`."""
        headers = self.profile.callback.headers
        path, body = self._callback_path(), {"webhookUrl": url}
        call = BankCall("PUT", "webhook", path, "put-callback", body=body, headers=headers)
        reply = self._caller.send(call)
        if not is_success(reply):
            # Whatever the reason is, a person must look at the address or the key.
            error = refusal(self._caller.problem(reply))
            if isinstance(error, ProviderRefusal):
                raise AccountRefusal(error.code, error.detail)
            raise error

    def registered_callback(self) -> str | None:
        """The registered address; see `providers.port.Provider`."""
        call = BankCall("GET", "webhook", self._callback_path(), "get-callback", is_read=True)
        members = self._caller.get(call)
        return None if members is None else reading.text_in(members.get("webhookUrl"), 2000)

    def _callback_path(self) -> str:
        return f"/webhook/{escaped(self._pix_key)}"

    # All of them.

    def clock_offset(self) -> timedelta | None:
        """How far the bank's clock is ahead of ours; None before the first answer."""
        return self.exchange.clock_offset()

    def close(self) -> None:
        """Close the connections that are not in use."""
        self.exchange.close()


def _items(members: Mapping[str, Any], name: str) -> Any:
    """The list of an answer, null or absent if it is empty. Raises ProviderAway.

    An object that is no list at all, such as an error with status 200, does not say that nothing
    has come in.
    """
    items = members.get(name)
    is_absent = items is None and (name in members or "parametros" in members)
    if not is_absent and not isinstance(items, list):
        raise ProviderAway("unreadable")
    return items


def _return_path(end_to_end_id: str, return_id: str) -> str:
    return f"/pix/{escaped(end_to_end_id)}/devolucao/{escaped(return_id)}"
