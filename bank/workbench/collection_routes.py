"""The simulator's route for charges of Pix Automático, which exists in development only."""

from __future__ import annotations

from flask import Blueprint, jsonify, request
from flask.typing import ResponseReturnValue

from bank.blueprints import forms
from bank.blueprints.mandate_api import collection_entry
from bank.branch import current_branch
from bank.errors import InvalidInput
from bank.identifiers import is_identifier
from core.errors import FieldError

bp = Blueprint("simulated_collections", __name__, url_prefix="/api/collections")


@bp.post("/simulate")
def simulate_day() -> ResponseReturnValue:
    """Play the day of a scheduled charge now: it is paid, or fails. Body: {"end_to_end_id"}.

    A charge that has ended stays as it is.
    """
    end_to_end_id = forms.json_object(request).get("end_to_end_id")
    if not isinstance(end_to_end_id, str) or not is_identifier(end_to_end_id):
        raise InvalidInput([FieldError("end_to_end_id", "must be a payment's identifier")])
    collection = current_branch().collections.pay_now(end_to_end_id)
    return jsonify(collection=collection_entry(collection))
