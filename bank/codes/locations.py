"""Fetches what the location in a code serves, and trusts it only if a known bank has signed it.

The same steps for charges and recurrences (Manual de Padrões para Iniciação do Pix, 2.7): the host,
the answer, its type, the signature, the certificate.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from bank.codes.certificates import chain_fault, refusal_text
from bank.codes.http import AnswerTooLarge, HttpClient, NoAnswer
from bank.codes.keysets import KeySetCache
from bank.errors import (
    LocationGone,
    LocationNotFound,
    LocationRefused,
    LocationUnreachable,
    PayloadSignatureRefused,
    PayloadTooLarge,
    PayloadTypeWrong,
    UnknownParticipant,
)
from bank.languages import translate as _
from core.signing import jws

PAYLOAD_TYPE = "application/jose"


class LocationReader:
    """Fetches signed payloads from the receivers' banks; thread-safe."""

    def __init__(self, http_client: HttpClient, hosts: Mapping[str, str]) -> None:
        """`hosts` maps the hosts of known banks to the base URLs to fetch from."""
        self._http_client = http_client
        self._hosts = hosts
        self._key_sets = KeySetCache(http_client, hosts)

    def payload_at(self, location: str, now: datetime, query: str = "") -> Mapping[str, Any]:
        """The payload at a location, verified. Raises a CodeRefused."""
        host, path = location.partition("/")[::2]
        base = self._hosts.get(host.lower())
        if base is None:
            raise UnknownParticipant(
                _(
                    "O código aponta para %(host)s, que não é de nenhum banco que conhecemos. "
                    "Nada foi pago."
                )
                % {"host": host}
            )
        token = self._fetch(f"{base}/{path}{query}")
        try:
            header = jws.header_of(token)
            keys = self._key_sets.for_key(header.get("jku"), header.get("kid"), now)
            payload = jws.verify(token, keys, now)
        except jws.JwsError as error:
            raise PayloadSignatureRefused(refusal_text(error.code)) from None
        fault = chain_fault(keys, header.get("kid"), now)
        if fault is not None:
            raise PayloadSignatureRefused(refusal_text(fault))
        return payload

    def _fetch(self, url: str) -> str:
        try:
            answer = self._http_client.get(url, PAYLOAD_TYPE)
        except NoAnswer as failure:
            raise LocationUnreachable(
                _("Tente de novo em instantes (%(failure)s). Nada foi pago.") % {"failure": failure}
            ) from None
        except AnswerTooLarge:
            raise PayloadTooLarge(_("Por segurança, paramos de ler. Nada foi pago.")) from None
        if answer.status == 404:
            raise LocationNotFound(_("O banco de quem recebe não conhece esta cobrança."))
        if answer.status == 410:
            raise LocationGone(_("Ela foi paga, cancelada ou o prazo acabou. Nada foi pago agora."))
        if answer.status != 200:
            raise LocationRefused(
                _("Ele respondeu %(status)s. Tente de novo em instantes. Nada foi pago.")
                % {"status": answer.status},
                answer.status,
            )
        if answer.media_type != PAYLOAD_TYPE:
            raise PayloadTypeWrong(_("Esperávamos application/jose. Nada foi pago."))
        # A JWS is ASCII: a replacement character makes jws.verify refuse it.
        return answer.body.decode("ascii", "replace").strip()
