"""The address of a shop with the outcome of a payment in its query."""

from __future__ import annotations

from urllib.parse import unquote_plus, urlencode


def with_outcome(url: str, payment_id: str, status: str) -> str:
    """The address with `payment_id` and `status` after its own query, before its fragment.

    They replace parameters of the same name: of two values some shops would read the other one.
    """
    address, hash_sign, fragment = url.partition("#")
    path, _, query = address.partition("?")
    outcome = {"payment_id": payment_id, "status": status}
    own = [pair for pair in query.split("&") if pair and _name_of(pair) not in outcome]
    return f"{path}?{'&'.join([*own, urlencode(outcome)])}{hash_sign}{fragment}"


def _name_of(pair: str) -> str:
    return unquote_plus(pair.partition("=")[0])
