"""Answer the usual payment page before Flask: the one that nearly every shopper loads.

The page of a payment that waits differs from the last one of its merchant in ten texts. Flask
answers the first page of its kind; the middleware takes the headers and the pattern of that answer,
puts the merchant's texts into the pattern for good, and writes later pages of this kind itself.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import quote_plus

from markupsafe import escape

from blueprints.checkout.views import (
    COUNTDOWN_MS_MAX,
    DAYS,
    LAST_MS,
    LONG_AMOUNT_CHARACTERS,
    NEAR_MS,
    PaymentView,
    countdown,
    mail_subject_form,
)
from config import Settings
from core.bounded_cache import BoundedCache
from core.errors import PaymentNotFound
from core.runtime.parts import Parts
from db_models import ChargeKind, Payment, PaymentStatus
from payments.lifecycle import remaining_ms, status_at
from repository.ledgers import Ledger
from repository.page_rows import MerchantLook, find_with_look, look_of
from web.before_flask import BeforeFlask, Headers, QuickAnswer, SharedRead, is_plain
from web.compression import gzip_of_page, takes_gzip
from web.merchant_view import with_subject
from web.page_patterns import FILLED_PAGE, FilledPage, Path, Pattern, value_at
from web.pages import brl, language_of_browser
from web.zones import SAO_PAULO, clock, days_between

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

PAGES_MAX = 256
"""About 23 kB each, with long names 70; a merchant's pages need some ten."""
_PATH = re.compile("/payments/pix/([0-9a-f]{32})", re.ASCII)
_HOST = re.compile(
    r"(?!.*xn--)(?:[A-Za-z0-9\-]{1,63}(?:\.[A-Za-z0-9\-]{1,63})*|\[[0-9A-Fa-f:.]{2,45}\])(?::[0-9]{1,5})?",
    re.ASCII | re.IGNORECASE,
)
"""Names that nothing needs to decode; Flask refuses some of the others."""
_PAGE: SharedRead[tuple[Payment, MerchantLook]] = SharedRead("page")
_KIND = "balcao.page_kind"
"""Key in a request's environ: the kind of page that Flask shall show."""

_OWN_HEADERS = frozenset({"Content-Length", "Date", "X-Request-ID"})


class PageKind(NamedTuple):
    """What decides the text of a usual page, besides the texts of `_OWN_TEXTS`."""

    merchant_id: int
    provider_account_id: int | None
    look: MerchantLook
    has_order: bool | str | None
    has_description: bool | str | None
    is_amount_long: bool
    is_near: bool
    is_last: bool
    deadline_day: str
    language: str
    takes_gzip: bool


class PageTexts(NamedTuple):
    """What the own texts of one page follow from."""

    payment: Payment
    left: int
    """Milliseconds until the deadline."""
    language: str
    support_url: str
    subject_form: str
    """See `mail_subject_form`."""

    def amount(self) -> str:
        """`R$ 54,90`."""
        return brl(self.payment.amount_centavos, self.language)

    def quoted_code(self) -> str:
        """The BR Code in an address."""
        return quote_plus(self.payment.br_code)

    def support_url_with_subject(self) -> str | None:
        """The address for e-mail, with the order or the payment as its subject."""
        own = {"order": self.payment.order_id, "id": self.payment.txid}
        return with_subject(self.support_url, self.subject_form % own)


_Text = Callable[[PageTexts], Any]
_OWN_TEXTS: dict[Path, _Text] = {
    ("payment", "id"): lambda page: page.payment.txid,
    ("payment", "amount_text"): PageTexts.amount,
    ("payment", "sequence"): lambda page: page.payment.sequence,
    ("payment", "pix_code"): lambda page: page.payment.br_code,
    ("payment", "order_id"): lambda page: page.payment.order_id,
    ("payment", "description"): lambda page: page.payment.description,
    ("payment", "remaining_ms"): lambda page: page.left,
    ("payment", "time_left"): lambda page: countdown(page.left),
    ("payment", "deadline_time"): lambda page: clock(page.payment.expires_at, SAO_PAULO),
    ("merchant", "support_url"): PageTexts.support_url_with_subject,
}
_MAY_BE_ABSENT = {("payment", "order_id"), ("payment", "description"), ("merchant", "support_url")}
"""The own texts that a page may lack; whether it does is a part of its kind."""
_ADDRESSES = frozenset(
    {"status_url", "check_url", "proof_url", "qr_svg_url", "qr_png_url", "payment_url"}
)
"""Attributes of the payment that contain its id, and nothing else of its own."""
_OF_THE_KIND = frozenset(
    {
        *("status_page", "words", "not_yet", "is_refused", "is_amount_long", "is_near", "is_last"),
        *("payer_sets_amount", "withdrawal", "info", "sums", "due_date", "next_amount_ms"),
        *("is_opening", "is_recurring", "deadline_day", "paid_elsewhere_url", "cancel_url"),
        *("return_url", "renew_url"),
    }
)
"""Attributes of the payment that are the same on all pages of a kind."""
_OF_THE_LOOK = frozenset(
    {
        *("name", "initials", "logo_url", "shop_url", "support_url", "support_contact"),
        *("document", "is_person", "institution", "style_url"),
    }
)
"""Attributes of the merchant that follow from `MerchantLook`."""
_VALUES = frozenset(
    {"payment", "merchant", "test_strip", "check_note", "refresh_seconds", "script_root"}
)
"""The values of the page; without a query, all but the first two are the same on all pages."""


class _UnlistedValue(Exception):
    """A page shows something that this module does not know."""


@dataclass(frozen=True)
class PreparedPage:
    """All pages of one kind."""

    pattern: Pattern
    """Its paths are those of `texts`, in their order."""
    texts: tuple[_Text, ...]
    headers: Headers
    """As Flask sent them, without those that each answer has of its own."""
    is_gzip: bool
    subject_form: str

    def filled(self, page: PageTexts) -> str:
        """The page with its own texts."""
        return self.pattern.with_texts([escape(text(page)) for text in self.texts])


class PageAnswers(BeforeFlask):
    """WSGI middleware that answers GET of the page of a payment that waits to be paid.

    Everything else goes to Flask: queries, cookies, clients that prefer JSON, payments in another
    state or with special terms, the first page of its kind, and clients beyond their bound. Flask
    gets what was read of the payment, so that it need not be read again.
    """

    route = "/payments/pix/<string:payment_id>"
    is_logged = True

    def __init__(self, application: WSGIApplication, settings: Settings, parts: Parts) -> None:
        """Wrap the WSGI application of an app with these parts."""
        super().__init__(application, settings, parts)
        self.pages: BoundedCache[PreparedPage] = BoundedCache(PAGES_MAX)

    def _subject(self, environ: WSGIEnvironment) -> str | None:
        """The id of the payment."""
        match = _PATH.fullmatch(environ.get("PATH_INFO", ""))
        if match is None or environ["REQUEST_METHOD"] != "GET":
            return None
        accept = environ.get("HTTP_ACCEPT", "")
        is_ours = (
            not environ.get("QUERY_STRING")
            and not environ.get("SCRIPT_NAME")
            and "json" not in accept
            and "application/*" not in accept
            and is_plain(environ, "HTTP_COOKIE", "HTTP_AUTHORIZATION", "HTTP_IF_NONE_MATCH")
            and _HOST.fullmatch(environ.get("HTTP_HOST", "localhost"))
        )
        return match[1] if is_ours else None

    def _answer(self, environ: WSGIEnvironment, subject: str) -> QuickAnswer | None:
        read = _PAGE.read(environ, lambda: _read(self._parts.ledger, subject))
        if read is None:
            return None
        payment, look = read
        now = self._parts.ledger.clock.now()
        left = remaining_ms(payment, now)
        if not 0 < left < COUNTDOWN_MS_MAX or not _is_usual(payment, now):
            return None
        kind = _kind(environ, payment, look, now)
        prepared = None if kind is None else self.pages.get(kind)
        if kind is None or prepared is None:
            environ[_KIND] = kind
            return None
        body = prepared.filled(_page_texts(payment, left, kind, prepared)).encode()
        if prepared.is_gzip:
            body = gzip_of_page(body)
        return QuickAnswer(200, [("Content-Length", str(len(body))), *prepared.headers], (body,))

    def _pass_on(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Let Flask answer, and prepare pages of a new kind by its answer."""
        kind: PageKind | None = environ.get(_KIND)
        if kind is None:
            return self._application(environ, start_response)

        def start(status: str, headers: Headers, *rest: Any) -> Callable[[bytes], object]:
            # Flask calls this while the request's context is open.
            prepared = _prepared(environ, kind, headers) if status == "200 OK" else None
            if prepared is not None:
                self.pages.put(kind, prepared)
            return start_response(status, headers, *rest)

        return self._application(environ, start)


def payment_read(environ: WSGIEnvironment) -> Payment | None:
    """The payment, without its merchant, if it was just read for this request, or None.

    Raises what reading raised, and PaymentNotFound.
    """
    read = _PAGE.earlier(environ)
    return None if read is None else read[0]


def _read(ledger: Ledger, txid: str) -> tuple[Payment, MerchantLook]:
    read = find_with_look(ledger, txid)
    if read is None:
        raise PaymentNotFound
    return read


def _is_usual(payment: Payment, now: datetime) -> bool:
    """Whether the payment waits to be paid by its own code, without special terms."""
    return bool(
        status_at(payment, now) is PaymentStatus.PENDING
        and payment.br_code
        and payment.has_location
        and payment.location_token is None
        and payment.charge_kind == ChargeKind.COB
        and payment.charge_terms is None
        and not payment.payer_sets_amount
        and payment.refusal is None
    )


def _kind(
    environ: WSGIEnvironment, payment: Payment, look: MerchantLook, now: datetime
) -> PageKind | None:
    """The kind of this page; None if the deadline is neither today nor tomorrow."""
    day = DAYS.get(days_between(now, payment.expires_at, SAO_PAULO))
    if day is None:
        return None
    left = remaining_ms(payment, now)
    language = language_of_browser(environ.get("HTTP_ACCEPT_LANGUAGE", ""))
    return PageKind(
        payment.merchant_id,
        payment.provider_account_id,
        look,
        payment.order_id and True,  # None and "" are different facts, as in `page_patterns._fact`
        payment.description and True,
        len(brl(payment.amount_centavos, language)) > LONG_AMOUNT_CHARACTERS,
        left < NEAR_MS,
        left < LAST_MS,
        day,
        language,
        takes_gzip(environ.get("HTTP_ACCEPT_ENCODING", "")),
    )


def _prepared(environ: WSGIEnvironment, kind: PageKind, headers: Headers) -> PreparedPage | None:
    """Pages of this kind, by a page that Flask has just made, or None if it is of another kind.

    It may be of another kind because time has passed, or because the merchant was in a cache.
    Needs the context of the request.
    """
    filled: FilledPage | None = environ.get(FILLED_PAGE)
    payment = payment_read(environ)
    if filled is None or payment is None or look_of(payment.merchant) != kind.look:
        return None
    view: PaymentView = filled.values["payment"]
    present_kind = kind._replace(
        has_order=view.order_id and True,
        has_description=view.description and True,
        is_amount_long=view.is_amount_long,
        is_near=view.is_near,
        is_last=view.is_last,
        deadline_day=view.deadline_day,
    )
    is_changed = present_kind != kind or ("Content-Language", kind.language) not in headers
    if is_changed or any(name == "Set-Cookie" for name, _ in headers):
        return None
    try:
        pattern, texts = _bind_kind(filled, payment)
    except _UnlistedValue:
        return None
    prepared = PreparedPage(
        pattern,
        texts,
        [(name, value) for name, value in headers if name not in _OWN_HEADERS],
        ("Content-Encoding", "gzip") in headers,
        mail_subject_form(payment),
    )
    page = _page_texts(payment, view.remaining_ms, kind, prepared)
    # Nothing that differs from Flask's page is ever sent.
    return prepared if prepared.filled(page) == filled.pattern.filled(filled.values) else None


def _page_texts(payment: Payment, left: int, kind: PageKind, prepared: PreparedPage) -> PageTexts:
    support_url = kind.look.support_url or ""
    return PageTexts(payment, left, kind.language, support_url, prepared.subject_form)


def _bind_kind(filled: FilledPage, payment: Payment) -> tuple[Pattern, tuple[_Text, ...]]:
    """The pattern with all texts of the kind in it, and what writes the others.

    Raises _UnlistedValue if the template reads anything else.
    """
    pattern, values = filled
    of_payment = _OF_THE_KIND | _ADDRESSES | {path[1] for path in _OWN_TEXTS}
    for path in pattern.reads:
        if (path[0] == "payment" and path[1] not in of_payment) or (
            path[0] == "merchant" and path[1] not in _OF_THE_LOOK
        ):
            raise _UnlistedValue
        if path in _OWN_TEXTS and path not in _MAY_BE_ABSENT and not value_at(values, path):
            raise _UnlistedValue  # as 0 ms: this page has no mark for it, and the next one needs it
    if not _VALUES.issuperset(values):
        raise _UnlistedValue
    pieces = [pattern.pieces[0]]
    texts: list[_Text] = []
    for path, piece in zip(pattern.marks, pattern.pieces[1:], strict=True):
        before, text, after = _parts_of(path, str(escape(value_at(values, path))), payment)
        pieces[-1] += before
        if text is not None:
            texts.append(text)
            pieces.append("")
        pieces[-1] += after + piece
    bound = Pattern.of(pieces, [(text,) for text in texts])
    slim = replace(bound, pieces=(), marks=())  # they double its size, and serve only here
    return slim, tuple(path[0] for path in bound.paths)


def _parts_of(path: Path, sample: str, payment: Payment) -> tuple[str, _Text | None, str]:
    """What the kind has before a page's own text in this mark, what writes it, and what follows.

    `sample` is the text of the mark on the page of this payment.
    """
    if path in _OWN_TEXTS:
        return "", _OWN_TEXTS[path], ""
    is_tool = path[0] == "test_strip" and path[-1] == "url"
    if not is_tool and not (path[0] == "payment" and path[1] in _ADDRESSES):
        return sample, None, ""
    for own, text in (
        (quote_plus(payment.br_code), PageTexts.quoted_code),
        (payment.txid, _OWN_TEXTS["payment", "id"]),
    ):
        if sample.count(own) == 1:
            before, after = sample.split(own)
            return before, text, after
    raise _UnlistedValue
