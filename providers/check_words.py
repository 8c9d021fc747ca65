"""What a check and an account's faults mean, in sentences for pages and for the terminal."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from providers.check import CheckLine, CheckStep
from web.pages import translate as _

_LIST_REFUSED = "list-refused:"
_STATUS = re.compile(r"status-(\d{3})")


def step_name(step: CheckStep) -> str:
    """What the step tries."""
    return {
        CheckStep.SECRETS: _("Credenciais guardadas"),
        CheckStep.ADDRESS: _("Endereço do banco"),
        CheckStep.BANK_CERTIFICATE: _("Certificado do banco"),
        CheckStep.CERTIFICATE: _("Seu certificado"),
        CheckStep.TOKEN: _("Token de acesso"),
        CheckStep.SCOPES: _("Permissões"),
        CheckStep.KEY: _("Chave Pix"),
        CheckStep.CALLBACK: _("Endereço dos avisos"),
        CheckStep.MONEY: _("Pix do último minuto"),
        CheckStep.CLOCK: _("Relógio do banco"),
    }[step]


def sentence(line: CheckLine) -> str:
    """What came of the step."""
    if line.code == "fault":
        words = fault_sentence(str(line.facts.get("fault", "")))
        detail = str(line.facts.get("detail", ""))
        return f"{words} “{detail}”" if detail else words
    template = _templates().get((line.step, line.code)) or _common()[line.code]
    return template % _FilledFacts(line.facts)


class _FilledFacts(dict[str, Any]):
    """The facts of a line; a fact that is missing is written as a dash."""

    def __init__(self, facts: Mapping[str, Any]) -> None:
        super().__init__(facts)

    def __missing__(self, _name: str) -> str:
        return "–"


def _common() -> dict[str, str]:
    return {
        "good": _("Funciona."),
        "no-answer": _("O banco ainda não respondeu."),
        "time-over": _("Não houve tempo de tentar."),
        "running": _("Outra verificação desta conta está em andamento: espere por ela."),
        "too-often": _("Foram verificações demais: tente de novo em %(seconds)s s."),
        "earlier": _("Não foi tentado, porque um passo anterior falhou."),
        "no-secrets": _("Não foi tentado: as credenciais não podem ser lidas."),
    }


def _templates() -> dict[tuple[CheckStep, str], str]:
    return {
        (CheckStep.SECRETS, "good"): _("Estão cifradas e podem ser lidas."),
        (CheckStep.SECRETS, "unreadable"): _(
            "Foram cifradas com outra SECRET_KEY. Digite as credenciais de novo."
        ),
        (CheckStep.ADDRESS, "good"): _("%(hosts)s responde."),
        (CheckStep.ADDRESS, "settings"): _("A configuração não serve: %(reason)s"),
        (CheckStep.ADDRESS, "unreachable"): _("Não há conexão com %(host)s."),
        (CheckStep.BANK_CERTIFICATE, "good"): _("É de confiança e vale por mais %(days)s dias."),
        (CheckStep.BANK_CERTIFICATE, "local"): _("Sem TLS: o endereço é desta máquina."),
        (CheckStep.BANK_CERTIFICATE, "untrusted"): _(
            "Não é de confiança: %(reason)s. Se o banco tem autoridade própria, envie-a."
        ),
        (CheckStep.BANK_CERTIFICATE, "broken"): _("A conexão TLS falhou: %(reason)s."),
        (CheckStep.CERTIFICATE, "good"): _("Vale por mais %(days)s dias."),
        (CheckStep.CERTIFICATE, "soon"): _("Vence em %(days)s dias: emita um novo no banco."),
        (CheckStep.CERTIFICATE, "expired"): _("Venceu: emita um novo no banco e troque aqui."),
        (CheckStep.CERTIFICATE, "not-needed"): _("Este banco não pede certificado."),
        (CheckStep.CERTIFICATE, "missing"): _("Este banco pede um certificado: envie o arquivo."),
        (CheckStep.CERTIFICATE, "refused"): _("O banco recusou o certificado."),
        (CheckStep.TOKEN, "good"): _("O banco deu um token, que vale por %(seconds)s s."),
        (CheckStep.SCOPES, "good"): _("O banco deu todas as permissões pedidas."),
        (CheckStep.SCOPES, "unsaid"): _("O banco não diz quais permissões deu."),
        (CheckStep.SCOPES, "missing"): _(
            "Faltam permissões: %(scopes)s. Peça-as no portal do banco."
        ),
        (CheckStep.KEY, "good"): _("O banco aceita a chave desta conta."),
        (CheckStep.KEY, "unsaid"): _("O banco não disse se a chave é desta conta."),
        (CheckStep.CALLBACK, "good"): _("O banco avisa no endereço desta conta."),
        (CheckStep.CALLBACK, "none"): _(
            "Nenhum endereço registrado: os Pix chegam só por consulta."
        ),
        (CheckStep.CALLBACK, "other"): _("O banco avisa em outro endereço: %(address)s."),
        (CheckStep.MONEY, "good"): _("A lista de Pix pode ser lida: %(count)s no último minuto."),
        (CheckStep.CLOCK, "good"): _("Diferença de %(seconds)s s."),
        (CheckStep.CLOCK, "far"): _("Diferença de %(seconds)s s: os horários do banco não batem."),
        (CheckStep.CLOCK, "unsaid"): _("O banco não disse a hora."),
    }


def fault_sentence(code: str) -> str:
    """What a failure's code means, and what to do."""
    not_removed = _("O banco ainda não removeu uma cobrança encerrada; o serviço tenta de novo.")
    no_code = _("O banco ainda não deu o código Pix da cobrança.")
    faults = {
        "timeout": _("O banco não respondeu a tempo."),
        "closed": _("O banco fechou a conexão."),
        "connect": _("Não há conexão com o banco."),
        "busy": _("Há chamadas demais ao banco ao mesmo tempo."),
        "tls": _("A conexão segura com o banco falhou."),
        "bank-certificate": _("O certificado do banco não é de confiança."),
        "unreadable": _("O banco respondeu algo que não é da API Pix."),
        "redirect": _("O banco mandou para outro endereço: confira o endereço da conta."),
        "breaker-open": _("O banco falhou várias vezes; a próxima tentativa vem em instantes."),
        "rate-limit": _("Houve chamadas demais ao banco; a próxima tentativa vem em instantes."),
        "token": _("O banco não deu o token de acesso."),
        "code-invalid": _("O código Pix do banco não confere, e por isso não foi mostrado."),
        "code-missing": no_code,
        "no-code": no_code,
        "still-active": not_removed,
        "not-removed": not_removed,
        "missing-unproved": not_removed,
        "internal": _("O serviço falhou ao usar esta conta: o operador vê o motivo no registro."),
        "provider-secrets-unreadable": _(
            "As credenciais não podem ser lidas, porque a SECRET_KEY mudou. Digite-as de novo."
        ),
        "unauthorized": _("O banco recusou as credenciais: confira Client ID, segredo e ambiente."),
        "invalid_client": _(
            "O banco recusou as credenciais: confira Client ID, segredo e ambiente."
        ),
        "forbidden": _("O banco negou o acesso: confira ambiente, certificado e permissões."),
        "status-403": _("O banco negou o acesso: confira ambiente, certificado e permissões."),
        "scope": _("Falta uma permissão: peça-a no portal do banco."),
        "chave_invalida": _("O banco recusou a chave Pix: ela precisa ser desta conta."),
        "certificate-required": _("O banco pede um certificado, e a conta não tem."),
        "certificate-unusable": _("O certificado guardado não serve: envie o arquivo de novo."),
        "certificate-refused": _("O banco recusou o certificado da conta."),
        "certificate-expired": _("O certificado da conta venceu: emita um novo e troque aqui."),
    }
    if words := faults.get(code):
        return words
    if code.startswith(_LIST_REFUSED):
        return _(
            "O banco recusa a lista de Pix (“%(code)s”): confira com ele as permissões da conta. "
            "Pix sem cobrança e devoluções podem chegar com atraso."
        ) % {"code": code.removeprefix(_LIST_REFUSED)}
    if status := _STATUS.fullmatch(code):
        number = status[1]
        if number.startswith("5"):
            return _("O banco está com problemas (%(status)s).") % {"status": number}
        return _("O banco recusou o pedido (%(status)s).") % {"status": number}
    return _("O banco respondeu “%(code)s”.") % {"code": code}


def callback_fault_sentence(code: str) -> str:
    """Why callbacks do not come."""
    words = {
        "none": _("Nenhum endereço está registrado no banco."),
        "other-address": _("O banco tem outro endereço registrado."),
        "none-came": _("O banco não avisou de vários Pix, que só apareceram por consulta."),
    }
    return words.get(code) or fault_sentence(code)
