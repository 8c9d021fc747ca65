"""The catalogues of service and bank: an English reader meets no Portuguese, and pages say what
the .po says.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import pytest
from babel.messages.catalog import Catalog
from babel.messages.extract import DEFAULT_KEYWORDS, extract_from_dir
from babel.messages.frontend import parse_mapping_cfg
from babel.messages.mofile import read_mo, write_mo
from babel.messages.pofile import read_po

ROOT = Path(__file__).resolve().parents[2]
PLACEHOLDER = re.compile(r"%\(\w+\)s|\{\w+\}")
# Words that are the same in both languages; units and marks are no words.
SAME_IN_ENGLISH = {
    *("Total", "Portal", "Logo", "Redis", "CSV", "CPF", "CNPJ", "Webhook", "Webhooks"),
    "Client ID",  # the name of OAuth, which SDKs of Brazilian banks use as it is
    "Pix Automático",  # Banco Central's name of the service, as "Pix"
}
WORD = re.compile(r"[^\W\d_]{4,}")


@dataclass(frozen=True)
class Application:
    """One of our two applications: the folder with its sources, and that with its catalogue."""

    sources: Path
    catalogue: Path

    def read(self) -> Catalog:
        """The English catalogue."""
        with (self.catalogue / "messages.po").open("rb") as file:
            return read_po(file, locale="en")


APPLICATIONS = {
    name: Application(folder, folder / "translations" / "en" / "LC_MESSAGES")
    for name, folder in (("service", ROOT), ("bank", ROOT / "bank"))
}


@pytest.fixture(scope="module", params=APPLICATIONS)
def application(request: pytest.FixtureRequest) -> Application:
    """Each application."""
    return APPLICATIONS[request.param]


@pytest.fixture(scope="module")
def english(application: Application) -> Catalog:
    """The application's English catalogue."""
    return application.read()


def sentences_of_the_sources(folder: Path) -> set[str]:
    """Every msgid in the templates and in the code, extracted as `make translations` does."""
    with (folder / "babel.cfg").open(encoding="utf-8") as file:
        methods, options = parse_mapping_cfg(file)
    keywords = DEFAULT_KEYWORDS | {"lazy_gettext": None}
    messages = extract_from_dir(folder, methods, options, keywords)
    return {
        message[0] if isinstance(message, tuple) else message for _, _, message, _, _ in messages
    }


def translated_sentences(catalog: Catalog) -> dict[tuple[str, ...], tuple[str, ...]]:
    """A catalogue's messages: singular and plural, and their translations."""
    return {_forms(message.id): _forms(message.string) for message in catalog if message.id}


def _forms(text: str | list[str] | tuple[str, ...] | None) -> tuple[str, ...]:
    return (text,) if isinstance(text, str) else tuple(text or ())


def test_every_sentence_of_the_sources_is_in_the_english_catalogue(
    application: Application, english: Catalog
) -> None:
    """A sentence added or reworded without `make translations` would show in Portuguese."""
    sentences = {forms[0] for forms in translated_sentences(english)}
    assert sentences_of_the_sources(application.sources) - sentences == set()


def test_every_message_has_an_english_sentence(english: Catalog) -> None:
    """An empty translation falls back to Portuguese in silence."""
    untranslated = [
        sentence
        for sentence, translations in translated_sentences(english).items()
        if not translations or not all(translations)
    ]
    assert untranslated == []


def test_no_translation_is_the_portuguese_sentence_itself(english: Catalog) -> None:
    """Tools count a copied sentence as translated; only a reader would notice."""
    copied = {
        sentence[0]
        for sentence, translations in translated_sentences(english).items()
        if sentence == translations and WORD.search(PLACEHOLDER.sub("", sentence[0]))
    }
    assert copied - SAME_IN_ENGLISH == set()


def test_no_translation_is_fuzzy(english: Catalog) -> None:
    """Fuzzy entries are guesses: the compiler drops them, and the page falls back."""
    assert [m.id for m in english if m.fuzzy] == []


def test_translations_keep_the_placeholders_of_their_sentence(english: Catalog) -> None:
    """A lost `%(amount)s` hides the amount; an invented placeholder is an error 500."""
    different = [
        sentence
        for sentence, translations in translated_sentences(english).items()
        for form in translations
        if sorted(PLACEHOLDER.findall(sentence[-1])) != sorted(PLACEHOLDER.findall(form))
    ]
    assert different == []


def test_the_compiled_catalogue_is_up_to_date(application: Application, english: Catalog) -> None:
    """Pages read the .mo: if it was not compiled again, they show old sentences."""
    fresh = BytesIO()
    write_mo(fresh, english)
    fresh.seek(0)
    with (application.catalogue / "messages.mo").open("rb") as file:
        assert translated_sentences(read_mo(file)) == translated_sentences(read_mo(fresh))
