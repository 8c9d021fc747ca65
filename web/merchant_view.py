"""A merchant as its shoppers see it, on every page where they pay it or find a payment."""

from __future__ import annotations

from dataclasses import dataclass

from flask import request

from db_models import Account


@dataclass(frozen=True)
class MerchantView:
    """What pages show of a merchant."""

    name: str
    logo_url: str | None
    shop_url: str | None
    support_url: str | None
    support_contact: str | None
    style_url: str | None
    """Its colour as a style sheet, where it chose one."""


def merchant_view(merchant: Account) -> MerchantView:
    """The view of a merchant; the style sheet's address is relative to the host that was asked."""
    color = merchant.brand_color
    return MerchantView(
        name=merchant.name,
        logo_url=merchant.logo_url,
        shop_url=merchant.shop_url,
        support_url=merchant.support_url,
        support_contact=merchant.support_contact,
        style_url=f"{request.script_root}/brand/{color[1:]}.css" if color else None,
    )
