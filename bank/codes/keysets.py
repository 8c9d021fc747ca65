"""The public keys of other banks: fetched from hosts we know, kept for an hour."""

from __future__ import annotations

import json
import threading
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

from bank.codes.http import AnswerTooLarge, HttpClient, NoAnswer
from bank.errors import KeySetRefused

CACHE_LIFETIME = timedelta(hours=1)
_FETCHED_AGAIN_AFTER = timedelta(seconds=5)
_KEY_SETS_MAX = 32


@dataclass(frozen=True)
class _CachedKeySet:
    keys: dict[str, Any]
    fetched_at: datetime


class KeySetCache:
    """A small cache of key sets, safe to share between threads."""

    def __init__(self, http_client: HttpClient, hosts: Mapping[str, str]) -> None:
        """`hosts` maps the participants' hosts to the base URLs to fetch from."""
        self._http_client = http_client
        self._hosts = hosts
        self._kept: OrderedDict[str, _CachedKeySet] = OrderedDict()
        self._lock = threading.Lock()

    def for_key(self, jku: object, kid: object, now: datetime) -> dict[str, Any]:
        """The key set at `jku`, fetched anew when it is old or lacks the key `kid`.

        Raises KeySetRefused when the host is no participant's or holds no key set.
        """
        url = self._url(jku)
        with self._lock:
            kept = self._kept.get(url)
        if kept is not None and now - kept.fetched_at < CACHE_LIFETIME:
            # An unknown key may be a new one; whoever invents them must not make us fetch for ever.
            recent = now - kept.fetched_at < _FETCHED_AGAIN_AFTER
            if recent or _holds(kept.keys, kid):
                return kept.keys
        fresh = _CachedKeySet(self._fetch(url), now)
        with self._lock:
            self._kept[url] = fresh
            self._kept.move_to_end(url)
            while len(self._kept) > _KEY_SETS_MAX:
                self._kept.popitem(last=False)
        return fresh.keys

    def _url(self, jku: object) -> str:
        try:
            parts = urlsplit(jku if isinstance(jku, str) else "")
        except ValueError:
            parts = urlsplit("")
        base = self._hosts.get(parts.netloc.lower())
        if base is None:
            raise KeySetRefused(
                "A chave que assinou esta cobrança está em um endereço que este banco não conhece. "
                "Nada foi pago."
            )
        return base + parts.path

    def _fetch(self, url: str) -> dict[str, Any]:
        try:
            answer = self._http_client.get(url, "application/jwk-set+json, application/json")
            keys = json.loads(answer.body) if answer.status == 200 else None
        except (NoAnswer, AnswerTooLarge, ValueError, RecursionError):
            keys = None
        if not isinstance(keys, dict):
            raise KeySetRefused(
                "O banco de quem recebe não entregou a chave que confere a assinatura. "
                "Tente de novo em instantes. Nada foi pago."
            )
        return keys


def _holds(keys: Mapping[str, Any], kid: object) -> bool:
    listed = keys.get("keys")
    return isinstance(listed, list) and any(
        isinstance(key, dict) and key.get("kid") == kid for key in listed
    )
