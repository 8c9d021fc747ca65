"""The languages of pages and how a person names one; the same in the service and in the bank."""

from __future__ import annotations

LANGUAGES = ("pt-BR", "en")
COOKIE = "balcao_language"
"""The cookie that remembers the language of `?lang=`."""
COOKIE_SECONDS = 31_536_000

ACCEPTABLE_TAGS = ("pt-BR", "pt", "en", "en-US", "en-GB")
"""What to match `Accept-Language` with: `pt-BR` alone would not match `pt`."""


def N_(sentence: str) -> str:
    """Return the sentence; Babel collects the sentences that this name marks."""
    return sentence


def language_named(text: str) -> str | None:
    """The language that `?lang=` names, also as `pt`, `pt_br` or `EN`; None if it is not ours."""
    value = text.lower().replace("_", "-")
    return next((name for name in LANGUAGES if value in (name.lower(), name[:2])), None)


def language_of_tag(tag: str) -> str:
    """The language for one of ACCEPTABLE_TAGS."""
    return "en" if tag.startswith("en") else "pt-BR"
