"""The password once more, in forms that decide where money goes."""

from __future__ import annotations

from flask import request

from accounts import sign_ins, throttle
from accounts.access import signed_in_owner
from core.errors import Forbidden
from repository.database import reading
from web.form_fields import Form
from web.pages import translate as _


def check_password(form: Form) -> None:
    """Refuse the form unless it has the merchant's password; counts as a sign-in attempt."""
    with reading() as work:
        merchant = signed_in_owner(work)
    if merchant.password_hash is None:
        raise Forbidden("This account has no password: it uses API keys.")
    password = request.form.get("password", "")
    with throttle.attempt_for(merchant.login) as attempt:
        if password and sign_ins.check_password(merchant.login, password) is not None:
            attempt.succeeded()
        else:
            attempt.failed()
            form.refuse("password", _("A senha não confere."))
