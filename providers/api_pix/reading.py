"""Read the answers of any bank that speaks API Pix, whatever its habits are.

Banks differ from Banco Central's API Pix 2.9.0 in small things: numbers for texts, null for absent
members, instants with and without milliseconds or zone. These functions accept all of them, and do
not depend on a profile. What cannot be read is never guessed: it raises Unreadable, and in a list
it is skipped and counted, so that the rest of the page is not lost.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, TypeVar

from core.documents import plain_document
from core.errors import InvalidMoney
from core.money import centavos_from
from core.pix.business_days import BRASILIA
from providers.port import BankMoney, BankReturn, ChargeState, HeldCharge, ReturnState

CODE_MEMBERS = ("pixCopiaECola", "brcode", "textoImagemQRcode", "qrcode", "emv", "copiaCola")
"""Every name that banks give to the text of a BR Code."""
ITEMS_MAX = 50_000
"""More than an answer of 6 MB can hold of Pix that can be read."""
CODE_CHARACTERS_MAX = 1000

_END_TO_END_ID = re.compile(r"[!-~]{1,128}")
_TXID = re.compile(r"[A-Za-z0-9]{1,35}", re.ASCII)
_RETURN_ID = re.compile(r"[!-~]{1,64}")
_AMOUNT_CHARACTERS_MAX = 20
_YEARS = range(2020, 2200)  # Pix began in 2020
_INSTANT = re.compile(
    r"(\d{4}-\d\d-\d\d)[Tt ](\d\d:\d\d(?::\d\d)?)(?:[.,](\d{1,9}))?\s?([Zz]|[+-]\d\d:?\d\d)?",
    re.ASCII,
)
_LIFETIME_MAX = 2**31 - 1
_NAME_MAX, _TEXT_MAX, _LOCATION_MAX, _KEY_MAX = 200, 140, 255, 77

Item = TypeVar("Item")


class Unreadable(ValueError):
    """An answer, or a part of it, that has not the form of API Pix; the text names the member."""


@dataclass(frozen=True)
class Paging:
    """`paginacao` of a list; None for what the bank does not say, or says in no number."""

    pages: int | None
    items: int | None
    page_size: int | None

    @property
    def is_unknown(self) -> bool:
        """Whether the bank counts neither pages nor items."""
        return self.pages is None and self.items is None


def object_in(value: Any) -> Mapping[str, Any]:
    """A JSON object. Raises Unreadable."""
    if not isinstance(value, Mapping):
        raise Unreadable("object")
    return value


def centavos(value: Any) -> int:
    """An amount over zero, as text or as a number of reais. Raises Unreadable."""
    if isinstance(value, float):
        # A parser that makes floats has read a short decimal: its shortest form is that text.
        value = repr(value)
    if isinstance(value, str):
        value = value.strip()
    if isinstance(value, str | Decimal) and len(str(value)) > _AMOUNT_CHARACTERS_MAX:
        raise Unreadable("valor")
    try:
        return centavos_from(value)
    except InvalidMoney:
        raise Unreadable("valor") from None


def instant(value: Any) -> datetime:
    """An instant as aware UTC; one without a zone is Brasília's time. Raises Unreadable."""
    match = _INSTANT.fullmatch(value.strip()) if isinstance(value, str) else None
    if match is None:
        raise Unreadable("horario")
    day, time, fraction, zone = match.groups()
    text = f"{day}T{time}" + (f".{fraction[:6]:0<6}" if fraction and len(time) == 8 else "")
    try:
        moment = datetime.fromisoformat(text + (zone or "").upper())
        if moment.year not in _YEARS:
            raise Unreadable("horario")
        return (moment if moment.tzinfo else moment.replace(tzinfo=BRASILIA)).astimezone(UTC)
    except (ValueError, OverflowError):
        raise Unreadable("horario") from None


def text_in(value: Any, characters_max: int) -> str | None:
    """A text that can be stored and displayed, cut to its maximum; None if nothing is left."""
    if not isinstance(value, str):
        return None
    # A lone surrogate is legal in JSON, and no database can store it.
    cleaned = "".join(
        character if character.isprintable() else " " if character.isspace() else ""
        for character in value[: characters_max * 4]
        if unicodedata.category(character) not in ("Cs", "Cn", "Co")
    )
    return cleaned.strip()[:characters_max].strip() or None


def charge_in(members: Any, txid: str | None = None) -> HeldCharge:
    """A charge; `txid` is the one that was asked for, which some answers do not repeat.

    The charge has no code yet: see `codes`. Raises Unreadable.
    """
    # One bank wraps the charge, with its code beside it.
    outer = object_in(members)
    charge = object_in(outer["cob"]) if isinstance(outer.get("cob"), Mapping) else outer
    name = charge.get("txid")
    if name is None:
        name = txid
    if not isinstance(name, str) or not _TXID.fullmatch(name) or txid not in (None, name):
        raise Unreadable("txid")
    value = charge.get("valor")
    amount = centavos(value.get("original") if isinstance(value, Mapping) else value)
    calendar = charge.get("calendario")
    calendar = calendar if isinstance(calendar, Mapping) else {}
    key = text_in(charge.get("chave"), _KEY_MAX)
    money, _skipped = money_list(charge.get("pix"), name, key)
    return HeldCharge(
        txid=name,
        state=_charge_state(charge.get("status")),
        amount_centavos=amount,
        pix_key=key,
        created_at=_or_none(instant, calendar.get("criacao")),
        lifetime_seconds=_positive(calendar.get("expiracao")),
        location=_location(charge),
        code=None,
        money=tuple(money),
    )


def location_id(members: Any) -> int | None:
    """`loc.id` of a charge."""
    outer = object_in(members)
    charge = outer["cob"] if isinstance(outer.get("cob"), Mapping) else outer
    loc = charge.get("loc")
    return _positive(loc.get("id")) if isinstance(loc, Mapping) else None


def code_text(members: Any, names: Iterable[str] = CODE_MEMBERS) -> str | None:
    """The first text in a member with one of these names, also beside or within `cob`."""
    if not isinstance(members, Mapping):
        return None
    inner = members.get("cob")
    places = [members, inner] if isinstance(inner, Mapping) else [members]
    for name in names:
        for place in places:
            text = place.get(name)
            if isinstance(text, str) and 0 < len(text.strip()) <= CODE_CHARACTERS_MAX:
                return text.strip()
    return None


def money_in(
    value: Any, charge_txid: str | None = None, charge_key: str | None = None
) -> BankMoney:
    """One Pix. Within a charge the bank may leave out `txid` and `chave`. Raises Unreadable."""
    pix = object_in(value)
    end_to_end_id = pix.get("endToEndId")
    if not isinstance(end_to_end_id, str) or not _END_TO_END_ID.fullmatch(end_to_end_id):
        raise Unreadable("endToEndId")
    txid = pix.get("txid")
    txid = txid if isinstance(txid, str) and _TXID.fullmatch(txid) else None
    if charge_txid is not None and txid not in (None, charge_txid):
        raise Unreadable("txid")
    payer = _payer(pix)
    returns, _skipped = _readable(pix.get("devolucoes"), return_in)
    return BankMoney(
        end_to_end_id=end_to_end_id,
        txid=txid or charge_txid,
        pix_key=text_in(pix.get("chave"), _KEY_MAX) or charge_key,
        amount_centavos=centavos(pix.get("valor")),
        paid_at=instant(pix.get("horario")),
        payer_name=text_in(payer.get("nome"), _NAME_MAX),
        payer_document=_document(payer),
        payer_message=text_in(pix.get("infoPagador"), _TEXT_MAX),
        returns=tuple(returns),
    )


def money_list(
    value: Any, charge_txid: str | None = None, charge_key: str | None = None
) -> tuple[list[BankMoney], int]:
    """The Pix in a list that can be read, each once, and how many could not. Null is no Pix."""
    money, skipped = _readable(value, lambda item: money_in(item, charge_txid, charge_key))
    return list({pix.end_to_end_id: pix for pix in money}.values()), skipped


def charge_list(value: Any) -> tuple[list[HeldCharge], int]:
    """The charges in a list that can be read, and how many could not."""
    return _readable(value, charge_in)


def return_in(value: Any) -> BankReturn:
    """A return. Raises Unreadable."""
    entry = object_in(value)
    return_id = entry.get("id")
    if isinstance(return_id, int) and not isinstance(return_id, bool) and 0 <= return_id < 10**18:
        return_id = str(return_id)
    if not isinstance(return_id, str) or not _RETURN_ID.fullmatch(return_id):
        raise Unreadable("devolucao.id")
    times = entry.get("horario")
    times = times if isinstance(times, Mapping) else {}
    return BankReturn(
        id=return_id,
        return_id=text_in(entry.get("rtrId"), 64),
        amount_centavos=centavos(entry.get("valor")),
        state=_return_state(entry.get("status")),
        reason=text_in(entry.get("motivo"), _TEXT_MAX),
        nature=text_in(entry.get("natureza"), 32),
        settled_at=_or_none(instant, times.get("liquidacao")),
    )


def paging_in(members: Mapping[str, Any]) -> Paging:
    """What a list says of its pages, wherever the bank writes it."""
    parameters = members.get("parametros")
    places = [parameters if isinstance(parameters, Mapping) else {}, members]
    paging = next(
        (p["paginacao"] for p in places if isinstance(p.get("paginacao"), Mapping)), members
    )
    return Paging(
        pages=_positive(paging.get("quantidadeDePaginas")),
        items=_positive(paging.get("quantidadeTotalDeItens")),
        page_size=_positive(paging.get("itensPorPagina")),
    )


def _readable(value: Any, read: Callable[[Any], Item]) -> tuple[list[Item], int]:
    """What can be read in a list, and the number of other items."""
    if not isinstance(value, list):
        return [], 0 if value is None else 1
    items: list[Item] = []
    for item in value[:ITEMS_MAX]:
        try:
            items.append(read(item))
        except Unreadable:
            continue
    return items, len(value) - len(items)


def _or_none(read: Callable[[Any], Item], value: Any) -> Item | None:
    try:
        return read(value)
    except Unreadable:
        return None


def _positive(value: Any) -> int | None:
    """A number over zero, also as text; None for anything else."""
    if isinstance(value, str) and re.fullmatch(r"\s*\d{1,10}\s*", value, re.ASCII):
        value = int(value)
    if isinstance(value, Decimal) and value.is_finite() and value.adjusted() < 10:
        value = int(value) if value == value.to_integral_value() else None
    if isinstance(value, bool) or not isinstance(value, int):
        return None
    return value if 0 < value <= _LIFETIME_MAX else None


def _location(charge: Mapping[str, Any]) -> str | None:
    """The location without its scheme, as a BR Code carries it."""
    loc = charge.get("loc")
    nested = loc.get("location") if isinstance(loc, Mapping) else None
    for value in (charge.get("location"), nested):
        if isinstance(value, str) and value.strip():
            location = re.sub(r"\Ahttps?://", "", value.strip(), flags=re.IGNORECASE)
            if location.isascii() and location.isprintable() and len(location) <= _LOCATION_MAX:
                return location
    return None


def _word(value: Any) -> str:
    """The words of a state in one spelling: `Não realizado` is `NAO_REALIZADO`."""
    if not isinstance(value, str):
        raise Unreadable("status")
    plain = unicodedata.normalize("NFKD", value[:64]).encode("ascii", "ignore").decode()
    return re.sub(r"[\s-]+", "_", plain.strip()).upper()


def _charge_state(value: Any) -> ChargeState:
    """The state of a charge; a word that nobody knows yet proves neither payment nor removal."""
    word = _word(value)
    if word == "CONCLUIDA":
        return ChargeState.PAID
    if word.startswith(("REMOVIDA", "EXPIRADA", "CANCELADA")):
        return ChargeState.REMOVED
    return ChargeState.ACTIVE


def _return_state(value: Any) -> ReturnState:
    """The state of a return; with a word that nobody knows yet it is neither done nor failed."""
    words = {"DEVOLVIDO": ReturnState.DONE, "NAO_REALIZADO": ReturnState.FAILED}
    return words.get(_word(value), ReturnState.PROCESSING)


def _payer(pix: Mapping[str, Any]) -> Mapping[str, Any]:
    extras = pix.get("gnExtras")
    nested = extras.get("pagador") if isinstance(extras, Mapping) else None
    for place in (pix.get("pagador"), nested):
        if isinstance(place, Mapping):
            return place
    return {}


def _document(payer: Mapping[str, Any]) -> str | None:
    """A whole CPF or CNPJ; None for a masked one."""
    for name in ("cpf", "cnpj", "cpfCnpj"):
        text = payer.get(name)
        if isinstance(text, str) and len(text) <= 20 and text.isascii():
            document = plain_document(text.strip().upper())
            if document is not None:
                return document
    return None
