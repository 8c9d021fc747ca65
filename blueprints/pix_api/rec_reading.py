"""Find the calling merchant's recurrence."""

from __future__ import annotations

from blueprints.pix_api.problems import PixProblem
from core.pix.recurrence_rules import ID_REC
from db_models import Account
from repository.database import Work
from repository.recurrences import RecurrenceRecord


def own_recurrence(work: Work, merchant: Account, id_rec: str) -> RecurrenceRecord:
    """The merchant's recurrence with this id. Raises PixProblem."""
    is_id = ID_REC.fullmatch(id_rec) is not None
    record = work.recurrences.find(merchant.id, id_rec) if is_id else None
    if record is None:
        raise PixProblem("RecNaoEncontrada", "Não há recorrência com este idRec.")
    return record
