"""What a text turned out to be, and what of it can find a payment."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from core.pix.khqr import md5_of


class Kind(StrEnum):
    """What a scanned, pasted or typed text is. The sentences for people belong to the pages."""

    # May lead to a payment of ours.
    OUR_CODE = "our-code"
    """A dynamic BR Code whose location is ours, whole or damaged with its token intact."""
    OUR_ADDRESS = "our-address"
    """The address of a payment's page, location or QR picture on our host."""
    PAYMENT_ID = "payment-id"
    """32 hex digits: a payment's id, or its watch code."""
    KHQR_ORDER = "khqr-order"
    """`KHQR:order_id=…:transaction_id=…:amount=…`."""
    ORDER = "order"
    """`ORDER_<id>_<transaction>_<amount>`."""
    BAKONG = "bakong"
    """A KHQR of Bakong, in EMV's form."""
    END_TO_END_ID = "end-to-end-id"
    """The number a bank's receipt shows: `E`, ISPB, minute and eleven characters."""

    # Pix, but no payment of ours; the whole text may still be one that was made here.
    OTHER_PIX = "other-pix"
    """A dynamic BR Code whose location is elsewhere."""
    STATIC_PIX = "static-pix"
    """A BR Code with a key: it says whom to pay, and no payment."""
    PIX_RECURRENCE = "pix-recurrence"
    """An offer of Pix Automático, without a payment."""
    DAMAGED_PIX = "damaged-pix"
    """A BR Code of which too little survived to say whose it is."""
    PIX_KEY = "pix-key"
    """A CPF, a CNPJ or a random key, alone."""

    # Something else altogether.
    OTHER_EMV = "other-emv"
    """A payment code of another country or arrangement."""
    OUR_OTHER_PAGE = "our-other-page"
    """An address on our host that names no payment."""
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
    """One text as it was read. What is absent is None; nothing here was looked up anywhere.

    Every clue is what stands in the text, letter by letter, and finds a payment by being equal
    to the payment's own: a clue with one wrong character finds none. `is_whole` says that the
    text is complete and, where it has a checksum, that this holds. `fault` names what is wrong
    with a damaged code (a code of BrCodeError or KhqrError).
    """

    kind: Kind
    text: str
    is_whole: bool = True
    fault: str | None = None
    watch_code: str | None = None
    """The token of our location: 32 lower-case hex digits."""
    payment_id: str | None = None
    """32 lower-case hex digits; where a person typed them, they may be a watch code instead."""
    end_to_end_id: str | None = None
    order_id: str | None = None
    transaction_id: str | None = None
    """As the described forms carry it; here it is a payment's id where it is 32 hex digits."""
    amount_centavos: int | None = None
    bill_number: str | None = None
    """Of a Bakong code: object 62-01."""
    pix_key: str | None = None
    """Of a static BR Code, or the key itself."""
    country: str | None = None
    """ISO 3166 code in another country's payment code, where it says one."""
    host: str | None = None
    """Host of a web address or of another shop's location, to be shown."""

    @property
    def may_be_ours(self) -> bool:
        """Whether a payment may be looked up by the clues; another kind is only named."""
        return self.kind in MAY_BE_OURS

    @property
    def md5(self) -> str:
        """The hex MD5 of the whole text, under which sessions may be kept."""
        return md5_of(self.text)

    def contradicts(self, order_id: str | None, amount_centavos: int) -> bool:
        """Whether the text names another order or amount than the payment that was found.

        Then the text was put together by somebody, and the payment is not the one it shows.
        """
        return (self.order_id is not None and self.order_id != order_id) or (
            self.amount_centavos is not None and self.amount_centavos != amount_centavos
        )
