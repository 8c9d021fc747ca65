"""Notices to the service: the body of a confirmation, the post, and what the answer means."""

from __future__ import annotations

import json
import re
import secrets
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from bank.codes.http import AnswerTooLarge, HttpAnswer, HttpClient, NoAnswer
from bank.languages import translate as _
from bank.models import BankPayer, Notice, Transfer
from bank.text import clean
from core.clock import rfc3339
from core.languages import N_
from core.money import plain
from core.signing.signatures import signed_headers

CONFIRMATION_PATH = "/payments/pix/confirmation"

_UNDECIDED_STATUSES = (401, 408, 425, 429)
"""The service did not look at the payment, so nothing is decided about its money."""
_CODE = re.compile(r"[a-z0-9-]{1,64}", re.ASCII)
_DETAIL_CHARACTERS_MAX = 500
_REASONS = {
    "amount-mismatch": N_("O valor pago não era o da cobrança."),
    "paid-too-late": N_("O pagamento foi feito depois do prazo."),
    "already-paid": N_("A cobrança já tinha sido paga."),
    "payment-cancelled": N_("A loja cancelou a cobrança."),
    "payment-not-found": N_("Nenhuma loja conhece esta cobrança ou esta chave."),
    "bad-signature": N_("A loja não reconheceu a assinatura deste banco."),
}


class NoticeVerdict(StrEnum):
    """What the service's answer means for the payment."""

    CONFIRMED = "confirmed"
    RETURNED = "returned"
    RETRY = "retry"


@dataclass(frozen=True)
class NoticeAnswer:
    """The service's answer to a notice; `status` is None if no answer came."""

    verdict: NoticeVerdict
    status: int | None
    code: str | None
    detail: str | None
    retry_after_seconds: int = 0

    @property
    def leaves_undecided(self) -> bool:
        """Whether the service said that it decided nothing; no answer and 5xx do not say so."""
        return self.status in _UNDECIDED_STATUSES


def refusal_reason(notice: Notice) -> str:
    """Why the service refused the payment, as a sentence for the payer."""
    if notice.answer_code in _REASONS:
        return _(_REASONS[notice.answer_code])
    return notice.answer_detail or _("A loja não disse o motivo.")


def new_message_id() -> str:
    """A `webhook-id`; all attempts to send a notice share it."""
    return f"msg_{secrets.token_hex(16)}"


def confirmation_body(transfer: Transfer, payer: BankPayer, message: str | None = None) -> bytes:
    """The confirmation as JSON, in the bytes that are signed.

    A charge is named by its txid. A static code has no charge: its payee's key is named instead,
    with the txid in the code, if it has one. `message` is what the payer wrote to the payee.
    """
    if transfer.txid is not None:
        target = {"bank_payment_id": json.dumps(transfer.txid)}
    else:
        target = {"pix_key": json.dumps(transfer.payee_key)}
        if transfer.reference is not None:
            target["reference"] = json.dumps(transfer.reference)
    members = {
        **target,
        # The amount is inserted as text, because json.dumps would need a float.
        "value": plain(transfer.amount_centavos),
        "end_to_end_id": json.dumps(transfer.identifier),
        "paid_at": json.dumps(rfc3339(transfer.made_at)),
        "payer": json.dumps({"name": payer.name, "document": payer.document}, ensure_ascii=False),
    }
    if message is not None:
        members["payer_message"] = json.dumps(message, ensure_ascii=False)
    return ("{" + ", ".join(f'"{name}": {value}' for name, value in members.items()) + "}").encode()


def post_signed(
    http_client: HttpClient, url: str, secret: str, message_id: str, at: datetime, body: bytes
) -> NoticeAnswer:
    """Post a notice to the service with a signature of this instant, and judge the answer."""
    headers = signed_headers(secret, message_id, at, body)
    try:
        answer = http_client.post(url, body, headers)
    except NoAnswer as failure:
        return no_answer(str(failure))
    except AnswerTooLarge:
        return no_answer("the answer is too large")
    return judge_answer(answer)


def judge_answer(answer: HttpAnswer) -> NoticeAnswer:
    """2xx confirms the payment, 4xx returns it; 401, 408, 425, 429 and all else are retried."""
    code, detail = _problem_in(answer.body)
    if 200 <= answer.status < 300:
        return NoticeAnswer(NoticeVerdict.CONFIRMED, answer.status, code, detail)
    if 400 <= answer.status < 500 and answer.status not in _UNDECIDED_STATUSES:
        return NoticeAnswer(NoticeVerdict.RETURNED, answer.status, code, detail)
    return NoticeAnswer(NoticeVerdict.RETRY, answer.status, code, detail, _retry_after(answer))


def no_answer(reason: str) -> NoticeAnswer:
    """The result of an attempt without an answer: it is retried."""
    return NoticeAnswer(
        NoticeVerdict.RETRY, None, "no-answer", clean(reason, _DETAIL_CHARACTERS_MAX)
    )


def _problem_in(body: bytes) -> tuple[str | None, str | None]:
    try:
        members = json.loads(body)
    except (ValueError, RecursionError):
        return None, None
    if not isinstance(members, dict):
        return None, None
    code, detail = members.get("code"), members.get("detail") or members.get("message")
    return (
        code if isinstance(code, str) and _CODE.fullmatch(code) else None,
        clean(detail, _DETAIL_CHARACTERS_MAX) if isinstance(detail, str) else None,
    )


def _retry_after(answer: HttpAnswer) -> int:
    text = answer.headers.get("retry-after", "")
    return int(text) if re.fullmatch(r"\d{1,6}", text, re.ASCII) else 0
