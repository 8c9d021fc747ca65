"""How banks differ that all say they speak API Pix: the dialects of the stand-in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Dialect:
    """The habits of one bank; the defaults are those of the standard."""

    base: str = "/v2"
    cob_base: str | None = None
    """The base of `/cob/{txid}`, where it differs."""
    patch_base: str | None = None
    token_path: str = "/oauth/token"
    token_style: str = "basic_form"
    token_status: int = 200
    token_seconds: int | str = 3600
    put_path: str = "cob"
    put_status: int = 201
    is_conflict: bool = False
    """Whether a second PUT with the txid of a charge is refused with 409, whatever it says."""
    code_member: str | None = "pixCopiaECola"
    code_call: str | None = None
    """The path of a second call for the code, below the base; `{id}` is the location's."""
    code_call_member: str = "qrcode"
    has_code_in_base64: bool = False
    missing_status: int = 404
    error_shape: str = "problem"
    refund_status: int = 201
    is_refund_conflict: bool = False
    webhook_status: int = 200
    txid_filter: str = "txid"
    has_nulls: bool = False
    has_text_lifetime: bool = False
    """Whether `expiracao` is text when a charge is read."""
    has_number_amounts: bool = False
    refuses_milliseconds: bool = False
    window_days: float = 31
    time_form: str = "milliseconds"
    """`milliseconds`, `seconds`, `microseconds`, `offset` or `brasilia` (no zone)."""
    query: Mapping[str, str] = field(default_factory=dict)
    """What the query of every call must have."""
    headers: Mapping[str, str] = field(default_factory=dict)
    """What every call's headers must have; an empty value stands for anything."""


DIALECTS = {
    "standard": Dialect(),
    "efi": Dialect(
        token_style="basic_json",
        is_conflict=True,
        missing_status=400,
        error_shape="efi",
        is_refund_conflict=True,
        webhook_status=201,
        has_text_lifetime=True,
    ),
    "inter": Dialect(
        base="/pix/v2",
        token_path="/oauth/v2/token",
        token_style="form",
        txid_filter="txId",
        time_form="seconds",
    ),
    "bb": Dialect(
        base="/pix/v2",
        put_status=200,
        error_shape="bb",
        window_days=4,
        time_form="microseconds",
        query={"gw-dev-app-key": "app-key-of-tests"},
    ),
    "sicoob": Dialect(
        base="/pix/api/v2",
        token_path="/auth/realms/cooperado/protocol/openid-connect/token",
        token_style="form_nosecret",
        token_seconds=300,
        code_member="brcode",
        error_shape="sicoob",
        refund_status=200,
        has_nulls=True,
        headers={"client_id": ""},
    ),
    "sicredi": Dialect(base="/api/v2", cob_base="/api/v3", refund_status=200, time_form="offset"),
    "itau": Dialect(
        base="/pix_recebimentos/v2",
        token_path="/api/oauth/token",
        token_style="form",
        token_seconds=300,
        code_member=None,
        code_call="cob/{txid}/qrcode",
        code_call_member="emv",
        headers={"x-itau-correlationID": "", "x-itau-flowID": ""},
    ),
    "bradesco": Dialect(
        token_path="/auth/server/oauth/token",
        put_path="cob-emv",
        put_status=200,
        code_member=None,
        refund_status=200,
        has_number_amounts=True,
    ),
    "santander": Dialect(
        base="/api/v1",
        patch_base="/api/v2",
        token_style="query_form",
        token_seconds=300,
        code_member=None,
        refuses_milliseconds=True,
        time_form="brasilia",
    ),
    "c6": Dialect(
        base="/v2/pix",
        token_path="/v1/auth",
        token_style="form",
        token_seconds=600,
        put_status=200,
        code_member=None,
        code_call="loc/{id}/qrcode",
        headers={"partner-software-name": "", "partner-software-version": ""},
    ),
    "ailos": Dialect(
        base="/ailos/pix-cobranca/api/v1",
        token_path="/connect/token",
        token_style="form",
        token_seconds="3600",
        put_status=200,
        code_member=None,
        code_call="qrcode/consulta/{txid}",
        code_call_member="copiaCola",
        has_code_in_base64=True,
    ),
    "banrisul": Dialect(
        base="/pix/api-mtls",
        token_path="/auth/oauth/v2/token",
        token_style="form",
    ),
}
