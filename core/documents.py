"""CPF and CNPJ numbers in answers and on pages: masked, as Brazilian banks show them."""

from __future__ import annotations


def mask_document(document: str) -> str:
    """A CPF or CNPJ without its first and last digits: `***.456.789-**`, `**.345.678/0001-**`.

    Any other text is hidden whole, unless the bank masked it already.
    """
    if "*" in document:
        return document
    if len(document) == 11:
        return f"***.{document[3:6]}.{document[6:9]}-**"
    if len(document) == 14:
        return f"**.{document[2:5]}.{document[5:8]}/{document[8:12]}-**"
    return "*" * len(document)
