"""The routes of mix, bursts and signature doctor, which exist in development only."""

from __future__ import annotations

import hashlib
from typing import Any

from flask import Blueprint, jsonify, render_template, request
from flask.typing import ResponseReturnValue

from bank.blueprints import forms
from bank.branch import current_branch
from bank.chaos.chaos import ChaosRun
from bank.chaos.chaos_words import SCENARIO_TEXTS, mix_fault
from bank.chaos.scenarios import PRESETS, SEED_MAX, Mix, MixError, mix_from
from bank.errors import BankError, BurstRefused, InvalidInput
from bank.languages import translate as _
from bank.models import Transfer
from bank.money.burst_desk import FUNDS_CENTAVOS_MAX, PAGE_MAX, BurstSession
from bank.money.paying import PaymentOrder, payment_status
from bank.workbench import doctor
from core.clock import rfc3339
from core.errors import FieldError

bp = Blueprint("chaos", __name__)

_PASTED_CHARACTERS_MAX = 12_000


@bp.get("/api/chaos")
def show_mix() -> ResponseReturnValue:
    """The mix that payments without a scenario draw from."""
    return jsonify(_run_entry(current_branch().desk.current_run()))


@bp.put("/api/chaos")
def put_mix() -> ResponseReturnValue:
    """Start a run; the next payment is its first. Body: {"mix", "seed"?}."""
    members = forms.json_object(request)
    mix, seed = _mix(members.get("mix")), _seed(members.get("seed", 0))
    return jsonify(_run_entry(current_branch().desk.start_run(mix, seed)))


@bp.get("/chaos")
def mix_page() -> ResponseReturnValue:
    """The page with the mix in force, a form for another one, and the scenarios."""
    return _mix_page(None)


@bp.post("/chaos")
def set_mix() -> ResponseReturnValue:
    """Start a run from the page's form."""
    try:
        forms.check_csrf_token(request.form)
        text = request.form.get("mix", "").strip() or request.form.get("preset", "")
        current_branch().desk.start_run(mix_from(text), _typed_seed(request.form.get("seed", "")))
    except MixError as error:
        return _mix_page(InvalidInput(detail=mix_fault(error))), 400
    except BankError as refusal:
        return _mix_page(refusal), refusal.status
    return _mix_page(None)


@bp.post("/api/burst/session")
def open_burst() -> ResponseReturnValue:
    """Check the PIN and fund the burst's payer. Body: {"pin", "funds_centavos"}."""
    members = forms.json_object(request)
    pin, funds = members.get("pin"), members.get("funds_centavos")
    if not isinstance(pin, str):
        raise InvalidInput([FieldError("pin", "must be a string")])
    if type(funds) is not int or not 1 <= funds <= FUNDS_CENTAVOS_MAX:
        raise InvalidInput([FieldError("funds_centavos", f"must be 1 to {FUNDS_CENTAVOS_MAX}")])
    return jsonify(token=current_branch().bursts.open(pin, funds))


@bp.post("/api/burst/pay")
def pay_in_burst() -> ResponseReturnValue:
    """Pay a code with a burst's token. Body: {"code", "scenario"?, "late_seconds"?}."""
    members = forms.json_object(request)
    session = _burst_session()
    code = members.get("code")
    if not isinstance(code, str):
        raise InvalidInput([FieldError("code", "must be a string")])
    key = request.headers.get("Idempotency-Key", "")
    order = PaymentOrder(
        code=code,
        pin="",
        payer_handle=session.payer,
        scenario=forms.scenario_in(members),
        late_seconds=forms.late_seconds_in(members),
        request_key=hashlib.sha256(f"burst:{key}".encode()).hexdigest() if key else None,
    )
    result = current_branch().teller.pay(order, is_pin_checked=True)
    return jsonify(_payment_entry(result.transfer, 0))


@bp.get("/api/burst/payments")
def burst_payments() -> ResponseReturnValue:
    """A burst's payments with the answers to their notices, oldest first. Query: after?."""
    page = current_branch().bursts.payments(_burst_session(), request.args.get("after"), PAGE_MAX)
    return jsonify(data=[_payment_entry(*row) for row in page.payments], next=page.after)


@bp.get("/doctor")
def doctor_page() -> ResponseReturnValue:
    """The page with a form for a notification that was refused."""
    return render_template("bank/doctor.html", paste={}, findings=None)


@bp.post("/doctor")
def examine_form() -> ResponseReturnValue:
    """Examine the notification in the page's form."""
    forms.check_csrf_token(request.form)
    paste = {name: request.form.get(name, "") for name in ("headers", "body", "secret")}
    # Browsers send the line breaks of a form as CR LF, whatever was pasted.
    body = paste["body"].replace("\r\n", "\n")
    findings = _findings(paste["headers"], body, paste["secret"])
    return render_template("bank/doctor.html", paste={**paste, "secret": ""}, findings=findings)


@bp.post("/api/doctor")
def examine() -> ResponseReturnValue:
    """Examine a notification. Body: {"headers", "body", "secret"?}, each as text."""
    members = forms.json_object(request)
    for name in ("headers", "body", "secret"):
        if not isinstance(members.get(name, ""), str):
            raise InvalidInput([FieldError(name, "must be a string")])
    findings = _findings(
        members.get("headers", ""), members.get("body", ""), members.get("secret", "")
    )
    return jsonify(findings=[vars(finding) for finding in findings])


def _findings(headers: str, body: str, secret: str) -> list[doctor.Finding]:
    if max(len(headers), len(body)) > _PASTED_CHARACTERS_MAX:
        raise InvalidInput(detail=_("Isto é grande demais para ser um aviso."))
    branch = current_branch()
    settings = branch.settings
    named_secrets = [doctor.NamedSecret("current", settings.webhook_secret)]
    if settings.webhook_secret_previous:
        named_secrets.append(doctor.NamedSecret("previous", settings.webhook_secret_previous))
    if secret.strip():
        named_secrets.insert(0, doctor.NamedSecret("given", secret))
    return doctor.diagnose(
        doctor.headers_in(headers),
        body.encode("utf-8", "replace"),
        named_secrets,
        branch.clock.now(),
    )


def _mix_page(refusal: BankError | None) -> str:
    return render_template(
        "bank/chaos.html",
        run=current_branch().desk.current_run(),
        presets=PRESETS,
        scenario_texts=SCENARIO_TEXTS,
        refusal=refusal,
    )


def _run_entry(run: ChaosRun) -> dict[str, Any]:
    return {
        "mix": str(run.mix),
        "weights": {scenario.value: weight for scenario, weight in run.mix.weights},
        "seed": run.seed,
        "drawn": run.draws,
        "presets": dict(PRESETS),
    }


def _mix(value: object) -> Mix:
    """The mix in a text, or in an object of weights. Raises InvalidInput."""
    if isinstance(value, dict):
        value = ",".join(f"{name}={weight}" for name, weight in value.items())
    try:
        return mix_from(value if isinstance(value, str) else "")
    except MixError as error:
        raise InvalidInput([FieldError("mix", str(error))]) from None


def _seed(value: object) -> int:
    text = str(value) if type(value) in (int, str) else ""
    if not (text.isascii() and text.isdigit()) or len(text) > 19 or int(text) > SEED_MAX:
        raise InvalidInput([FieldError("seed", f"must be a whole number up to {SEED_MAX}")])
    return int(text)


def _typed_seed(text: str) -> int:
    try:
        return _seed(text or 0)
    except InvalidInput as error:
        sentence = _("A semente tem de ser um número inteiro até %(number)s.")
        raise InvalidInput(error.errors, sentence % {"number": SEED_MAX}) from None


def _burst_session() -> BurstSession:
    kind, token = request.headers.get("Authorization", "").partition(" ")[::2]
    if kind.lower() != "bearer":
        raise BurstRefused(_("Abra a rajada com a senha."))
    return current_branch().bursts.session(token)


def _payment_entry(transfer: Transfer, returned_centavos: int) -> dict[str, Any]:
    notice = transfer.notice
    done_at = notice.done_at if notice else None
    return {
        "end_to_end_id": transfer.identifier,
        "txid": transfer.txid,
        "amount_centavos": transfer.amount_centavos,
        "returned_centavos": returned_centavos,
        "status": payment_status(transfer),
        "scenario": notice.scenario if notice else None,
        "attempts": notice.attempts if notice else 0,
        "answer_code": notice.answer_code if notice else None,
        "paid_at": rfc3339(transfer.made_at),
        "answered_after_ms": round((done_at - transfer.made_at).total_seconds() * 1000)
        if done_at
        else None,
    }
