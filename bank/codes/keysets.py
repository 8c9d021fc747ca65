"""The public keys of other banks: fetched from known hosts and cached for an hour."""

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
from bank.languages import translate as _

CACHE_LIFETIME = timedelta(hours=1)
_REFETCH_INTERVAL = timedelta(seconds=5)
_KEY_SETS_MAX = 32


@dataclass(frozen=True)
class _CachedKeySet:
    keys: dict[str, Any]
    fetched_at: datetime


class KeySetCache:
    """A thread-safe cache of at most _KEY_SETS_MAX key sets."""

    def __init__(self, http_client: HttpClient, hosts: Mapping[str, str]) -> None:
        """`hosts` maps the hosts of known banks to the base URLs to fetch from."""
        self._http_client = http_client
        self._hosts = hosts
        self._cache: OrderedDict[str, _CachedKeySet] = OrderedDict()
        self._lock = threading.Lock()

    def for_key(self, jku: object, kid: object, now: datetime) -> dict[str, Any]:
        """The key set at `jku`, fetched again if it is old or does not contain the key `kid`.

        Raises KeySetRefused if no known bank has the host, or if it serves no key set.
        """
        url = self._url(jku)
        with self._lock:
            cache_entry = self._cache.get(url)
        if cache_entry is not None:
            # An age below zero counts as well: someone set the clock back since.
            age = abs(now - cache_entry.fetched_at)
            # An unknown key may be new. The interval limits the fetches that invented keys cause.
            is_enough = age < _REFETCH_INTERVAL or _contains(cache_entry.keys, kid)
            if age < CACHE_LIFETIME and is_enough:
                return cache_entry.keys
        new_entry = _CachedKeySet(self._fetch(url), now)
        with self._lock:
            self._cache[url] = new_entry
            self._cache.move_to_end(url)
            while len(self._cache) > _KEY_SETS_MAX:
                self._cache.popitem(last=False)
        return new_entry.keys

    def _url(self, jku: object) -> str:
        try:
            parts = urlsplit(jku if isinstance(jku, str) else "")
        except ValueError:
            parts = urlsplit("")
        base = self._hosts.get(parts.netloc.lower())
        if base is None:
            raise KeySetRefused(
                _(
                    "A chave que assinou estes dados está em um endereço que este banco não "
                    "conhece. Nada foi pago."
                )
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
                _(
                    "O banco de quem recebe não entregou a chave que confere a assinatura. "
                    "Tente de novo em instantes. Nada foi pago."
                )
            )
        return keys


def _contains(keys: Mapping[str, Any], kid: object) -> bool:
    entries = keys.get("keys")
    return isinstance(entries, list) and any(
        isinstance(key, dict) and key.get("kid") == kid for key in entries
    )
