"""The scenarios in words: each text completes *este pagamento …*, in English *this payment …*."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from bank.chaos.scenarios import MixError
from bank.languages import translate as _
from core.languages import N_
from core.scenarios import Scenario

SCENARIO_TEXTS: Mapping[Scenario, str] = MappingProxyType(
    {
        Scenario.PAY_LESS: N_("paga um centavo a menos do que a cobrança pede"),
        Scenario.PAY_MORE: N_("paga um centavo a mais do que a cobrança pede"),
        Scenario.WRONG_KEY: N_("avisa a loja com a assinatura de outra chave"),
        Scenario.STALE: N_("avisa a loja com uma assinatura de dez minutos atrás"),
        Scenario.BAD_SIGNATURE: N_("chega primeiro com uma assinatura falsa, depois com a certa"),
        Scenario.DOUBLE: N_("avisa a loja duas vezes, ao mesmo tempo"),
        Scenario.TEN_TIMES: N_("avisa a loja dez vezes, uma depois da outra"),
        Scenario.PARALLEL: N_("avisa a loja dez vezes, ao mesmo tempo"),
        Scenario.LATE: N_("segura o aviso à loja por alguns segundos"),
        Scenario.OUT_OF_ORDER: N_("troca a ordem do aviso com o do próximo pagamento assim"),
        Scenario.LOST_ONCE: N_("perde o primeiro aviso no caminho e avisa de novo"),
        Scenario.ANSWER_LOST: N_("perde a resposta da loja ao primeiro aviso e avisa de novo"),
        Scenario.LOST: N_("nunca avisa a loja: só a consulta dela ao banco o encontra"),
        Scenario.SLOW_API: N_("nunca avisa a loja, e o banco demora a responder à consulta"),
        Scenario.BROKEN_API: N_("nunca avisa a loja, e a consulta ao banco falha no começo"),
        Scenario.TOLD_AFTER_DEADLINE: N_("é feito no prazo e avisado depois dele"),
        Scenario.PAID_AFTER_DEADLINE: N_("só sai da conta depois do prazo"),
        Scenario.REFUND_REFUSED: N_("chega, mas o banco recusa a devolução"),
    }
)

_MIX_FAULTS: Mapping[str, str] = MappingProxyType(
    {
        "too-long": N_("Uma mistura tem até %(number)s caracteres."),
        "unknown": N_("“%(name)s” não é nenhum destes: %(names)s."),
        "twice": N_("%(name)s aparece duas vezes."),
        "empty": N_("Uma mistura precisa de um cenário com peso acima de zero."),
        "weight": N_("O peso de %(name)s tem de ser um número inteiro até %(number)s."),
    }
)


def mix_fault(error: MixError) -> str:
    """Why the text is not a mix, as a sentence for the page."""
    return _(_MIX_FAULTS[error.fault]) % error.values
