"""The scenarios in Portuguese: each text completes *este pagamento …*."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from bank.chaos.scenarios import Scenario

SCENARIO_TEXTS: Mapping[Scenario, str] = MappingProxyType(
    {
        Scenario.PAY_LESS: "paga um centavo a menos do que a cobrança pede",
        Scenario.PAY_MORE: "paga um centavo a mais do que a cobrança pede",
        Scenario.WRONG_KEY: "avisa a loja com a assinatura de outra chave",
        Scenario.STALE: "avisa a loja com uma assinatura de dez minutos atrás",
        Scenario.BAD_SIGNATURE: "chega primeiro com uma assinatura falsa, depois com a certa",
        Scenario.DOUBLE: "avisa a loja duas vezes, ao mesmo tempo",
        Scenario.TEN_TIMES: "avisa a loja dez vezes, uma depois da outra",
        Scenario.PARALLEL: "avisa a loja dez vezes, ao mesmo tempo",
        Scenario.LATE: "segura o aviso à loja por alguns segundos",
        Scenario.OUT_OF_ORDER: "troca a ordem do aviso com o do próximo pagamento assim",
        Scenario.LOST_ONCE: "perde o primeiro aviso no caminho e avisa de novo",
        Scenario.ANSWER_LOST: "perde a resposta da loja ao primeiro aviso e avisa de novo",
        Scenario.LOST: "nunca avisa a loja: só a consulta dela ao banco o encontra",
        Scenario.SLOW_API: "nunca avisa a loja, e o banco demora a responder à consulta",
        Scenario.BROKEN_API: "nunca avisa a loja, e a consulta ao banco falha no começo",
        Scenario.TOLD_AFTER_DEADLINE: "é feito no prazo e avisado depois dele",
        Scenario.PAID_AFTER_DEADLINE: "só sai da conta depois do prazo",
    }
)
