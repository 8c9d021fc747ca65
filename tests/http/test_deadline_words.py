"""How the payment page says its deadline, before any script runs."""

from __future__ import annotations

import re

import pytest

HOUR = 3600


def deadline(client, payment, language="pt-BR") -> tuple[str, str]:
    """The class of the deadline's line, and its words."""
    page = client.get(f"/payments/pix/{payment['id']}?lang={language}").text
    line = re.search(r'<p class="(deadline[^"]*)" data-deadline>(.*?)</p>', page, re.DOTALL)
    assert line is not None
    words = " ".join(re.sub("<[^>]+>", "", line[2]).split())
    return line[1], words


@pytest.mark.parametrize(
    ("seconds", "until", "in_english"),
    [
        (12 * HOUR - 1, "Pague até 23:59", "Pay by 23:59"),
        (12 * HOUR, "Pague até amanhã às 00:00", "Pay by tomorrow at 00:00"),
        (36 * HOUR - 1, "Pague até amanhã às 23:59", "Pay by tomorrow at 23:59"),
        (36 * HOUR, "Pague até 22 nov. às 00:00", "Pay by 22 Nov at 00:00"),
    ],
)
def test_a_deadline_of_another_day_names_the_day(client, make_payment, seconds, until, in_english):
    """It is noon in São Paulo: *09:56* alone would be read as a time that has passed."""
    payment = make_payment(expires_in=seconds)
    assert deadline(client, payment)[1].startswith(f"{until} (faltam")
    words = deadline(client, payment, "en")[1].lower().replace("nov 22", "22 nov")
    assert words.startswith(in_english.lower())


@pytest.mark.parametrize(
    ("seconds", "style"),
    [
        (300, "deadline"),
        (299, "deadline deadline--near"),
        (60, "deadline deadline--near"),
        (59, "deadline deadline--near deadline--last"),
    ],
)
def test_the_last_minutes_have_their_colours(client, make_payment, seconds, style):
    """Amber in the last five minutes, red in the last one."""
    assert deadline(client, make_payment(expires_in=seconds))[0] == style


def test_the_deadline_stands_before_the_code(client, make_payment):
    """On a phone it was below the code and the steps, out of sight."""
    page = client.get(f"/payments/pix/{make_payment()['id']}").text
    assert page.index("data-deadline>") < page.index('data-copy="pix-code"')
