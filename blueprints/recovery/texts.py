"""Messages for payers, in the request's language: a payment's state, or the kind of a code."""

from __future__ import annotations

from dataclasses import dataclass

from blueprints.recovery.reading import Kind, Reading
from core.errors import BalcaoError, InvalidRequest, UnsupportedPicture
from core.pix.br_code.fault_words import CHECKSUM_WRONG, WHOLE_BUT_FAULTY, fault_of_maker
from payments.standing import Action, PaymentState, State
from payments.standing_words import words_of
from web.pages import translate as _


@dataclass(frozen=True)
class StateMessage:
    """A heading, and one or two sentences."""

    title: str
    body: str


def of_payment_state(payment_state: PaymentState) -> StateMessage:
    """The message for a payment's state."""
    words = words_of(payment_state)
    if payment_state.state is not State.EXPIRED:
        return StateMessage(words.title, words.body)
    if payment_state.action is Action.RENEW:
        step = _("Se não pagou, gere um novo código para o mesmo pedido.")
    else:
        step = _("Se não pagou, peça um novo código à loja.")
    return StateMessage(words.title, f"{words.body} {step}")


def label_of(action: Action) -> str:
    """The label of the button."""
    return {
        Action.RECEIPT: _("Ver recibo"),
        Action.PAY: _("Abrir e pagar"),
        Action.RENEW: _("Gerar novo código"),
        Action.OPEN: _("Abrir a página do pagamento"),
    }[action]


def of_reading(reading: Reading) -> StateMessage:
    """The message for a text without a payment here."""
    if reading.may_be_ours and reading.kind is not Kind.BAKONG:
        return StateMessage(
            _("Não encontramos este pagamento"),
            _(
                "Lemos o código, mas nenhum pagamento daqui tem os dados dele. Confira se a "
                "imagem está inteira, ou fale com a loja."
            ),
        )
    return StateMessage(_("Este código não é um pagamento daqui"), _kind(reading))


def _kind(reading: Reading) -> str:
    if reading.host and reading.kind is Kind.OTHER_PIX:
        return _("Este Pix é de outra loja: ele aponta para %(host)s.") % {"host": reading.host}
    if reading.host and reading.kind is Kind.WEB_ADDRESS:
        return _("Isto é um endereço da web: %(host)s.") % {"host": reading.host}
    if reading.kind is Kind.FAULTY_PIX and reading.fault:
        return _(WHOLE_BUT_FAULTY) % {"fault": _(fault_of_maker(reading.fault))}
    if reading.kind is Kind.DAMAGED_PIX and reading.fault == "crc_mismatch":
        return _(CHECKSUM_WRONG)
    return _other_kinds()[reading.kind]


def _other_kinds() -> dict[Kind, str]:
    return {
        **_pix_kinds(),
        Kind.OTHER_EMV: _("Isto é um código de pagamento de outro país ou de outro arranjo."),
        Kind.BAKONG: _("Isto é um KHQR, do Bakong do Camboja; aqui se paga com Pix."),
        Kind.OUR_OTHER_PAGE: _("Isto é um endereço daqui, mas de nenhum pagamento."),
        Kind.WEB_ADDRESS: _("Isto é um endereço da web."),
        Kind.WIFI: _("Isto é uma rede Wi-Fi."),
        Kind.CONTACT: _("Isto é um contato."),
        Kind.PHONE: _("Isto é um telefone."),
        Kind.EMAIL: _("Isto é um endereço de e-mail."),
        Kind.MESSAGE: _("Isto é uma mensagem pronta."),
        Kind.PLACE: _("Isto é um lugar no mapa."),
        Kind.EVENT: _("Isto é um evento de agenda."),
        Kind.BOLETO: _("Isto é um boleto: pague pelo código de barras, no app do seu banco."),
        Kind.CRYPTO: _("Isto é um endereço de criptomoeda."),
        Kind.PLAIN_TEXT: _("Isto é um texto comum, sem dados de pagamento."),
        Kind.EMPTY: _("Não há nada escrito."),
    }


def _pix_kinds() -> dict[Kind, str]:
    return {
        Kind.OTHER_PIX: _("Este Pix é de outra loja."),
        Kind.STATIC_PIX: _(
            "Este é um código fixo: diz a chave de quem recebe, e nenhum pagamento. Se você já "
            "pagou, o comprovante está no app do seu banco."
        ),
        Kind.PIX_RECURRENCE: _("Este é um convite do Pix Automático, sem um pagamento."),
        Kind.DAMAGED_PIX: _(
            "Isto é um código Pix, mas falta parte dele. Tente com a imagem inteira."
        ),
        Kind.FAULTY_PIX: _(
            "Este código Pix está inteiro, mas foi feito errado. O erro é da loja ou do app que "
            "fez o código; peça outro."
        ),
        Kind.PIX_KEY: _("Isto é uma chave Pix: ela diz a quem pagar, e nenhum pagamento."),
    }


def no_code() -> StateMessage:
    """The message for a picture without a readable code."""
    return StateMessage(
        _("Não achamos um código nesta imagem"),
        _(
            "O QR precisa aparecer inteiro e sem reflexo. Na página do pagamento, toque em "
            "“Pagar com outro aparelho” antes do print. Ou cole o código escrito (Copia e Cola)."
        ),
    )


def of_error(error: BalcaoError) -> StateMessage:
    """The page's message for an error."""
    if isinstance(error, UnsupportedPicture) and error.picture_format is None:
        if error.found_format == "PDF":
            return StateMessage(
                _("Isto é um PDF"),
                _("Aqui lemos imagens. Abra o PDF, tire um print da tela e envie o print."),
            )
        if error.found_format == "HEIC":
            return StateMessage(
                _("Esta foto está em HEIC"),
                _("Aqui não lemos este formato. Abra a foto, tire um print e envie o print."),
            )
    sentences = {
        "unsupported-picture": _("Envie uma imagem PNG, JPEG, GIF ou WebP: outro tipo não serve."),
        "picture-too-large": _("A imagem pode ter até 5 MB e 40 megapixels."),
        "unreadable-picture": _("O arquivo está danificado ou incompleto. Envie outro."),
        "decoders-busy": _("Muitas imagens chegaram ao mesmo tempo. Tente de novo em instantes."),
        "too-many-requests": _("Foram muitas tentativas. Espere um instante e tente de novo."),
        "service-unavailable": _(
            "O serviço está em pausa. O que você já pagou está guardado; não pague de novo."
        ),
    }
    body = sentences.get(error.code, _("Não conseguimos ler o que veio. Confira e tente de novo."))
    return StateMessage(_("Não deu certo desta vez"), body)


def of_proof_error(error: BalcaoError) -> str:
    """The proof page's sentence for an error."""
    if error.code == "too-many-proofs":
        return _("A loja já recebeu cinco imagens deste pagamento. Fale com ela.")
    if error.code == InvalidRequest.code:
        return _("Escolha a imagem do comprovante.")
    return of_error(error).body
