"""The fields by which a merchant says who is paid: document and address."""

from __future__ import annotations

import re

from core.documents import plain_document
from core.pix.municipality import STATES
from web.form_fields import Form
from web.pages import translate as _

STREET_MAX, TYPED_MAX = 200, 20
_POSTAL_CODE = re.compile(r"[0-9]{5}-?[0-9]{3}", re.ASCII)


def payee_columns(form: Form) -> dict[str, str | None]:
    """The columns of the account; an empty field clears its column. Faults go to the form."""
    document = form.text("document", TYPED_MAX)
    state = form.text("state", TYPED_MAX)
    postal_code = form.text("postal_code", TYPED_MAX)
    values = {
        "document": plain_document(document.upper()) if document else None,
        "street": form.text("street", STREET_MAX),
        "state": state.upper() if state else None,
        "postal_code": postal_code.replace("-", "") if postal_code else None,
    }
    if document and values["document"] is None:
        form.refuse("document", _("Confira os números: isto não é um CPF nem um CNPJ."))
    if values["state"] is not None and values["state"] not in STATES.values():
        form.refuse("state", _("Use a sigla de um estado, como SP."))
    if postal_code and not _POSTAL_CODE.fullmatch(postal_code):
        form.refuse("postal_code", _("O CEP tem 8 números."))
    return values
