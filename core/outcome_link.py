"""The address of a shop with the outcome of a payment in its query."""

from __future__ import annotations

from urllib.parse import urlencode


def with_outcome(url: str, payment_id: str, status: str) -> str:
    """The address with `payment_id` and `status` after its own query, before its fragment."""
    address, hash_sign, fragment = url.partition("#")
    _, question_mark, query = address.partition("?")
    joint = "?" if not question_mark else "&" if query and not query.endswith("&") else ""
    outcome = urlencode({"payment_id": payment_id, "status": status})
    return f"{address}{joint}{outcome}{hash_sign}{fragment}"
