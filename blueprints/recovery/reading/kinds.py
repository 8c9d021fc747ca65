"""The kinds of texts, and the identifiers read from a text."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from core.pix.khqr import md5_of


class Kind(StrEnum):
    """What a scanned, pasted or typed text is."""

    # May lead to a payment of ours.
    OUR_CODE = "our-code"
    """A dynamic BR Code with our location; it may be damaged if the token is intact."""
    OUR_ADDRESS = "our-address"
    """The URL of a payment's page, location or QR picture on our host."""
    PAYMENT_ID = "payment-id"
    """32 hex digits: a payment's id, or its watch code."""
    KHQR_ORDER = "khqr-order"
    """`KHQR:order_id=…:transaction_id=…:amount=…`."""
    ORDER = "order"
    """`ORDER_<id>_<transaction>_<amount>`."""
    BAKONG = "bakong"
    """A Bakong KHQR, which is an EMV code."""
    END_TO_END_ID = "end-to-end-id"
    """The number on a bank's receipt: `E`, ISPB, minute and eleven characters."""

    # Pix, but no payment of ours, unless this service made the code under a former address.
    OTHER_PIX = "other-pix"
    """A dynamic BR Code whose location is elsewhere."""
    STATIC_PIX = "static-pix"
    """A BR Code with a Pix key; it names a payee and no payment."""
    PIX_RECURRENCE = "pix-recurrence"
    """An offer of Pix Automático, without a payment."""
    DAMAGED_PIX = "damaged-pix"
    """A BR Code too damaged to say who issued it."""
    FAULTY_PIX = "faulty-pix"
    """A whole BR Code with a right checksum, in which its maker wrote a field wrongly."""
    PIX_KEY = "pix-key"
    """A CPF, a CNPJ or a random key, with nothing else."""

    # Neither Pix nor ours.
    OTHER_EMV = "other-emv"
    """A payment code of another country or arrangement."""
    OUR_OTHER_PAGE = "our-other-page"
    """A URL on our host that names no payment."""
    WEB_ADDRESS = "web-address"
    WIFI = "wifi"
    CONTACT = "contact"
    PHONE = "phone"
    EMAIL = "email"
    MESSAGE = "message"
    """A prepared SMS."""
    PLACE = "place"
    EVENT = "event"
    BOLETO = "boleto"
    CRYPTO = "crypto"
    PLAIN_TEXT = "plain-text"
    EMPTY = "empty"


MAY_BE_OURS = frozenset(
    {
        Kind.OUR_CODE,
        Kind.OUR_ADDRESS,
        Kind.PAYMENT_ID,
        Kind.KHQR_ORDER,
        Kind.ORDER,
        Kind.BAKONG,
        Kind.END_TO_END_ID,
    }
)


@dataclass(frozen=True)
class Reading:
    """What was read from one text, before any lookup; absent values are None.

    Identifiers are copied exactly, and a payment is found only by an equal identifier. `is_whole`
    says that the text is complete and that its checksum, if it has one, is right. `fault` names
    what is wrong with a damaged code (a code of BrCodeError or KhqrError).
    """

    kind: Kind
    text: str
    is_whole: bool = True
    fault: str | None = None
    watch_code: str | None = None
    """The token of our location: 32 lower-case hex digits."""
    payment_id: str | None = None
    """32 lower-case hex digits; if a person typed them, they may be a watch code instead."""
    end_to_end_id: str | None = None
    order_id: str | None = None
    transaction_id: str | None = None
    """From the described forms; 32 hex digits are a payment's id."""
    amount_centavos: int | None = None
    bill_number: str | None = None
    """From a Bakong code: object 62-01."""
    pix_key: str | None = None
    """From a static BR Code, or the whole text."""
    country: str | None = None
    """The ISO 3166 code in another country's payment code."""
    host: str | None = None
    """The host of a URL or of another shop's location, for display."""

    @property
    def may_be_ours(self) -> bool:
        """Whether the text may name a payment of ours."""
        return self.kind in MAY_BE_OURS

    @property
    def md5(self) -> str:
        """The hex MD5 of the whole text, a session's `md5_hash`."""
        return md5_of(self.text)

    def contradicts(self, order_id: str | None, amount_centavos: int) -> bool:
        """Whether the text names another order or amount than the payment has.

        Such a text was composed by hand, and must not lead to the payment.
        """
        return (self.order_id is not None and self.order_id != order_id) or (
            self.amount_centavos is not None and self.amount_centavos != amount_centavos
        )
