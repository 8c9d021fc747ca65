"""The bare app that the service is compared with: one statement, one template, one emit.

python -m benchmarks.bare PORT DATABASE_URL FOLDER
"""

from __future__ import annotations

import secrets
import sys
from datetime import UTC, datetime
from pathlib import Path

import qrcode
import sqlalchemy as sa
from flask import Flask, Response, jsonify, render_template, request
from flask_socketio import SocketIO, join_room

from benchmarks import plain_server

CODE = "00020101021226760014br.gov.bcb.pix2554" + "0" * 120


def build(database_url: str, folder: Path) -> Flask:
    """A Flask app with one endpoint for each comparison."""
    app = Flask("bare", template_folder=str(Path(__file__).parent / "templates"))
    socketio = SocketIO(app, async_mode=plain_server.MODE)  # type: ignore[arg-type]
    engine = sa.create_engine(database_url, **plain_server.pool_options(database_url))
    plain_server.let_others_run(engine)
    table = _table(engine)
    picture = folder / "picture.png"
    qrcode.make(CODE).save(str(picture))  # type: ignore[arg-type]  # by Pillow, a path
    png = picture.read_bytes()

    @app.post("/insert")
    def insert() -> tuple[Response, int]:
        txid = secrets.token_hex(16)
        row = {
            "txid": txid,
            "amount_centavos": round(request.get_json()["value"] * 100),
            "status": "pending",
            "code": CODE,
            "created_at": datetime.now(UTC).replace(tzinfo=None),
        }
        with engine.begin() as connection:
            connection.execute(table.insert().values(row))
        return jsonify(id=txid, status="pending", code=CODE), 201

    @app.post("/confirm")
    def confirm() -> Response:
        txid = request.get_json()["id"]
        changes = table.update().where(table.c.txid == txid).values(status="confirmed")
        with engine.begin() as connection:
            connection.execute(changes)
        message = {"payment_id": txid, "status": "confirmed", "sequence": 2}
        socketio.emit("payment-confirmed", message, to=txid)
        return jsonify(id=txid, status="confirmed")

    @app.get("/page/<txid>")
    def page(txid: str) -> str:
        return render_template("bare.html", txid=txid, code=CODE, payee="Feira da Vila")

    @app.get("/status/<txid>")
    def status(txid: str) -> Response:
        return jsonify(id=txid, status="pending", sequence=1)

    @app.get("/picture.png")
    def static_picture() -> Response:
        return Response(png, mimetype="image/png")

    @app.get("/healthz")
    def healthz() -> Response:
        return jsonify(ok=True)

    @socketio.on("watch")
    def watch(data: dict[str, str]) -> dict[str, bool]:
        join_room(data["payment_id"])
        return {"ok": True}

    return app


def _table(engine: sa.Engine) -> sa.Table:
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
    return table


def main() -> None:
    """Serve until the process is killed."""
    port, database_url, folder = sys.argv[1:4]
    plain_server.serve(build(database_url, Path(folder)), int(port))


if __name__ == "__main__":
    main()
