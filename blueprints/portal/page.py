"""The portal's blueprint, and the functions that its views share."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, g, render_template
from flask.typing import ResponseReturnValue

from accounts.access import signed_in_merchant
from config import current_settings
from db_models import Account
from repository.database import Work, reading
from repository.portal import PortalQueries
from repository.signals import UNSEEN_MAX
from web import zones

bp = Blueprint("portal", __name__)

SOCKET_CLIENT = "vendor/socket.io-4.8.4/socket.io.esm.min.js"


def merchant_and_queries(work: Work) -> tuple[Account, PortalQueries]:
    """The signed-in merchant, and the portal's queries."""
    return signed_in_merchant(work), PortalQueries(work.session)


def key_missing_page(merchant: Account, section: str, status: int = 200) -> ResponseReturnValue:
    """In place of a page that needs the merchant's Pix key: how to enter it."""
    return page("key_missing.html", merchant, section, status)


def page(
    template: str, merchant: Account, section: str, status: int = 200, **values: Any
) -> ResponseReturnValue:
    """Render a page of the portal; `section` is the page's entry in the navigation.

    `unseen` is the number of unseen signals, for views that have read the number already.
    """
    unseen = values.pop("unseen", None)
    if unseen is None:
        with reading() as work:
            unseen = work.signals.unseen(g.account_id)
    return (
        render_template(
            f"portal/{template}",
            merchant=merchant,
            section=section,
            zone=zones.viewer_zone().key,
            socket_client=SOCKET_CLIENT,
            is_development=current_settings().is_development,
            has_modes=current_settings().is_live,
            is_test_mode=g.caller.is_test_mode,
            badges={"signals": f"{UNSEEN_MAX - 1}+" if unseen >= UNSEEN_MAX else unseen},
            **values,
        ),
        status,
    )
