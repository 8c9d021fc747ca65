"""The portal's blueprint, and what all of its views share."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, render_template
from flask.typing import ResponseReturnValue

from accounts.access import signed_in_merchant
from config import current_settings
from db_models import Account
from repository.database import Work, reading
from repository.portal import PortalQueries
from repository.signals import UNSEEN_MAX
from web import zones

bp = Blueprint("portal", __name__)

SCRIPT = "vendor/socket.io-4.8.4/socket.io.esm.min.js"


def merchant_and_queries(work: Work) -> tuple[Account, PortalQueries]:
    """Who is signed in, and the queries of the portal."""
    return signed_in_merchant(work), PortalQueries(work.session)


def page(
    template: str, merchant: Account, section: str, status: int = 200, **values: Any
) -> ResponseReturnValue:
    """A page of the portal; `section` is the entry of the navigation it belongs to.

    `unseen` is how many signals nobody has looked at, where that was read with the rest.
    """
    unseen = values.pop("unseen", None)
    if unseen is None:
        with reading() as work:
            unseen = work.signals.unseen(merchant.id)
    return (
        render_template(
            f"portal/{template}",
            merchant=merchant,
            section=section,
            zone=zones.viewer_zone().key,
            socket_client=SCRIPT,
            is_development=current_settings().is_development,
            badges={"signals": f"{UNSEEN_MAX - 1}+" if unseen >= UNSEEN_MAX else unseen},
            **values,
        ),
        status,
    )
