"""Pages whose fixed text is rendered once; a request only puts its values into it.

A template decides by a few facts which text a page has: whether the payment has an order, whether
it is paid. Two pages with equal facts differ only in the values that the template writes. So the
template is rendered once for each set of facts, with a mark in the place of each value. The text
around the marks is the pattern of all pages with these facts.

Facts are flags, `Fact`, and whether a text or a number is there at all. A template that examines
more of a value, as by a comparison or a filter, fails while the pattern is made: a mark can only be
written. A page with a value of another kind, as a list of refunds, is rendered without a pattern.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable, Collection, Hashable, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from operator import itemgetter
from types import NoneType
from typing import Any, NamedTuple, NoReturn

from flask import Flask, current_app, render_template, request
from markupsafe import Markup, escape

from core.bounded_cache import BoundedCache
from web.pages import language, language_query

_PATTERNS = "balcao_page_patterns"
"""Key in the app's extensions."""
PATTERNS_MAX = 512
"""About 25 kB each. A shop's pages need some twenty, which merchants share."""
FILLED_PAGE = "balcao.filled_page"
"""Key in a request's environ: the `FilledPage` that was rendered for it."""

Path = tuple[Any, ...]
"""Where a value is: the name of a value of the page, then attributes and positions in lists."""


class Fact(str):
    """A text that templates may examine, one of a few."""

    __slots__ = ()


class PageView:
    """Base of the dataclasses that templates read.

    Templates write their texts and numbers and may ask whether they are there. A property is a text
    that is always there, computed only for the pages that write it.
    """


class Placeholder:
    """Stands for a value while a pattern is made: it can be written, and nothing else."""

    __slots__ = ("_has_truth", "_text")

    def __init__(self, text: str, *, has_truth: bool) -> None:
        """`has_truth`: a template may ask whether the value is there."""
        self._text = text
        self._has_truth = has_truth

    def __html__(self) -> str:
        """The mark itself."""
        return self._text

    def __bool__(self) -> bool:
        """True: a value that is not there has no mark."""
        return True if self._has_truth else self._refuse()

    def __getattr__(self, name: str) -> NoReturn:
        """Refuse, so that Jinja does not take an attribute for undefined."""
        if name.startswith("__"):
            raise AttributeError(name)
        self._refuse()

    def _refuse(self, *_others: object) -> NoReturn:
        raise RuntimeError("a template with a pattern may write this value, and not examine it")

    # Jinja takes a key that raises TypeError for undefined, so these raise another error.
    __str__ = __format__ = __eq__ = __ne__ = __hash__ = _refuse


class _Unpatterned(Exception):
    """A value is neither a fact nor a text nor a number."""


@dataclass(frozen=True)
class Pattern:
    """The fixed text of pages with equal facts."""

    pieces: tuple[str, ...]
    """The text before, between and after the marks."""
    marks: tuple[Path, ...]
    """The path of the value in each mark."""
    reads: frozenset[Path]
    """Every attribute of a view that the template read, also if it only asked for a fact."""
    text: str
    """The pieces as a format, with `%s` for each mark."""
    paths: tuple[Path, ...]
    """The paths of the marks, each once."""
    places: Callable[[list[str]], tuple[str, ...]]
    """From the texts of the paths to the arguments of the format."""

    @classmethod
    def of(
        cls, pieces: Sequence[str], marks: Sequence[Path], reads: Collection[Path] = ()
    ) -> Pattern:
        """The pattern with these pieces, and with marks between them."""
        paths = tuple(dict.fromkeys(marks))
        text = "%s".join(piece.replace("%", "%%") for piece in pieces)
        # Twice the last one, because itemgetter makes no tuple of a single item.
        order = [paths.index(path) for path in marks]
        places = itemgetter(*order) if len(order) > 1 else lambda texts: tuple(texts)
        return cls(tuple(pieces), tuple(marks), frozenset(reads), text, paths, places)

    def filled(self, values: Mapping[str, Any]) -> str:
        """The page with these values, escaped as Jinja escapes them."""
        return self.with_texts([escape(value_at(values, path)) for path in self.paths])

    def with_texts(self, texts: list[str]) -> str:
        """The page with these texts, already escaped, in the order of `paths`."""
        return self.text % self.places(texts)


class FilledPage(NamedTuple):
    """A page as `render_page` made it."""

    pattern: Pattern
    values: dict[str, Any]


def init_page_patterns(app: Flask) -> None:
    """Give the app a place for its patterns."""
    app.extensions[_PATTERNS] = BoundedCache(PATTERNS_MAX)


def render_page(template: str, **values: Any) -> str:
    """Render a template with these values, by its pattern if it can have one.

    Besides them the template may use what follows from the language and the `script_root`.
    """
    values["script_root"] = Fact(request.script_root)
    try:
        facts = (template, language(), language_query(), *map(_fact, values.values()))
    except _Unpatterned:
        return render_template(template, **values)
    if current_app.debug:  # The template may have changed.
        return render_template(template, **values)
    patterns: BoundedCache[Pattern] = current_app.extensions[_PATTERNS]
    pattern = patterns.get(facts)
    if pattern is None:
        pattern = _pattern(template, values)
        patterns.put(facts, pattern)
    request.environ[FILLED_PAGE] = FilledPage(pattern, values)
    return pattern.filled(values)


def _fact(value: object) -> Hashable:
    kind = type(value)
    if kind in _WRITTEN:
        return value and True
    if kind in _EXAMINED:
        return value
    if isinstance(value, PageView):
        return tuple([_fact(part) for part in vars(value).values()])
    if isinstance(value, list):
        return tuple([_fact(part) for part in value])
    raise _Unpatterned


_WRITTEN = frozenset({str, int, Markup, datetime})
_EXAMINED = frozenset({bool, NoneType, Fact})


def value_at(values: Mapping[str, Any], path: Path) -> Any:
    """The value at this path."""
    value = values[path[0]]
    for part in path[1:]:
        value = getattr(value, part) if type(part) is str else value[part]
    return value


def _pattern(template: str, values: Mapping[str, Any]) -> Pattern:
    marks = _Marks()
    stand_ins = {name: marks.instead_of(value, (name,)) for name, value in values.items()}
    # What a template reads of these may differ from request to request.
    others = {name: marks.instead_of("-", (name,)) for name in ("request", "session", "g")}
    page = render_template(template, **stand_ins, **others)
    fixed, *rest = re.split(f"{marks.fence}([0-9]+){marks.fence}", page)
    paths = [marks.paths[int(number)] for number in rest[::2]]
    return Pattern.of((fixed, *rest[1::2]), paths, marks.reads)


class _Marks:
    """The marks of one pattern, which no text of a merchant can contain: nobody knows the fence."""

    def __init__(self) -> None:
        self.fence = f"mark-{secrets.token_hex(16)}-"
        self.paths: list[Path] = []
        self.reads: set[Path] = set()

    def instead_of(self, value: object, path: Path, *, has_truth: bool = True) -> Any:
        """What a template gets instead of the value at the path."""
        kind = type(value)
        if kind in _WRITTEN and (value or not has_truth):
            self.paths.append(path)
            return Placeholder(
                f"{self.fence}{len(self.paths) - 1}{self.fence}", has_truth=has_truth
            )
        if not has_truth:
            raise TypeError(f"{path} is a property and so must be a text")
        if isinstance(value, PageView):
            return _StandIn(value, path, self)
        if isinstance(value, list):
            return [self.instead_of(part, (*path, at)) for at, part in enumerate(value)]
        return value


class _StandIn:
    """Has the attributes of a view, with marks as values."""

    def __init__(self, view: PageView, path: Path, marks: _Marks) -> None:
        self._view = view
        self._path = path
        self._marks = marks
        self._fields = {field.name for field in fields(view)}  # type: ignore[arg-type]  # a dataclass

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._view, name)
        path = (*self._path, name)
        self._marks.reads.add(path)
        return self._marks.instead_of(value, path, has_truth=name in self._fields)
