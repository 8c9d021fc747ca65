"""What a stand-in bank holds: charges, Pix, returns and callbacks, written in its dialect."""

from __future__ import annotations

import base64
import copy
import re
import threading
import uuid
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

from core.pix.br_code import encode_dynamic
from tests.providers.stand_in_dialects import Dialect

Answer = tuple[int, dict[str, Any] | None]
Members = dict[str, Any]

LOCATION_HOST = "pix.stand-in.example"
_PROBLEM = "https://pix.bcb.gov.br/api/v2/error/"
_BRASILIA = timezone(timedelta(hours=-3))


class Book:
    """The state of the bank; every method is safe to call from any thread."""

    def __init__(self, dialect: Dialect, now: Callable[[], datetime]) -> None:
        self.dialect = dialect
        self.now = now
        self.charges: dict[str, Members] = {}
        self.money: list[Members] = []
        self.callbacks: dict[str, str] = {}
        self.page_size = 100
        self.lag = timedelta(0)
        """How long a new charge cannot be read."""
        self.returns_settle = True
        """Whether a return is done at once, instead of being processed."""
        self.keeps_codes_back = False
        """Whether answers have no code, where the dialect has it as a member."""
        self.hides_money = False
        """Whether a charge does not name its Pix."""
        self.puts: list[str] = []
        """The txid of each charge that was created, in order: twice would be a double charge."""
        self.lock = threading.RLock()

    # What payers and the bank's other systems do.

    def pay(self, txid: str, centavos: int | None = None, at: datetime | None = None) -> str:
        """A payer pays a charge, whatever its state is; returns the end-to-end id."""
        with self.lock:
            charge = self.charges[txid]
            value = charge["valor"]["original"] if centavos is None else _reais(centavos)
            end_to_end_id = self._arrive(value, charge["chave"], at, txid)
            if charge["status"] == "ATIVA":
                charge["status"] = "CONCLUIDA"
            return end_to_end_id

    def receive(self, pix_key: str, centavos: int, at: datetime | None = None) -> str:
        """A manual transfer to a key, without txid."""
        with self.lock:
            return self._arrive(_reais(centavos), pix_key, at, None)

    def _arrive(self, value: str, key: str, at: datetime | None, txid: str | None) -> str:
        moment = at or self.now()
        end_to_end_id = f"E99999999{moment.astimezone(UTC):%Y%m%d%H%M}{uuid.uuid4().hex[:9]}Ab"
        members: Members = {
            "endToEndId": end_to_end_id,
            "valor": value,
            "chave": key,
            "horario": moment,
            "pagador": {"nome": "Maria da Silva", "cpf": "12345678909"},
            "infoPagador": "obrigada",
            "devolucoes": [],
        }
        if txid is not None:
            members["txid"] = txid
        self.money.append(members)
        return end_to_end_id

    def give_back(self, end_to_end_id: str, centavos: int, nature: str = "MED_FRAUDE") -> str:
        """The bank returns money by itself; returns the id of the return."""
        with self.lock:
            return_id = uuid.uuid4().hex[:20]
            self._return(self._pix(end_to_end_id), return_id, _reais(centavos), nature)
            return return_id

    def settle_return(self, end_to_end_id: str, return_id: str, *, reason: str = "") -> None:
        """A return is done, or fails for a reason."""
        with self.lock:
            entry = self._find_return(self._pix(end_to_end_id), return_id)
            assert entry is not None
            entry["status"] = "NAO_REALIZADO" if reason else "DEVOLVIDO"
            entry["horario"]["liquidacao"] = self.now()
            if reason:
                entry["motivo"] = reason

    # The API.

    def put_charge(self, txid: str, body: Members) -> Answer:
        """`PUT /cob/{txid}`."""
        with self.lock:
            charge = self.charges.get(txid)
            if charge is not None and self.dialect.is_conflict:
                return self.error(409, "txid_duplicado", "TxidDuplicado")
            if charge is not None and charge["status"] != "ATIVA":
                return self.error(400, "cobranca_nao_ativa", "CobOperacaoInvalida")
            wrong = _fault_of(body)
            if wrong:
                return self.error(400, "valor_invalido", "CobOperacaoInvalida", wrong)
            if charge is None:
                charge = self._new_charge(txid)
            elif any(charge.get(name) != member for name, member in body.items()):
                charge["revisao"] += 1
            calendar = {**charge["calendario"], **body.get("calendario", {})}
            charge |= {**copy.deepcopy(body), "calendario": calendar}
            self.charges[txid] = charge
            return self.dialect.put_status, self._charge_view(charge, is_put=True)

    def _new_charge(self, txid: str) -> Members:
        self.puts.append(txid)
        location = f"{LOCATION_HOST}/qr/v2/{uuid.uuid4().hex}"
        return {
            "txid": txid,
            "revisao": 0,
            "status": "ATIVA",
            "calendario": {"criacao": self.now(), "expiracao": 86400},
            "loc": {"id": len(self.puts), "location": location, "tipoCob": "cob"},
            "location": location,
        }

    def get_charge(self, txid: str) -> Answer:
        """`GET /cob/{txid}`."""
        with self.lock:
            charge = self._visible(txid)
            if charge is None:
                return self.missing("cobranca_nao_encontrada", "CobNaoEncontrado")
            return 200, self._charge_view(charge)

    def _visible(self, txid: str) -> Members | None:
        charge = self.charges.get(txid)
        is_deferred = charge and self.now() < charge["calendario"]["criacao"] + self.lag
        return None if is_deferred else charge

    def patch_charge(self, txid: str, body: Members) -> Answer:
        """`PATCH /cob/{txid}`."""
        with self.lock:
            charge = self.charges.get(txid)
            if charge is None:
                return self.missing("cobranca_nao_encontrada", "CobNaoEncontrado")
            if charge["status"] != "ATIVA":
                return self.error(400, "cobranca_nao_ativa", "CobOperacaoInvalida")
            charge |= body
            charge["revisao"] += 1
            return 200, self._charge_view(charge)

    def code_of(self, txid: str) -> Answer:
        """The second call for a code, in the dialect's member."""
        with self.lock:
            charge = self._visible(txid)
            if charge is None:
                return self.missing("cobranca_nao_encontrada", "CobNaoEncontrado")
            code = _code_of(charge)
            if self.dialect.has_code_in_base64:
                code = base64.b64encode(code.encode()).decode()
            return 200, {self.dialect.code_call_member: code, "imagemQrcode": "data:image/png,"}

    def txid_of_location(self, number: int) -> str | None:
        """The charge of a location, by the id of `loc`."""
        with self.lock:
            txids = (txid for txid, one in self.charges.items() if one["loc"]["id"] == number)
            return next(txids, None)

    def list_charges(self, query: Mapping[str, str]) -> Answer:
        """`GET /cob`."""
        with self.lock:
            rows = [(one["calendario"]["criacao"], one) for one in self.charges.values()]
            return self._page("cobs", rows, query, self._charge_view)

    def list_money(self, query: Mapping[str, str]) -> Answer:
        """`GET /pix`."""
        with self.lock:
            txid = query.get(self.dialect.txid_filter)
            wants_returns = query.get("devolucaoPresente") == "true"
            rows = [
                (pix["horario"], pix)
                for pix in self.money
                if txid in (None, pix.get("txid")) and (pix["devolucoes"] or not wants_returns)
            ]
            return self._page("pix", rows, query, self._pix_view)

    def _page(
        self,
        name: str,
        rows: list[tuple[datetime, Members]],
        query: Mapping[str, str],
        view: Callable[[Members], Members],
    ) -> Answer:
        try:
            start, end = (_instant(query[bound]) for bound in ("inicio", "fim"))
        except (KeyError, ValueError):
            return self.error(400, "valor_invalido", "PixConsultaInvalida", "inicio, fim")
        has_milliseconds = "." in query["inicio"] + query["fim"]
        if has_milliseconds and self.dialect.refuses_milliseconds:
            return self.error(400, "valor_invalido", "PixConsultaInvalida", "milissegundos")
        if end - start > timedelta(days=self.dialect.window_days):
            return self.error(400, "valor_invalido", "PixConsultaInvalida", "janela")
        number = int(query.get("paginacao.paginaAtual", "0"))
        size = min(int(query.get("paginacao.itensPorPagina", "100")), self.page_size)
        within = [row for at, row in sorted(rows, key=lambda row: row[0]) if start <= at <= end]
        paging = {
            "paginaAtual": number,
            "itensPorPagina": size,
            "quantidadeDePaginas": max(1, -(-len(within) // size)),
            "quantidadeTotalDeItens": len(within),
        }
        members = [view(row) for row in within[number * size : (number + 1) * size]]
        window = {"inicio": self.written(start), "fim": self.written(end)}
        return 200, {"parametros": {**window, "paginacao": paging}, name: members}

    def get_money(self, end_to_end_id: str) -> Answer:
        """`GET /pix/{e2eid}`."""
        with self.lock:
            pix = self._pix(end_to_end_id)
            if not pix:
                return self.missing("pix_nao_encontrado", "PixNaoEncontrado")
            return 200, self._pix_view(pix)

    def put_return(self, end_to_end_id: str, return_id: str, body: Members) -> Answer:
        """`PUT /pix/{e2eid}/devolucao/{id}`."""
        with self.lock:
            pix = self._pix(end_to_end_id)
            if not pix:
                return self.missing("pix_nao_encontrado", "PixNaoEncontrado")
            entry = self._find_return(pix, return_id)
            if entry is not None and self.dialect.is_refund_conflict:
                return self.error(409, "devolucao_id_duplicado", "PixDevolucaoInvalida")
            if entry is not None and entry["valor"] != body["valor"]:
                return self.error(400, "valor_invalido", "PixDevolucaoInvalida")
            if entry is None:
                sums = (r["valor"] for r in pix["devolucoes"] if r["status"] != "NAO_REALIZADO")
                left = Decimal(pix["valor"]) - sum(map(Decimal, sums))
                if Decimal(body["valor"]) > left:
                    return self.error(400, "saldo_insuficiente", "PixDevolucaoInvalida", "saldo")
                entry = self._return(pix, return_id, body["valor"], "ORIGINAL")
            return self.dialect.refund_status, self.rendered(entry)

    def get_return(self, end_to_end_id: str, return_id: str) -> Answer:
        """`GET /pix/{e2eid}/devolucao/{id}`."""
        with self.lock:
            entry = self._find_return(self._pix(end_to_end_id), return_id)
            if entry is None:
                return self.missing("devolucao_nao_encontrada", "PixDevolucaoNaoEncontrada")
            return 200, self.rendered(entry)

    def _return(self, pix: Members, return_id: str, value: str, nature: str) -> Members:
        moment = self.now()
        entry: Members = {
            "id": return_id,
            "rtrId": f"D99999999{moment:%Y%m%d%H%M}{uuid.uuid4().hex[:11]}",
            "valor": value,
            "natureza": nature,
            "horario": {"solicitacao": moment},
            "status": "EM_PROCESSAMENTO",
        }
        if self.returns_settle:
            entry["status"] = "DEVOLVIDO"
            entry["horario"]["liquidacao"] = moment
        pix["devolucoes"].append(entry)
        return entry

    def _pix(self, end_to_end_id: str) -> Members:
        return next((pix for pix in self.money if pix["endToEndId"] == end_to_end_id), {})

    def _find_return(self, pix: Members, return_id: str) -> Members | None:
        rows = (entry for entry in pix.get("devolucoes", ()) if entry["id"] == return_id)
        return next(rows, None)

    def put_callback(self, key: str, body: Members) -> Answer:
        """`PUT /webhook/{chave}`."""
        with self.lock:
            if not str(body.get("webhookUrl", "")).startswith("http"):
                return self.error(400, "webhook_invalido", "WebhookOperacaoInvalida")
            self.callbacks[key] = body["webhookUrl"]
            return self.dialect.webhook_status, None

    def get_callback(self, key: str) -> Answer:
        """`GET /webhook/{chave}`."""
        with self.lock:
            if key not in self.callbacks:
                return self.missing("webhook_nao_encontrado", "WebhookNaoEncontrado")
            return 200, {"webhookUrl": self.callbacks[key], "chave": key}

    def delete_callback(self, key: str) -> Answer:
        """`DELETE /webhook/{chave}`."""
        with self.lock:
            self.callbacks.pop(key, None)
            return 204, None

    # How things are written.

    def _charge_view(self, charge: Members, *, is_put: bool = False) -> Members:
        view = dict(charge)
        if self.dialect.code_member and not self.keeps_codes_back:
            view[self.dialect.code_member] = _code_of(charge)
        money = [pix for pix in self.money if pix.get("txid") == charge["txid"]]
        if money and not self.hides_money:
            view["pix"] = [self._pix_view(pix) for pix in money]
        if self.dialect.has_nulls:
            view |= {"infoAdicionais": None, "devedor": view.get("devedor")}
        rendered = self.rendered(view)
        if self.dialect.has_text_lifetime and not is_put:
            rendered["calendario"]["expiracao"] = str(rendered["calendario"]["expiracao"])
        if self.dialect.put_path == "cob-emv" and is_put:
            return {"cob": rendered, "emv": _code_of(charge), "base64": ""}
        return rendered

    def _pix_view(self, pix: Members) -> Members:
        return self.rendered(pix)

    def rendered(self, members: Members) -> Members:
        """The members with instants and amounts as the dialect writes them."""
        result: Members = {}
        for name, value in members.items():
            if isinstance(value, dict):
                result[name] = self.rendered(value)
            elif isinstance(value, list):
                result[name] = [self.rendered(i) if isinstance(i, dict) else i for i in value]
            elif isinstance(value, datetime):
                result[name] = self.written(value)
            elif name in ("valor", "original") and self.dialect.has_number_amounts:
                result[name] = float(value)
            else:
                result[name] = value
        return result

    def written(self, moment: datetime) -> str:
        """An instant as the dialect writes it."""
        utc = moment.astimezone(UTC)
        match self.dialect.time_form:
            case "seconds":
                return utc.strftime("%Y-%m-%dT%H:%M:%SZ")
            case "microseconds":
                return utc.strftime("%Y-%m-%dT%H:%M:%S.%f") + "0Z"
            case "offset":
                return utc.astimezone(_BRASILIA).isoformat(timespec="milliseconds")
            case "brasilia":
                return utc.astimezone(_BRASILIA).strftime("%Y-%m-%dT%H:%M:%S.%f")
        return utc.isoformat(timespec="milliseconds").replace("+00:00", "Z")

    def missing(self, name: str, problem: str) -> Answer:
        """That something does not exist, in the dialect's words."""
        return self.error(self.dialect.missing_status, name, problem)

    def error(self, status: int, name: str, problem: str, detail: str = "recusado") -> Answer:
        """A refusal, in the dialect's shape."""
        match self.dialect.error_shape:
            case "efi":
                return status, {"nome": name, "mensagem": detail}
            case "bb":
                row = {"codigo": name, "versao": "1", "mensagem": detail, "ocorrencia": "1"}
                return status, {"erros": [row]}
            case "sicoob":
                return status, {"mensagens": [{"mensagem": detail, "codigo": name}]}
        members = {"type": _PROBLEM + problem, "title": detail, "status": status, "detail": detail}
        return status, members


def _code_of(charge: Members) -> str:
    return encode_dynamic(charge["location"], "Loja de Teste", "Sao Paulo")


def _reais(centavos: int) -> str:
    return f"{centavos // 100}.{centavos % 100:02}"


def _fault_of(body: Members) -> str:
    if not re.fullmatch(r"\d{1,10}\.\d\d", str(body.get("valor", {}).get("original", ""))):
        return "cob.valor.original"
    if Decimal(body["valor"]["original"]) <= 0:
        return "cob.valor.original"
    if not body.get("chave"):
        return "cob.chave"
    lifetime = body.get("calendario", {}).get("expiracao")
    return "" if isinstance(lifetime, int) and lifetime > 0 else "cob.calendario.expiracao"


def _instant(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError("an instant of a query has a zone")
    return moment
