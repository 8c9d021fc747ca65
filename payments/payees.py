"""A merchant as the payee of a charge with a due date (API Pix 2.9.0, DadosRecebedor)."""

from __future__ import annotations

from core.documents import plain_document
from db_models import Account

_CPF_DIGITS = 11


def document_of(merchant: Account) -> str | None:
    """The merchant's CPF or CNPJ: the one of its account, or a Pix key that is one."""
    return merchant.document or plain_document(merchant.pix_key or "")


def payee_of(merchant: Account) -> dict[str, str]:
    """The member `recebedor`.

    The standard requires document and address. A member of the address that the account lacks is
    empty; without a document no charge with a due date is opened.
    """
    document = document_of(merchant) or ""
    return {
        "cpf" if len(document) == _CPF_DIGITS else "cnpj": document,
        "nome": merchant.name,
        "logradouro": merchant.street or "",
        "cidade": merchant.city,
        "uf": merchant.state or "",
        "cep": merchant.postal_code or "",
    }
