"""What the settings ask before they delete the logo, revoke a key or end a session."""

from __future__ import annotations

from blueprints.portal.confirmation import Question
from db_models import ApiKey, SignIn
from web.pages import translate as _


def logo_question() -> Question:
    """Ask whether to delete the logo."""
    return Question(
        _("Tirar a logo?"),
        _("Sim, tirar a logo"),
        warning=_(
            "As suas páginas passam a mostrar as iniciais da loja. "
            "Para ter a logo de volta, envie a imagem de novo."
        ),
    )


def key_question(key: ApiKey) -> Question:
    """Ask whether to revoke the key."""
    return Question(
        _("Revogar a chave %(label)s?") % {"label": key.label},
        _("Sim, revogar a chave"),
        ((_("Chave de API"), f"{key.prefix}…"),),
        _("Os programas que usam esta chave param na hora. Não dá para desfazer."),
    )


def session_question(session: SignIn) -> Question:
    """Ask whether to end the session."""
    device = session.user_agent[:90] or _("Programa")
    return Question(
        _("Encerrar esta sessão?"),
        _("Sim, encerrar a sessão"),
        ((_("Aparelho"), device), (_("Endereço"), session.address)),
        _("Quem usa esta sessão precisa entrar de novo."),
    )
