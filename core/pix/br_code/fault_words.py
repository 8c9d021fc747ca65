"""One Portuguese sentence for each fault of a BR Code, the same at the bank and on recovery's page.

Both translate these sentences, with the service's catalogue.
"""

from __future__ import annotations

from core.languages import N_

WHOLE_BUT_FAULTY = N_(
    "O código está inteiro, mas foi feito errado: %(fault)s. O erro é da loja ou do app que fez o "
    "código; peça outro."
)
CHECKSUM_WRONG = N_(
    "O código está inteiro, mas o verificador (CRC) não confere: uma letra mudou no caminho, ou "
    "quem fez o código errou a conta. Copie de novo; se o erro voltar, peça outro código à loja."
)

_FAULTS = {
    "tlv_malformed": N_(
        "um campo está vazio, repetido ou com o tamanho errado (comum quando há acentos)"
    ),
    "crc_missing": N_("há algo depois do verificador (CRC)"),
    "payload_format_invalid": N_("o começo não é 000201"),
    "poi_invalid": N_("o campo 01 não é 11 nem 12"),
    "pix_account_missing": N_("falta a conta Pix de quem recebe"),
    "pix_account_invalid": N_("falta a chave Pix, ou há mais de uma conta"),
    "url_invalid": N_("o endereço da cobrança não tem a forma certa"),
    "key_invalid": N_("a chave não tem a forma de uma chave Pix"),
    "additional_info_invalid": N_("a mensagem passa de 72 letras"),
    "fss_invalid": N_("o banco do Pix Saque não tem 8 caracteres"),
    "mcc_invalid": N_("a categoria da loja não tem 4 dígitos"),
    "currency_invalid": N_("a moeda não é o real"),
    "amount_invalid": N_("o valor é zero, ou não está escrito como 1234.56"),
    "country_invalid": N_("o país não é BR"),
    "name_invalid": N_("o nome de quem recebe falta, passa de 25 letras ou tem letras invisíveis"),
    "city_invalid": N_("a cidade falta, passa de 15 letras ou tem letras invisíveis"),
    "postal_code_invalid": N_("o CEP passa de 10 caracteres"),
    "txid_invalid": N_("o identificador falta ou passa de 25 letras"),
    "too_long": N_("ele passa de 512 caracteres"),
}


def fault_of_maker(error_code: str) -> str:
    """What the maker of a whole code wrote wrongly; `error_code` is a BrCodeError's code."""
    return _FAULTS[error_code]
