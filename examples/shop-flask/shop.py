"""A cheese shop that is paid with Pix through Balcão.

    flask --app "shop:create_shop()" run --port 4242

BALCAO_URL, BALCAO_API_KEY, BALCAO_WEBHOOK_SECRET and SHOP_DATABASE are read from the environment.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from decimal import Decimal
from pathlib import Path
from typing import Any

from flask import Blueprint, Flask, abort, current_app, jsonify, redirect, request
from flask.typing import ResponseReturnValue

from balcao import Balcao, BalcaoError, Event, WebhookVerificationError, errors, verify_webhook

PRICES_CENTAVOS = {"queijo-minas": 5490, "requeijao": 1850}

SCHEMA = """
CREATE TABLE IF NOT EXISTS orders (
    id INTEGER PRIMARY KEY,
    item TEXT NOT NULL,
    amount_centavos INTEGER NOT NULL,
    payment_id TEXT UNIQUE,
    status TEXT NOT NULL DEFAULT 'new',       -- new, waiting, paid, expired, refunded
    deliveries INTEGER NOT NULL DEFAULT 0,    -- how often the cheese was sent: never more than once
    note TEXT                                 -- what a person should look at
);
CREATE TABLE IF NOT EXISTS seen_events (id TEXT PRIMARY KEY);
"""

bp = Blueprint("shop", __name__)


def create_shop(
    balcao: Balcao | None = None,
    webhook_secret: str | None = None,
    database: Path | str | None = None,
) -> Flask:
    """The shop. What is not given comes from the environment."""
    app = Flask("shop")
    app.config["BALCAO"] = balcao or Balcao()
    app.config["WEBHOOK_SECRET"] = webhook_secret or os.environ["BALCAO_WEBHOOK_SECRET"]
    app.config["DATABASE"] = str(database or os.environ.get("SHOP_DATABASE", "shop.sqlite3"))
    app.register_blueprint(bp)
    with closing(connect(app.config["DATABASE"])) as connection:
        connection.executescript(SCHEMA)
    return app


@bp.post("/orders")
def order() -> ResponseReturnValue:
    """Store the order, create its payment, and send the customer to the payment page."""
    item = request.form.get("item", "")
    if item not in PRICES_CENTAVOS:
        abort(400, "This item is not for sale.")
    with closing(connect()) as connection, connection:
        row = connection.execute(
            "INSERT INTO orders (item, amount_centavos) VALUES (?, ?)",
            (item, PRICES_CENTAVOS[item]),
        )
    return redirect(payment_url_of(int(row.lastrowid or 0)), 303)


@bp.post("/orders/<int:order_id>/pay")
def pay_again(order_id: int) -> ResponseReturnValue:
    """Send the customer to the payment page again, as after a lost answer."""
    # Balcão forgets an idempotency key after 7 days, and would create a second payment.
    if order_row(order_id)["status"] not in ("new", "waiting"):
        abort(409, "This order can no longer be paid.")
    return redirect(payment_url_of(order_id), 303)


@bp.get("/orders/<int:order_id>")
def show_order(order_id: int) -> ResponseReturnValue:
    """The order, for the customer's page."""
    return jsonify(dict(order_row(order_id)))


@bp.post("/orders/<int:order_id>/refund")
def refund_order(order_id: int) -> ResponseReturnValue:
    """Give the money back. Whether that worked, a webhook says."""
    row = order_row(order_id)
    if row["status"] != "paid":
        abort(409, "Only a paid order can be refunded.")
    try:
        # The order's own id: a second click refunds nothing more.
        balcao().payments.refund(row["payment_id"], refund_id=f"order{order_id}")
    except errors.RefundTooLate:
        abort(409, "The order is older than 90 days: the bank refunds no more.")
    except BalcaoError as error:
        abort(502, f"The refund was not requested: {error}")
    return jsonify(status="requested"), 202


@bp.post("/webhooks/balcao")
def receive_webhook() -> ResponseReturnValue:
    """Verify, act once per event, and answer. Balcão repeats what is not answered with 2xx."""
    try:
        event = verify_webhook(
            request.headers, request.get_data(), current_app.config["WEBHOOK_SECRET"]
        )
    except WebhookVerificationError as error:
        abort(400, str(error))
    # The event's id and what follows from it are stored together, or neither.
    with closing(connect()) as connection, connection:
        is_new = connection.execute(
            "INSERT OR IGNORE INTO seen_events (id) VALUES (?)", (event.id,)
        ).rowcount
        if is_new and event.type in REACTIONS:
            REACTIONS[event.type](connection, event)
    return "", 204


def payment_url_of(order_id: int) -> str:
    """The address where the customer pays; the payment is created once per order."""
    row = order_row(order_id)
    try:
        payment = balcao().payments.create(
            Decimal(row["amount_centavos"]) / 100,
            order_id=f"shop-{order_id}",
            description=row["item"],
            expires_in=3 * 24 * 3600,
            # If the shop crashes between the next two lines, the same payment is created again.
            idempotency_key=f"shop-order-{order_id}",
        )
    except BalcaoError as error:
        abort(502, f"The payment could not be created: {error}")
    with closing(connect()) as connection, connection:
        connection.execute(
            "UPDATE orders SET payment_id = ?, status = 'waiting' WHERE id = ? AND status = 'new'",
            (payment.id, order_id),
        )
    return payment.payment_url


# --- what follows from an event ------------------------------------------------------------------
# Each statement names the status that it starts from, so events in another order do no harm.


def deliver(connection: sqlite3.Connection, event: Event) -> None:
    """The money is there: send the cheese, if it is the money for this order."""
    changed = connection.execute(
        "UPDATE orders SET status = 'paid', deliveries = deliveries + 1, note = NULL "
        "WHERE payment_id = ? AND amount_centavos = ? AND status IN ('waiting', 'expired')",
        (event.data["id"], event.data["amount_centavos"]),
    ).rowcount
    if changed == 0:
        current_app.logger.error(
            "Payment %s of %s centavos was paid, and no order waits for it: a person must look.",
            event.data["id"],
            event.data["amount_centavos"],
        )


def close(connection: sqlite3.Connection, event: Event) -> None:
    """Nobody paid in time."""
    connection.execute(
        "UPDATE orders SET status = 'expired' WHERE payment_id = ? AND status = 'waiting'",
        (event.data["id"],),
    )


def note_refusal(connection: sqlite3.Connection, event: Event) -> None:
    """Money came that was not accepted: too little, too late, or twice. The bank returns it."""
    connection.execute(
        "UPDATE orders SET note = ? WHERE payment_id = ?",
        (f"money returned: {event.data['reason']}", event.data["payment_id"]),
    )


def note_refund(connection: sqlite3.Connection, event: Event) -> None:
    """The customer has the money back."""
    connection.execute(
        "UPDATE orders SET status = 'refunded', note = NULL WHERE payment_id = ?",
        (event.data["id"],),
    )


def note_failed_refund(connection: sqlite3.Connection, event: Event) -> None:
    """The customer still waits for the money: somebody must look."""
    connection.execute(
        "UPDATE orders SET note = ? WHERE payment_id = ?",
        (f"refund failed: {event.data['reason']}", event.data["payment_id"]),
    )


REACTIONS: dict[str, Callable[[sqlite3.Connection, Event], None]] = {
    "payment.confirmed": deliver,
    "payment.expired": close,
    "receipt.refused": note_refusal,
    "payment.refunded": note_refund,
    "refund.failed": note_failed_refund,
}


# --- small helpers -------------------------------------------------------------------------------


def balcao() -> Balcao:
    """The client of this shop."""
    client: Balcao = current_app.config["BALCAO"]
    return client


def connect(database: str | None = None) -> sqlite3.Connection:
    """A connection to the shop's database; a writer waits for another one."""
    connection = sqlite3.connect(database or current_app.config["DATABASE"], timeout=10)
    connection.row_factory = sqlite3.Row
    return connection


def order_row(order_id: int) -> Any:
    """The order, or 404."""
    with closing(connect()) as connection:
        row = connection.execute("SELECT * FROM orders WHERE id = ?", (order_id,)).fetchone()
    return row if row is not None else abort(404)
