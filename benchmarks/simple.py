"""The simple design that study projects have, with Flask-SQLAlchemy and Flask-SocketIO.

A creation draws the QR by qrcode's defaults and writes it to disk; a confirmation finds its row
without an index and tells all clients; a job reads all unpaid rows once a minute.

It is started as such projects start theirs, by `socketio.run`. They install neither eventlet nor
gevent, so Werkzeug's server answers, with a thread and a connection for each request.
`benchmarks.simple_green` gives it a better server.

python -m benchmarks.simple PORT DATABASE_URL FOLDER
"""

from __future__ import annotations

import sys
import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import qrcode
from flask import Flask, Response, jsonify, render_template, request, send_file
from flask_socketio import SocketIO
from flask_sqlalchemy import SQLAlchemy

VALID_FOR = timedelta(minutes=30)
EXPIRY_SECONDS = 60

db = SQLAlchemy()


class SimplePayment(db.Model):  # type: ignore[name-defined, misc]  # the library builds it
    """A payment, as these projects store it."""

    id = db.Column(db.Integer, primary_key=True)
    value = db.Column(db.Float)
    paid = db.Column(db.Boolean, default=False)
    has_expired = db.Column(db.Boolean, default=False)
    bank_payment_id = db.Column(db.String(200), nullable=True)
    qr_code = db.Column(db.String(100), nullable=True)
    expiration_date = db.Column(db.DateTime)

    def to_dict(self) -> dict[str, Any]:
        """The payment as JSON has it."""
        return {
            "id": self.id,
            "value": self.value,
            "paid": self.paid,
            "bank_payment_id": self.bank_payment_id,
            "qr_code": self.qr_code,
            "expiration_date": self.expiration_date,
        }


def build(
    database_url: str, folder: Path, mode: str = "threading", pool: dict[str, int] | None = None
) -> tuple[Flask, SocketIO]:
    """The app; its pictures are in the folder. Call `start` before it answers."""
    app = Flask("simple", template_folder=str(Path(__file__).parent / "templates"))
    app.config["SQLALCHEMY_DATABASE_URI"] = database_url
    app.config["SQLALCHEMY_ENGINE_OPTIONS"] = pool or {}
    db.init_app(app)
    socketio = SocketIO(app, async_mode=mode)  # type: ignore[arg-type]
    _add_routes(app, socketio, folder)
    return app, socketio


def start(app: Flask, socketio: SocketIO) -> None:
    """Create the table, and start the job."""
    with app.app_context():
        db.create_all()
    socketio.start_background_task(_expire, app, socketio)


def _add_routes(app: Flask, socketio: SocketIO, folder: Path) -> None:
    @app.post("/payments/pix")
    def create() -> tuple[Response, int]:
        bank_payment_id = str(uuid.uuid4())
        name = f"qr_code_payment_{bank_payment_id}"
        image = qrcode.make(f"hash_payment_{bank_payment_id}")
        image.save(str(folder / f"{name}.png"))  # type: ignore[arg-type]  # by Pillow
        payment = SimplePayment(
            value=request.get_json()["value"],
            bank_payment_id=bank_payment_id,
            qr_code=name,
            expiration_date=datetime.now(UTC).replace(tzinfo=None) + VALID_FOR,
        )
        db.session.add(payment)
        db.session.commit()
        body = {"message": "The payment has been created.", "payment": payment.to_dict()}
        return jsonify(body), 201

    @app.get("/payments/pix/qr_code/<name>")
    def picture(name: str) -> Response:
        return send_file(folder / f"{name}.png", mimetype="image/png")

    @app.post("/payments/pix/confirmation")
    def confirm() -> tuple[Response, int]:
        notice = request.get_json()
        query = db.select(SimplePayment).filter_by(bank_payment_id=notice["bank_payment_id"])
        payment = db.session.scalars(query).first()
        if payment is None or payment.paid or payment.value != notice["value"]:
            return jsonify(message="Payment not found"), 404
        payment.paid = True
        db.session.commit()
        socketio.emit(f"payment-confirmed-{payment.id}")
        return jsonify(message="The payment has been confirmed."), 200

    @app.get("/payments/pix/<int:payment_id>")
    def page(payment_id: int) -> str:
        payment = db.get_or_404(SimplePayment, payment_id)
        template = "simple_confirmed.html" if payment.paid else "simple_payment.html"
        return render_template(
            template,
            payment_id=payment.id,
            value=payment.value,
            host=request.host_url,
            qr_code=payment.qr_code,
        )

    @app.get("/healthz")
    def healthz() -> Response:
        return jsonify(ok=True)

    @socketio.on("connect")
    def connect() -> None:
        """The originals print a line here."""


def _expire(app: Flask, socketio: SocketIO) -> None:
    while True:
        socketio.sleep(EXPIRY_SECONDS)
        with app.app_context():
            now = datetime.now(UTC).replace(tzinfo=None)
            unpaid = db.session.scalars(db.select(SimplePayment).filter_by(paid=False)).all()
            for payment in unpaid:
                if payment.expiration_date < now and not payment.has_expired:
                    payment.has_expired = True
                    socketio.emit(f"payment-expired-{payment.id}")
            db.session.commit()


def main() -> None:
    """Serve until the process is killed."""
    port, database_url, folder = sys.argv[1:4]
    app, socketio = build(database_url, Path(folder))
    start(app, socketio)
    socketio.run(app, port=int(port), allow_unsafe_werkzeug=True)


if __name__ == "__main__":
    main()
