"""The objects behind the proxies of a framework."""

from __future__ import annotations

from typing import Any, TypeVar

Object = TypeVar("Object")


def behind(proxy: Object) -> Object:
    """The object for which a proxy of Werkzeug stands in this request, such as `g` or `request`.

    A proxy finds its object again at each access, which costs as much as a call of a function.
    """
    proxy_: Any = proxy
    current: Object = proxy_._get_current_object()
    return current
