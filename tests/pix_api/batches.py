"""Batches of charges in the tests of API Pix."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from flask import Flask

from blueprints.pix_api.batch_work import work_on_waiting
from db_models import ChargeBatchRequest
from repository.database import reading
from tests.support.api_pix import PixAnswer, PixApi

WAITING, CREATED, REFUSED = "EM_PROCESSAMENTO", "CRIADA", "NEGADA"


def txid_of(number: int) -> str:
    """A txid for each number."""
    return f"{number:030d}"


def due_body(key: str, **members: Any) -> dict[str, Any]:
    """A charge with a due date; `members` replace members."""
    return {
        "calendario": {"dataDeVencimento": "2026-12-23"},
        "devedor": {"cpf": "12345678909", "nome": "Bia Lima"},
        "valor": {"original": "100.00"},
        "chave": key,
        **members,
    }


@dataclass
class BatchCalls:
    """A merchant's calls about batches, and the job that works on them."""

    app: Flask
    api: PixApi
    key: str

    def charge(self, number: int, **members: Any) -> dict[str, Any]:
        """An item that will be created."""
        return {"txid": txid_of(number), **due_body(self.key, **members)}

    def put(self, batch: object, *charges: dict[str, Any], **parts: Any) -> PixAnswer:
        """Send a batch with these charges."""
        body = {"descricao": "Mensalidades", "cobsv": list(charges)}
        return self.api.put(f"/lotecobv/{batch}", body, **parts)

    def patch(self, batch: object, *changes: dict[str, Any], **parts: Any) -> PixAnswer:
        """Revise some charges of a batch."""
        return self.api.patch(f"/lotecobv/{batch}", {"cobsv": list(changes)}, **parts)

    def work(self) -> int:
        """Carry out what waits; return how much was."""
        with self.app.app_context():
            return work_on_waiting()

    def items(self, batch: object) -> list[dict[str, Any]]:
        """The items of a batch."""
        answer = self.api.get(f"/lotecobv/{batch}")
        assert answer.status == 200, answer.data
        items: list[dict[str, Any]] = answer.json["cobsv"]
        return items

    def statuses(self, batch: object) -> list[str]:
        """The statuses of the items."""
        return [item["status"] for item in self.items(batch)]

    def problem(self, batch: object, position: int = 0) -> dict[str, Any]:
        """The problem of an item."""
        problem: dict[str, Any] = self.items(batch)[position]["problema"]
        return problem

    def waiting_bodies(self) -> list[dict[str, Any]]:
        """The bodies that wait, of all merchants."""
        with self.app.app_context(), reading() as work:
            query = ChargeBatchRequest.__table__.select().order_by(ChargeBatchRequest.id)
            return [row.body for row in work.connection.execute(query)]


def paths_of_problem(problem: dict[str, Any]) -> list[str]:
    """The fields of the violations."""
    return [one["propriedade"] for one in problem.get("violacoes", ())]
