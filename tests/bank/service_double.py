"""A double of the service: a real HTTP server that signs charges and receives notices.

Bank and service share nothing but HTTP. The double can also be slow, wrong or down at a given
moment, which a real service cannot do on request.
"""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from types import TracebackType
from typing import Any, Self
from wsgiref.types import StartResponse, WSGIEnvironment

from werkzeug.serving import make_server
from werkzeug.wrappers import Request, Response

from core.clock import rfc3339
from core.ids import new_txid
from core.pix import br_code
from core.pix.business_days import brasilia_day
from core.pix.recurrence_rules import new_id_rec
from core.signing import jws
from core.signing.signatures import verify

NOTICE_PATHS = (
    "/payments/pix/confirmation",
    "/payments/pix/recurrences/answer",
    "/payments/pix/collections/failed",
)
PAYEE_KEY = "123e4567-e12b-12d3-a456-426655440000"


@dataclass(frozen=True)
class Notice:
    """A notice as received: the body and the three headers."""

    message_id: str
    signature: str
    timestamp: str
    body: bytes

    @property
    def members(self) -> dict[str, Any]:
        """The body as JSON."""
        members: dict[str, Any] = json.loads(self.body)
        return members


@dataclass
class ServiceDouble:
    """Serves charges at `/qr/v2/<token>`, keys at `/qr/v2/jwks`, and the routes for notices.

    Each notice takes the next of `answers`, and the last one is repeated. An answer is a status, or
    a pair of status and problem code. `hold_seconds` delays each notice.
    """

    secret: str
    answers: list[int | tuple[int, str]] = field(default_factory=lambda: [200])
    hold_seconds: float = 0.0
    charges: dict[str, Callable[[], Response]] = field(default_factory=dict)
    notices: list[Notice] = field(default_factory=list)
    request_counts: Counter[str] = field(default_factory=Counter)
    queries: list[str] = field(default_factory=list)
    """The query of each request, in order."""

    def __enter__(self) -> Self:
        """Listen on a free port of 127.0.0.1."""
        self.key = jws.generate_key("127.0.0.1", datetime.now(UTC))
        self.published_keys = [self.key]
        self._lock = threading.Lock()
        self._server = make_server("127.0.0.1", 0, self._application, threaded=True)
        self.host = f"127.0.0.1:{self._server.server_port}"
        self.url = f"http://{self.host}"
        # Polls for the shutdown every 20 ms; the default is half a second.
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        """Stop listening."""
        self._server.shutdown()
        self._server.server_close()

    def charge(self, now: datetime, **changes: Any) -> tuple[str, str]:
        """A new charge of R$ 54,90: BR Code and txid; `changes` replace members of the payload."""
        payload = charge_payload(now, **changes)
        token = new_txid()
        self.charges[token] = lambda: self.signed_payload(payload)
        return self.code_for(token), str(payload["txid"])

    def due_charge(self, now: datetime, **changes: Any) -> tuple[str, str]:
        """A new charge with a due date: BR Code and txid; `changes` as in `due_payload`."""
        payload = due_payload(now, **changes)
        token = new_txid()
        self.charges[token] = lambda: self.signed_payload(payload)
        return self.code_for(f"cobv/{token}"), str(payload.get("txid"))

    def recurrence(self, now: datetime, **changes: Any) -> tuple[str, str]:
        """A new recurrence: BR Code and id; `changes` as in `recurrence_payload`."""
        payload = recurrence_payload(now, **changes)
        return self.serve_recurrence(lambda: self.signed_payload(payload)), str(payload["idRec"])

    def serve_recurrence(self, answer: Callable[[], Response], charge: str | None = None) -> str:
        """The BR Code of a recurrence whose location answers with the result of this function.

        `charge` is the BR Code of a charge that the code holds as well.
        """
        token = new_txid()
        self.charges[token] = answer
        location = f"{self.host}/qr/v2/rec/{token}"
        charge_location = None if charge is None else br_code.decode(charge).url
        return br_code.encode_recurring(location, "Academia", "Recife", location=charge_location)

    def composite(
        self, now: datetime, *, is_due: bool = False, **changes: Any
    ) -> tuple[str, str, str]:
        """A charge beside a new recurrence: BR Code, txid and id; `changes` of the recurrence."""
        charge, txid = self.due_charge(now) if is_due else self.charge(now)
        payload = recurrence_payload(now, **changes)
        code = self.serve_recurrence(lambda: self.signed_payload(payload), charge)
        return code, txid, str(payload["idRec"])

    def code_for(self, token: str, host: str | None = None) -> str:
        """The BR Code of a location at this server or at another host."""
        return br_code.encode_dynamic(
            f"{host or self.host}/qr/v2/{token}", "Loja da Alice", "Recife"
        )

    def signed_payload(self, payload: dict[str, Any], **changes: Any) -> Response:
        """The response of a location: the payload, signed."""
        jku = changes.get("jku", f"{self.url}/qr/v2/jwks")
        token = jws.sign(changes.get("key", self.key), payload, jku)
        return Response(token, mimetype=changes.get("mimetype", "application/jose"))

    def serve(self, answer: Callable[[], Response]) -> str:
        """The BR Code of a location that answers with the result of this function."""
        token = new_txid()
        self.charges[token] = answer
        return self.code_for(token)

    def _application(self, environ: WSGIEnvironment, start: StartResponse) -> Iterable[bytes]:
        request = Request(environ)
        with self._lock:
            self.request_counts[request.path] += 1
            self.queries.append(request.query_string.decode())
        return self._answer(request)(environ, start)

    def _answer(self, request: Request) -> Response:
        if request.path == "/qr/v2/jwks":
            keys = {"keys": [jws.public_jwk(key) for key in self.published_keys]}
            return Response(json.dumps(keys), mimetype="application/jwk-set+json")
        if request.path in NOTICE_PATHS and request.method == "POST":
            return self._take_notice(request)
        serve = self.charges.get(request.path.rpartition("/")[2])
        return serve() if serve else Response("{}", 404, mimetype="application/problem+json")

    def _take_notice(self, request: Request) -> Response:
        body = request.get_data()
        headers = {name.lower(): value for name, value in request.headers.items()}
        verify([self.secret], headers, body, datetime.now(UTC))
        time.sleep(self.hold_seconds)
        with self._lock:
            self.notices.append(
                Notice(
                    request.headers["webhook-id"],
                    request.headers["webhook-signature"],
                    request.headers["webhook-timestamp"],
                    body,
                )
            )
            answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        status, code = answer if isinstance(answer, tuple) else (answer, "ok")
        problem = {"code": code, "detail": f"This is {code}."}
        return Response(json.dumps(problem), status, mimetype="application/problem+json")


def charge_payload(now: datetime, **changes: Any) -> dict[str, Any]:
    """The payload of a charge of R$ 54,90; `changes` replace members, and None removes one.

    `created_at`, `seconds` and `amount` replace nested members.
    """
    created_at = changes.pop("created_at", now - timedelta(seconds=5))
    payload = {
        "revisao": 0,
        "calendario": {
            "criacao": rfc3339(created_at),
            "apresentacao": rfc3339(now),
            "expiracao": changes.pop("seconds", 1800),
        },
        "txid": new_txid(),
        "status": "ATIVA",
        "valor": {"original": changes.pop("amount", "54.90")},
        "chave": PAYEE_KEY,
        "recebedor": {"nome": "Loja da Alice", "cidade": "Recife"},
        **changes,
    }
    return {name: value for name, value in payload.items() if value is not None}


def due_payload(now: datetime, **changes: Any) -> dict[str, Any]:
    """The payload of a charge that was due ten days ago: 100.00, and 105.00 with fine and interest.

    `changes` replace members, and None removes one; `calendar` and `value` change nested members.
    """
    due_date = brasilia_day(now) - timedelta(days=10)
    value = {"original": "100.00", "multa": "3.00", "juros": "2.00", "final": "105.00"}
    payload = {
        "revisao": 0,
        "calendario": {
            "criacao": rfc3339(now - timedelta(days=20)),
            "apresentacao": rfc3339(now),
            "dataDeVencimento": str(due_date),
            "validadeAposVencimento": 30,
            **changes.pop("calendar", {}),
        },
        "txid": new_txid(),
        "status": "ATIVA",
        "valor": {**value, **changes.pop("value", {})},
        "chave": PAYEE_KEY,
        "devedor": {"cpf": "12345678909", "nome": "Bia"},
        "recebedor": {"nome": "Loja da Alice", "cidade": "Recife"},
        **changes,
    }
    return {name: member for name, member in payload.items() if member is not None}


def recurrence_payload(now: datetime, **changes: Any) -> dict[str, Any]:
    """The payload of a recurrence of R$ 35,00 a month; `changes` replace members, None removes."""
    today = brasilia_day(now)
    payload = {
        "idRec": new_id_rec("99999004", today, allows_retries=False),
        "vinculo": {
            "contrato": "63100862",
            "devedor": {"cpf": "12345678909", "nome": "Ana Souza"},
            "objeto": "Plano mensal",
        },
        "calendario": {
            "dataInicial": str(today + timedelta(days=10)),
            "dataFinal": str(today + timedelta(days=375)),
            "periodicidade": "MENSAL",
        },
        "valor": {"valorRec": "35.00"},
        "recebedor": {
            "cnpj": "12345678000195",
            "nome": "Academia Olinda",
            "ispbParticipante": "99999004",
        },
        "politicaRetentativa": "NAO_PERMITE",
        "atualizacao": [{"status": "CRIADA", "data": rfc3339(now)}],
        **changes,
    }
    return {name: member for name, member in payload.items() if member is not None}
