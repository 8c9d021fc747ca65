"""Which origin is this service's own, however a proxy names the host."""

from __future__ import annotations

import pytest

from accounts import csrf

PUBLIC_URL = "https://Loja.example:443"


@pytest.fixture
def own(app):
    """Whether an Origin is accepted for a request to this address."""
    settings = app.config["BALCAO"].model_copy(update={"public_url": PUBLIC_URL})
    return lambda origin, host_url: csrf.is_own_origin(origin, host_url, settings)


@pytest.mark.parametrize(
    ("origin", "host_url", "is_own"),
    [
        (None, "http://127.0.0.1:5000/", True),
        ("https://loja.example", "http://127.0.0.1:5000/", True),
        ("https://loja.example", "http://loja.example/", True),
        ("http://127.0.0.1:5000", "http://127.0.0.1:5000/", True),
        ("http://loja.example", "http://127.0.0.1:5000/", False),
        ("https://loja.example:444", "http://127.0.0.1:5000/", False),
        ("https://loja.example.evil.example", "http://127.0.0.1:5000/", False),
        ("https://evil.example", "https://loja.example/", False),
        ("null", "https://loja.example/", False),
        ("", "https://loja.example/", False),
        ("https://[", "https://loja.example/", False),
        ("https://loja.example:99999", "https://loja.example/", False),
    ],
)
def test_the_public_address_is_accepted_whatever_host_the_proxy_sends(
    own, origin, host_url, is_own
):
    """nginx sends its own Host by default, and live events stopped for everybody."""
    assert own(origin, host_url) is is_own


def test_a_refused_origin_is_logged_once(own, monkeypatch):
    """The operator must see a wrong PUBLIC_URL, and a stranger must not fill the disk."""
    lines = []
    monkeypatch.setattr(csrf, "_refused_origins", set())
    monkeypatch.setattr(csrf.log, "warning", lambda *_, origin, **__: lines.append(origin))
    for number in range(csrf.REFUSED_ORIGINS_MAX + 10):
        for _ in range(2):
            own(f"https://{number}.evil.example", "http://127.0.0.1:5000/")
    assert len(lines) == csrf.REFUSED_ORIGINS_MAX
    assert len(set(lines)) == len(lines)


def test_socket_io_takes_the_public_origin_and_refuses_another(app):
    """The rule holds at the door of the live events."""
    path, client = "/socket.io/?EIO=4&transport=polling", app.test_client()
    public = app.config["BALCAO"].public_url
    head = {"Host": "proxy.internal"}
    assert client.get(path, headers={**head, "Origin": public}).status_code == 200
    refused = client.get(path, headers={**head, "Origin": "https://evil.example"})
    assert refused.status_code == 400
