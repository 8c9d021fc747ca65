"""The life of one charge at a bank: create or find it, find its code, read and remove it."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

import structlog

from core.money import plain
from providers.api_pix import codes, reading
from providers.api_pix.calls import BankCall, BankCaller, escaped, is_success, readable, refusal
from providers.api_pix.problems import BankProblem
from providers.api_pix.windows import list_query
from providers.port import (
    AccountRefusal,
    BankMoney,
    ChargeState,
    HeldCharge,
    NewCharge,
    ProviderAway,
    TxidCollision,
)

log = structlog.get_logger()

OPEN_SECONDS = 20.0
"""After so long no further request is begun for one charge; the caller comes again."""
LAG_PAUSES = (0.2, 0.8, 1.5, 2.5, 4.0)
"""Between looks for a charge that was just created: some banks read from a copy."""
CONFLICT_SECONDS = 5.0
"""How long a charge is looked for that the bank says it has."""
REMOVED_BY_PAYEE = "REMOVIDA_PELO_USUARIO_RECEBEDOR"

CPF_DIGITS = 11

_TEXT_MAX, _PAYER_NAME_MAX = 140, 200
_MARGIN = timedelta(minutes=10)


class ChargeDesk:
    """What an account does with single charges."""

    def __init__(self, caller: BankCaller, sleep: Callable[[float], None]) -> None:
        """`sleep` is for the pauses between looks for a charge."""
        self._caller = caller
        self._profile = caller.profile
        self._sleep = sleep

    def open_charge(self, charge: NewCharge) -> HeldCharge:
        """Create the charge, or find it; see `providers.port.Provider`.

        A PUT whose outcome is unknown is followed by a GET of the same txid, and by the same PUT
        only if the bank has no such charge: there is never a second one.
        """
        deadline = time.monotonic() + OPEN_SECONDS
        unknown = ProviderAway("unreadable")
        for attempt in range(2):
            members, problem, was_repeated = None, None, False
            try:
                members, problem, was_repeated = self._put_charge(charge)
            except ProviderAway as away:
                if not away.was_sent:
                    raise
                unknown = away
            if members is not None:
                return self._with_code(charge, self._compared(members, charge), members)
            is_conflict = problem is not None and problem.status == 409
            if problem is not None and problem.blames_account and not is_conflict:
                raise refusal(problem)
            # A charge that is paid or removed already refuses the PUT too, so even then one look.
            # After a PUT without an answer the refusal may mean that the bank has the charge.
            may_have_it = problem is None or attempt or was_repeated
            lag = self._profile.lag_seconds if may_have_it else 0.0
            lag = max(lag, CONFLICT_SECONDS) if is_conflict else lag
            sightings = self._look(charge, deadline, lag)
            if sightings is not None:
                return self._with_code(charge, self._compared(sightings, charge), sightings)
            if is_conflict:
                unknown = ProviderAway("conflict")
            elif problem is not None:
                raise _decision(problem)
            if time.monotonic() > deadline:
                break
        raise unknown

    def _put_charge(
        self, charge: NewCharge
    ) -> tuple[Mapping[str, Any] | None, BankProblem | None, bool]:
        """Send the charge. Members of an answer that fits, or the bank's problem, or neither.

        Neither means that the answer says nothing usable: the charge has to be looked up. Last is
        whether the bank may have received the PUT twice.
        """
        path = self._profile.put_path.replace("{txid}", escaped(charge.txid))
        call = BankCall("PUT", "cob", path, "put-cob", body=self._body(charge), txid=charge.txid)
        reply = self._caller.send(call)
        if not is_success(reply):
            return None, self._caller.problem(reply), reply.was_repeated
        try:
            put = reading.charge_in(reply.members, charge.txid)
        except reading.Unreadable:
            return None, None, reply.was_repeated
        # What the bank says that it holds after our PUT must be ours, or the GET decides.
        fits = put.amount_centavos == charge.amount_centavos and _same_key(put, charge)
        return (reply.members if fits else None), None, reply.was_repeated

    def _body(self, charge: NewCharge) -> dict[str, Any]:
        """The members of a new charge, the same in each repetition (API Pix, CobSolicitada)."""
        profile = self._profile
        lifetime = min(max(charge.lifetime_seconds, profile.lifetime_min), profile.lifetime_max)
        body: dict[str, Any] = {
            "calendario": {"expiracao": lifetime},
            "valor": {"original": plain(charge.amount_centavos)},
            "chave": charge.pix_key,
        }
        if charge.payer_document and charge.payer_name:
            kind = "cpf" if len(charge.payer_document) == CPF_DIGITS else "cnpj"
            name = charge.payer_name[:_PAYER_NAME_MAX]
            body["devedor"] = {kind: charge.payer_document, "nome": name}
        if charge.text:
            body["solicitacaoPagador"] = charge.text[:_TEXT_MAX]
        return body

    def _look(self, charge: NewCharge, deadline: float, lag: float) -> Mapping[str, Any] | None:
        """The charge as the bank has it, with pauses in case it reads from a copy that lags."""
        waited = 0.0
        for pause in (*LAG_PAUSES, None):
            members = self._read_charge(charge.txid, is_read=False)
            if members is not None:
                return members
            if pause is None or waited + pause > lag or time.monotonic() + pause > deadline:
                return None
            self._sleep(pause)
            waited += pause
        return None

    def _compared(self, members: Mapping[str, Any], charge: NewCharge) -> HeldCharge:
        """The charge, if it is ours. Raises TxidCollision and ProviderAway."""
        bank_charge = readable(lambda: reading.charge_in(members, charge.txid))
        if bank_charge.amount_centavos != charge.amount_centavos:
            raise TxidCollision("txid-collision", "The bank has another amount for this txid.")
        if not _same_key(bank_charge, charge):
            raise TxidCollision("txid-collision", "The bank has another key for this txid.")
        return bank_charge

    def _with_code(
        self, charge: NewCharge, bank_charge: HeldCharge, members: Mapping[str, Any]
    ) -> HeldCharge:
        """The charge with its checked code; one that cannot be paid any more may have none."""
        try:
            return replace(bank_charge, code=self._find_code(charge, bank_charge, members))
        except ProviderAway:
            if bank_charge.state is ChargeState.ACTIVE:
                raise
            return bank_charge

    def _find_code(
        self, charge: NewCharge, bank_charge: HeldCharge, members: Mapping[str, Any]
    ) -> str:
        """The code by a member, by a second call, or built; always checked. Raises ProviderAway."""
        try:
            text = reading.code_text(members, self._profile.code_members)
            if text is None and self._profile.code_call is not None:
                text = self._call_for_code(charge.txid, bank_charge, members)
            if text is None:
                # A lost answer may have had the only code, as at Bradesco.
                text = reading.code_text(members)
            if text is None and bank_charge.location is not None and self._profile.builds_code:
                text = codes.built_code(
                    bank_charge.location, payee_name=charge.payee_name, payee_city=charge.payee_city
                )
            if text is None:
                raise ProviderAway("code-missing")
            return codes.checked_code(
                text, location=bank_charge.location, amount_centavos=bank_charge.amount_centavos
            )
        except codes.CodeWrong as error:
            log.warning(
                "provider.code_invalid",
                profile=self._profile.name,
                txid=charge.txid,
                why=str(error),
            )
            raise ProviderAway("code-invalid") from None

    def _call_for_code(
        self, txid: str, bank_charge: HeldCharge, members: Mapping[str, Any]
    ) -> str | None:
        """The code by the profile's second call; None if one must be built instead.

        A call that fails, or that lacks a scope, keeps no payer waiting if the location is known.
        """
        try:
            return self._code_by_call(txid, members)
        except (ProviderAway, AccountRefusal) as error:
            if bank_charge.location is None or not self._profile.builds_code:
                raise
            log.warning(
                "provider.code_built", profile=self._profile.name, txid=txid, why=error.code
            )
            return None

    def _code_by_call(self, txid: str, members: Mapping[str, Any]) -> str | None:
        call = self._profile.code_call
        number = readable(lambda: reading.location_id(members))
        if call is None or ("{loc_id}" in call.path and number is None):
            return None
        path = call.path.replace("{txid}", escaped(txid)).replace("{loc_id}", str(number))
        reply = self._caller.send(BankCall("GET", call.resource, path, "code"))
        if not is_success(reply):
            problem = self._caller.problem(reply)
            if self._caller.is_missing(problem):
                return None
            raise ProviderAway("code-missing")
        text = reading.code_text(reply.members, (call.member, *reading.CODE_MEMBERS))
        return codes.code_from_base64(text) if text and call.is_base64 else text

    def find_charge(self, txid: str) -> HeldCharge | None:
        """What the bank holds for a charge; see `providers.port.Provider`."""
        return self._find_charge(txid)

    def _find_charge(self, txid: str, *, wants_proof: bool = False) -> HeldCharge | None:
        members = self._read_charge(txid, wants_proof=wants_proof)
        if members is None:
            return None
        bank_charge = readable(lambda: reading.charge_in(members, txid))
        if bank_charge.state is ChargeState.PAID and not bank_charge.money:
            return replace(bank_charge, money=self._money_of(bank_charge))
        return bank_charge

    def _money_of(self, bank_charge: HeldCharge) -> tuple[BankMoney, ...]:
        """The Pix of a paid charge whose answer has none, by the list with its filter."""
        if bank_charge.created_at is None:
            return ()
        # Instants of the bank: no offset is added to them.
        start = bank_charge.created_at - _MARGIN
        lifetime = timedelta(seconds=min(bank_charge.lifetime_seconds or 86_400, 86_400))
        window = (
            start,
            min(bank_charge.created_at + lifetime + _MARGIN, start + timedelta(days=1)),
        )
        query = list_query(self._profile, window, 0) | {self._profile.txid_filter: bank_charge.txid}
        call = BankCall(
            "GET", "pix", "/pix", "list-pix", is_read=True, query=query, txid=bank_charge.txid
        )
        try:
            reply = self._caller.send(call)
        except AccountRefusal:
            return ()
        if not is_success(reply):
            return ()
        members = readable(lambda: reading.object_in(reply.members))
        money, _skipped = reading.money_list(members.get("pix"))
        return tuple(pix for pix in money if pix.txid == bank_charge.txid)

    def close_charge(self, txid: str) -> HeldCharge | None:
        """Remove an active charge; see `providers.port.Provider`.

        A charge that is still ACTIVE in the answer could not be removed: the bank refused.
        """
        bank_charge = self._find_charge(txid, wants_proof=True)
        if bank_charge is None or bank_charge.state is not ChargeState.ACTIVE or bank_charge.money:
            return bank_charge
        resource = "cob-patch" if "cob-patch" in self._profile.base_by_resource else "cob"
        path, body = f"/cob/{escaped(txid)}", {"status": REMOVED_BY_PAYEE}
        is_refused, unknown = False, ProviderAway("not-removed")
        try:
            reply = self._caller.send(
                BankCall("PATCH", resource, path, "patch-cob", body=body, txid=txid)
            )
            # If the bank got it twice, it may refuse the second because of the first.
            is_refused = not is_success(reply) and not reply.was_repeated
        except ProviderAway as away:
            if not away.was_sent:
                raise
            unknown = away
        # The payer may have been quicker, and an answer may be lost: the bank is asked again.
        for pause in (*LAG_PAUSES[:2], None):
            bank_charge = self._find_charge(txid, wants_proof=True)
            if bank_charge is None or bank_charge.state is not ChargeState.ACTIVE or is_refused:
                return bank_charge
            if pause is not None:
                self._sleep(pause)
        raise unknown

    def _read_charge(
        self, txid: str, *, is_read: bool = True, wants_proof: bool = False
    ) -> Mapping[str, Any] | None:
        call = BankCall(
            "GET", "cob", f"/cob/{escaped(txid)}", "get-cob", is_read=is_read, txid=txid
        )
        return self._caller.get(call, wants_proof=wants_proof)


def _decision(problem: BankProblem) -> Exception:
    """The exception for a charge that the bank refuses and does not have."""
    if problem.status in (404, 405):
        # Nothing has to exist before a PUT: the address of the account is wrong.
        return AccountRefusal(problem.code, problem.sentence)
    return refusal(problem)


def _same_key(bank_charge: HeldCharge, charge: NewCharge) -> bool:
    """Whether the bank names the charge's key; some answers name none, or change its case."""
    return (
        bank_charge.pix_key is None or bank_charge.pix_key.casefold() == charge.pix_key.casefold()
    )
