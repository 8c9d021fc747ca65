"""The second step before anything that cannot be undone: a page that says what will happen.

A form of the portal that refunds, cancels, revokes, closes or deletes is sent twice. The first time
it has no `confirmed=1`, and the answer is this page; its button sends the same fields again.
"""

from __future__ import annotations

from dataclasses import dataclass

from flask import request
from flask.typing import ResponseReturnValue

from blueprints.portal.page import page
from core.money import plain
from db_models import Account
from web.pages import translate as _

FIELD = "confirmed"
_NEW_FIELDS = (FIELD, "csrf_token")
"""Fields that the page writes itself."""


@dataclass(frozen=True)
class Question:
    """What the page says: a question, its facts as label and text, and the words of the button."""

    title: str
    button: str
    facts: tuple[tuple[str, str], ...] = ()
    warning: str = ""


def is_confirmed() -> bool:
    """Whether the form was sent from the confirmation page."""
    return request.form.get(FIELD) == "1"


def confirmation_page(
    merchant: Account, section: str, question: Question, back_url: str, **fields: str
) -> ResponseReturnValue:
    """Ask the question; nothing has changed yet. `fields` replace fields of the form.

    The page keeps every other field, so that the second request is the first one, confirmed.
    """
    kept_fields = [
        (name, value)
        for name, value in request.form.items(multi=True)
        if name not in _NEW_FIELDS and name not in fields
    ]
    return page(
        "confirmation.html",
        merchant,
        section,
        question=question,
        warning=question.warning or _("Não dá para desfazer."),
        fields=[*kept_fields, *fields.items()],
        confirmed_field=FIELD,
        action_url=request.full_path.rstrip("?"),
        back_url=back_url,
    )


def comma_text(centavos: int) -> str:
    """An amount as a person types it into a form of the portal: `54,90`."""
    return plain(centavos).replace(".", ",")
