"""The project's documents as pages: Markdown files of docs/, rendered once per process."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from pathlib import Path

from markdown_it import MarkdownIt
from markdown_it.token import Token

_DOCS = Path(__file__).resolve().parent.parent / "docs"
ADDRESS = "http://127.0.0.1:5000"
"""The service's address in the documents, in place of which a page shows its own."""
ROOT = "/docs/"
"""Where links between documents lead; a page puts its own address in place of it."""

_COMMENT = re.compile(r"<!--.*?-->\n?", re.S)
_ROW = re.compile(r"^\| `([a-z-]+)` \| (\d{3}) \| (.+?) \| (.+?) \|$", re.M)


@dataclass(frozen=True)
class Heading:
    """A second-level heading: the page's own table of contents."""

    anchor: str
    text: str


@dataclass(frozen=True)
class Document:
    """A rendered document. `body` is HTML, without the title."""

    name: str
    title: str
    body: str
    headings: tuple[Heading, ...]


@dataclass(frozen=True)
class ErrorHelp:
    """Why an error occurs and what to do, as HTML."""

    cause: str
    remedy: str


@cache
def document_names() -> tuple[str, ...]:
    """The names of all documents, without `.md`, sorted."""
    return tuple(sorted(path.stem for path in _DOCS.glob("*.md")))


@cache
def read_document(name: str) -> Document:
    """Render a document. Raises KeyError if there is none of this name."""
    if name not in document_names():
        raise KeyError(name)
    text = _COMMENT.sub("", (_DOCS / f"{name}.md").read_text(encoding="utf-8"))
    markdown = _markdown()
    tokens = markdown.parse(text)
    headings, title = [], name
    for opening, inline in pairwise(tokens):
        if opening.type != "heading_open":
            continue
        plain_text = "".join(child.content for child in inline.children or ())
        if opening.tag == "h1":
            title = plain_text
            continue
        opening.attrSet("id", anchor_of(inline.content))
        if opening.tag == "h2":
            headings.append(Heading(anchor_of(inline.content), plain_text))
    for token in tokens:
        _adapt_links(token.children or [])
    body = markdown.renderer.render(_without_title(tokens), markdown.options, {})
    body = body.replace("<table>", '<div class="docs-table"><table>')
    body = body.replace("</table>", "</table></div>")
    return Document(name, title, body, tuple(headings))


@cache
def error_help() -> dict[str, ErrorHelp]:
    """Cause and remedy of every error code, from the table of docs/errors.md."""
    text = (_DOCS / "errors.md").read_text(encoding="utf-8")
    markdown = _markdown()
    return {
        code: ErrorHelp(_inline(markdown, cause), _inline(markdown, remedy))
        for code, _status, cause, remedy in _ROW.findall(text)
    }


def anchor_of(heading: str) -> str:
    """The anchor that GitHub gives a heading, so that links work in both places."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def _markdown() -> MarkdownIt:
    return MarkdownIt("commonmark", {"html": False}).enable("table")


def _inline(markdown: MarkdownIt, text: str) -> str:
    tokens = markdown.parseInline(text)
    for token in tokens:
        _adapt_links(token.children or [])
    return str(markdown.renderer.render(tokens, markdown.options, {}))


def _without_title(tokens: list[Token]) -> list[Token]:
    """The page's frame shows the title itself."""
    is_titled = bool(tokens) and tokens[0].type == "heading_open" and tokens[0].tag == "h1"
    return tokens[3:] if is_titled else tokens


def _adapt_links(inline: list[Token]) -> None:
    """Link documents to each other's pages; links to other files, and images, become plain text."""
    is_plain = False
    for token in inline:
        if token.type == "link_open":
            target = _page_of(str(token.attrGet("href") or ""))
            is_plain = target is None
            if target is not None:
                token.attrSet("href", target)
        if token.type == "image":  # screenshots are not part of the service
            token.type, token.tag = "text", ""
        if is_plain and token.type in ("link_open", "link_close"):
            is_plain = token.type == "link_open"
            token.type, token.tag, token.nesting, token.content = "text", "", 0, ""


def _page_of(href: str) -> str | None:
    """The address of a link's page below `ROOT`, or None if the file is not served."""
    path, _, anchor = href.partition("#")
    if not path or re.match(r"[a-z]+:", path):
        return href
    name = path.removesuffix(".md")
    if name not in document_names():
        return None
    return f"{ROOT}{name}#{anchor}" if anchor else f"{ROOT}{name}"
