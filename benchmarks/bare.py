"""The bare app that the service is compared with: the same server, with minimal endpoints.

python -m benchmarks.bare PORT DATABASE_URL PAGE_BYTES PICTURE_FILE
"""

# ruff: noqa: E402 - the patch must come before the imports it patches
from __future__ import annotations

import sys

from server import async_mode

async_mode.patch(async_mode.configured_mode())

import secrets
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from flask import Flask, Response, jsonify, render_template, request
from flask_socketio import SocketIO, join_room

from blueprints.checkout import views
from config import Settings
from db_models import Account, Payment, PaymentStatus
from payments.standing import Action, PaymentState, State
from repository.connections import engine_options
from server import serving
from web.merchant_view import merchant_view
from web.pages import init_pages


def page_values(app: Flask) -> dict[str, Any]:
    """The values of the payment page, built once so that a request only renders them."""
    now = datetime.now(UTC)
    merchant = Account(name="Feira da Vila", city="São Paulo", pix_key="", shop_url="/")
    payment = Payment(
        txid=secrets.token_hex(16),
        amount_centavos=5490,
        br_code="0" * 160,
        status="pending",
        sequence=1,
        created_at=now,
        expires_at=now + timedelta(minutes=30),
        merchant=merchant,
    )
    settings = Settings.from_env({"INSTANCE_DIR": tempfile.mkdtemp()})
    app.config["BALCAO"] = settings
    waiting = PaymentState(payment, now, PaymentStatus.PENDING, State.WAITING, Action.PAY)
    with app.test_request_context():
        return {
            "payment": views.payment_view(waiting),
            "merchant": merchant_view(merchant),
            "check_note": "",
            "test_strip": views.test_strip(settings, payment, now, is_live=False),
            "now": now,
            "refresh_seconds": views.REFRESH_SECONDS,
        }


def serving_root() -> Path:
    """The folder that contains the templates."""
    return Path(serving.__file__).resolve().parents[1]


def build(database_url: str, page_bytes: int, picture: bytes) -> Flask:
    """A Flask app with one endpoint for each comparison."""
    app = Flask("bare", template_folder=str(serving_root() / "templates"))
    init_pages(app)
    values = page_values(app)
    mode = async_mode.configured_mode()
    socketio = SocketIO(app, async_mode=mode)  # type: ignore[arg-type]  # checked by settings
    engine = sa.create_engine(database_url, **engine_options(database_url, green=True))
    metadata = sa.MetaData()
    table = sa.Table(
        "bare_rows",
        metadata,
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), primary_key=True),
        sa.Column("txid", sa.String(35), unique=True),
        sa.Column("amount_centavos", sa.BigInteger()),
        sa.Column("status", sa.String(16)),
        sa.Column("code", sa.Text()),
        sa.Column("created_at", sa.DateTime()),
        mysql_engine="InnoDB",
    )
    metadata.create_all(engine)

    def insert() -> str:
        txid = secrets.token_hex(16)
        with engine.begin() as connection:
            connection.execute(
                table.insert().values(
                    txid=txid,
                    amount_centavos=1000,
                    status="pending",
                    code="0" * 160,
                    created_at=datetime.now(UTC).replace(tzinfo=None),
                )
            )
        return txid

    @app.post("/insert")
    def insert_one() -> tuple[Response, int]:
        request.get_json()
        return jsonify(txid=insert()), 201

    @app.get("/page")
    def page() -> str:
        # The same template, so the same size and the same work, with constant values.
        return render_template("checkout/payment.html", **values)

    @app.get("/plain-page")
    def plain_page() -> Response:
        return Response("x" * page_bytes, mimetype="text/html")

    @app.get("/picture")
    def static_picture() -> Response:
        return Response(picture, mimetype="image/png")

    @app.post("/emit")
    def emit() -> Response:
        room = request.get_json()["room"]
        insert()
        message = {"payment_id": room, "status": "confirmed", "sequence": 2}
        socketio.emit("payment-confirmed", message, to=room)
        return jsonify(ok=True)

    @app.get("/healthz")
    def healthz() -> Response:
        return jsonify(ok=True)

    @socketio.on("watch")
    def watch(data: dict[str, str]) -> dict[str, bool]:
        join_room(data["payment_id"])
        return {"ok": True}

    return app


def main() -> None:
    """Serve until a signal stops the process."""
    port, database_url, page_bytes, picture = sys.argv[1:5]
    settings = Settings.from_env(
        {
            "PORT": port,
            "ASYNC_MODE": async_mode.configured_mode(),
            "DATABASE_URL": database_url,
            "INSTANCE_DIR": str(Path(picture).parent),
        }
    )
    app = build(settings.database_url, int(page_bytes), Path(picture).read_bytes())
    serving.serve(app, settings, serving.bind(settings), lambda: None, lambda: None)


if __name__ == "__main__":
    main()
