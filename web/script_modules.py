"""Digests of static files: a module's covers what it imports, and its imports name theirs.

So a cache may keep a module for a year, like every file whose address has a digest. A module has
one address on a page, whether a tag or an import names it: a second one would double its state.
"""

from __future__ import annotations

import hashlib
import posixpath
import re
from pathlib import Path

STATIC = Path(__file__).resolve().parent.parent / "static"
AS_PUBLISHED = "vendor/"
"""Libraries are sent byte for byte, as their checksums say."""
_IMPORT = re.compile(r'(\b(?:from|import)\s*\(?\s*")(\.{1,2}/[^"?#\n]+\.js)(?=")')


def with_imports(name: str) -> list[str]:
    """The file, and if it is a module of ours, all that it imports, also through others."""
    names = [name]
    for one in names:  # grows
        if one.endswith(".js") and not one.startswith(AS_PUBLISHED):
            source = (STATIC / one).read_text("utf-8")
            targets = dict.fromkeys(_name_of(one, match[2]) for match in _IMPORT.finditer(source))
            names += [new for new in targets if new not in names and _is_file(new)]
    return names


def digest_of(name: str) -> str:
    """A hash of the file's content and of all that it imports; "0" of a missing file."""
    digest = hashlib.sha256()
    try:
        for one in with_imports(name):
            digest.update((STATIC / one).read_bytes())
    except FileNotFoundError:
        return "0"
    return digest.hexdigest()[:12]


def with_digests(name: str, source: str) -> str:
    """The source of this module with the digest in the address of each import."""

    def address(match: re.Match[str]) -> str:
        target = _name_of(name, match[2])
        return f"{match[0]}?v={digest_of(target)}" if _is_file(target) else match[0]

    return _IMPORT.sub(address, source)


def _name_of(importer: str, specifier: str) -> str:
    return posixpath.normpath(posixpath.join(posixpath.dirname(importer), specifier))


def _is_file(name: str) -> bool:
    return not name.startswith("../") and (STATIC / name).is_file()
