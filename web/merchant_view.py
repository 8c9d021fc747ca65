"""A merchant as shoppers see it, on the pages where they pay or find a payment."""

from __future__ import annotations

from dataclasses import dataclass

from flask import request

from db_models import Account


@dataclass(frozen=True)
class MerchantView:
    """The public details of a merchant."""

    name: str
    logo_url: str | None
    shop_url: str | None
    support_url: str | None
    support_contact: str | None
    style_url: str | None
    """The style sheet with the merchant's colour, if it has chosen one."""


def merchant_view(merchant: Account) -> MerchantView:
    """The view of a merchant, with the style sheet's URL relative to the request's host."""
    color = merchant.brand_color
    return MerchantView(
        name=merchant.name,
        logo_url=merchant.logo_url,
        shop_url=merchant.shop_url,
        support_url=merchant.support_url,
        support_contact=merchant.support_contact,
        style_url=f"{request.script_root}/brand/{color[1:]}.css" if color else None,
    )
