"""A merchant as shoppers see it, on the pages where they pay or find a payment."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import quote

from flask import request

from core.documents import mask_document, plain_document
from db_models import Account
from web.page_patterns import PageView

CPF_DIGITS = 11


@dataclass(frozen=True)
class MerchantView(PageView):
    """The public details of a merchant."""

    name: str
    logo_url: str | None
    shop_url: str | None
    support_url: str | None
    support_contact: str | None
    document: str | None
    """The masked CPF or CNPJ, if that is the merchant's Pix key."""
    is_person: bool
    """Whether that is a CPF."""
    institution: str | None
    """The bank of the merchant's Pix key, in the merchant's words."""
    style_url: str | None
    """The style sheet with the merchant's colour, if it has chosen one."""

    @property
    def initials(self) -> str:
        """One or two letters, for a shop without a logo."""
        words = self.name.split()
        if not words:
            return "?"
        last = words[-1][0].upper() if len(words) > 1 else ""
        return words[0][0].upper() + last


def merchant_view(merchant: Account, *, subject: str | None = None) -> MerchantView:
    """The view of a merchant, with the style sheet's URL relative to the request's host.

    `subject` is that of an e-mail to the shop, if shoppers reach the shop by e-mail.
    """
    color = merchant.brand_color
    document = plain_document(merchant.pix_key) if merchant.pix_key else None
    return MerchantView(
        name=merchant.name,
        logo_url=merchant.logo_url,
        shop_url=merchant.shop_url,
        support_url=with_subject(merchant.support_url, subject),
        support_contact=merchant.support_contact,
        document=mask_document(document) if document else None,
        is_person=document is not None and len(document) == CPF_DIGITS,
        institution=merchant.institution,
        style_url=f"{request.script_root}/brand/{color[1:]}.css" if color else None,
    )


def with_subject(url: str | None, subject: str | None) -> str | None:
    """An address for e-mail with a subject (RFC 6068), unless it has its own; others unchanged."""
    if url is None or subject is None or not url.startswith("mailto:"):
        return url
    if "subject=" in url.lower():
        return url
    return f"{url}{'&' if '?' in url else '?'}subject={quote(subject, safe='')}"
