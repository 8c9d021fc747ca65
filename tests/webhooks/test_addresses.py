"""Where webhooks may go: every spelling of a private address is refused, public ones are not."""

from __future__ import annotations

import ipaddress
import socket

import pytest

from core.runtime.lookups import LookUpFailed
from webhooks.addresses import AddressRefused, check_url, resolve

PRIVATE_HOSTS = [
    "127.0.0.1",
    "127.0.0.1.",
    "127.255.255.254",
    "127.1",
    "2130706433",
    "0x7f000001",
    "0x7f.1",
    "0X7F.0.0.1",
    "0177.0.0.1",
    "017700000001",
    "127.0.0.01",
    "0",
    "0.0.0.0",  # noqa: S104 - a value
    "10.1.2.3",
    "172.16.0.1",
    "172.31.255.255",
    "192.168.0.1",
    "100.64.0.1",
    "169.254.169.254",
    "168.63.129.16",
    "192.0.0.192",
    "192.0.2.1",
    "192.88.99.1",
    "198.18.0.1",
    "203.0.113.9",
    "224.0.0.1",
    "240.0.0.1",
    "255.255.255.255",
    "１２７.0.0.1",  # noqa: RUF001 - full-width digits
    "127。0。0。1",
    "①⑦②.16.0.1",
    "%31%32%37.0.0.1",
    "[::1]",
    "[::]",
    "[0:0:0:0:0:0:0:1]",
    "[::ffff:127.0.0.1]",
    "[::FFFF:7f00:1]",
    "[::127.0.0.1]",
    "[64:ff9b::127.0.0.1]",
    "[64:ff9b::a9fe:a9fe]",
    "[64:ff9b:1::8.8.8.8]",
    "[2002:7f00:1::1]",
    "[2002:808:808::1]",
    "[2001:0:808:808::1]",
    "[2600::5efe:10.0.0.1]",
    "[2600::200:5efe:127.0.0.1]",
    "[fe80::1]",
    "[fe80::1%25eth0]",
    "[fe80::1%eth0]",
    "[fc00::1]",
    "[fd00:ec2::254]",
    "[fec0::1]",
    "[ff02::1]",
    "[100::1]",
    "[2001:db8::1]",
    "[3fff::1]",
    "[127.0.0.1]",
    "localhost",
    "localhost.",
    "LOCALHOST",
    "ＬｏｃａｌＨｏｓｔ",  # noqa: RUF001 - full-width letters
    "shop.localhost",
    "printer.local",
    "metadata.google.internal",
    "router.home.arpa",
    "intranet",
]


@pytest.mark.parametrize("host", PRIVATE_HOSTS)
def test_a_private_address_is_refused_in_every_spelling(host: str) -> None:
    """A merchant's URL must not reach the operator's network, however its address is written."""
    with pytest.raises(ValueError, match=r"^The URL.*\.$"):
        check_url(f"https://{host}/hook", allow_private=False)


@pytest.mark.parametrize(
    ("url", "normal"),
    [
        ("https://example.com", "https://example.com/"),
        ("https://example.com./a", "https://example.com/a"),
        ("HTTPS://Hooks.EXAMPLE.com:443/A?b=C", "https://hooks.example.com/A?b=C"),
        ("https://example.com:/a", "https://example.com/a"),
        ("https://example.com:1024/", "https://example.com:1024/"),
        ("https://example.com:65535/", "https://example.com:65535/"),
        ("https://lojá.com.br/ação?é=ã", "https://xn--loj-gla.com.br/a%C3%A7%C3%A3o?%C3%A9=%C3%A3"),
        ("https://example.com/a%20b?x=%2F", "https://example.com/a%20b?x=%2F"),
        ("https://my_shop.example.com/", "https://my_shop.example.com/"),
        ("https://localhost.example.com/", "https://localhost.example.com/"),
        ("https://notlocal.net/", "https://notlocal.net/"),
        ("https://0x7f.example/", "https://0x7f.example/"),
        ("https://8.8.8.8/", "https://8.8.8.8/"),
        ("https://172.15.255.255/", "https://172.15.255.255/"),
        ("https://172.32.0.0/", "https://172.32.0.0/"),
        ("https://100.63.255.255/", "https://100.63.255.255/"),
        ("https://100.128.0.0/", "https://100.128.0.0/"),
        ("https://[2606:4700:0:0::1111]:8443/", "https://[2606:4700::1111]:8443/"),
        ("https://[64:ff9b::8.8.8.8]/", "https://[64:ff9b::808:808]/"),
        ("https://[2600::5efe:8.8.8.8]/", "https://[2600::5efe:808:808]/"),
    ],
)
def test_a_public_url_is_accepted_and_normalised(url: str, normal: str) -> None:
    """The other side: the neighbours of the refused addresses are somebody's receivers."""
    assert check_url(url, allow_private=False) == normal
    assert check_url(normal, allow_private=False) == normal


@pytest.mark.parametrize(
    "url",
    [
        "",
        "example.com",
        "//example.com/",
        "https:example.com",
        "https:///example.com",
        "https://",
        "https://:443/",
        "ftp://example.com/",
        "file:///etc/passwd",
        "gopher://example.com:25/",
        "javascript:alert(1)",
        "https://user@example.com/",
        "https://user:password@example.com/",
        "https://example.com@127.0.0.1/",
        "https://@example.com/",
        "https://example.com/#",
        "https://example.com/#part",
        "https://example.com\\@127.0.0.1/",
        "https:\\\\example.com/",
        "https://exa\tmple.com/",
        "https://example.com/\r\nHost: x",
        "https://example.com/a b",
        " https://example.com/",
        "https://example.com/\u200b",
        "https://example.com/\ud800",
        "https://example.com:0/",
        "https://example.com:65536/",
        "https://example.com:99999999999/",
        "https://example.com:8x/",
        "https://example.com:-1/",
        "https://example.com:١/",  # noqa: RUF001 - an Arabic digit
        "https://a..example.com/",
        "https://.example.com/",
        "https://-a.example.com/",
        "https://a,b.example.com/",
        "https://example.com：443/",  # noqa: RUF001 - a full-width colon
        "https://example.com／a/",  # noqa: RUF001 - a full-width slash
        "https://straße.de/",
        "https://" + "a" * 64 + ".com/",
        "https://" + "a." * 130 + "com/",
        "https://[::1/",
        "https://::1/",
        "https://a[::1]/",
        "https://[v1.x]/",
        "https://1.2.3.4.5/",
        "https://256.8.8.8/",
    ],
)
@pytest.mark.parametrize("allow_private", [False, True])
def test_a_url_that_readers_understand_differently_is_refused(
    url: str, allow_private: bool
) -> None:
    """Browsers, libraries and people disagree on these; a setting does not make them clear."""
    with pytest.raises(ValueError, match=r"^The URL.*\.$"):
        check_url(url, allow_private=allow_private)


def test_the_longest_url() -> None:
    """Its normal form is limited too: percent-encoding makes a URL longer."""
    base = "https://example.com/"
    longest = base + "a" * (2048 - len(base))
    assert check_url(longest, allow_private=False) == longest
    for url in (longest + "a", longest[:-1] + "é"):
        with pytest.raises(ValueError, match="at most 2048 characters"):
            check_url(url, allow_private=False)


@pytest.mark.parametrize(
    "url",
    [
        "http://example.com/",
        "https://example.com:25/",
        "https://example.com:22/",
        "https://example.com:80/",
        "https://example.com:1023/",
        "http://127.0.0.1:5000/",
        "http://localhost:5000/",
        "http://receiver:8000/",
        "https://192.168.0.10/",
        "https://100.64.0.1/",
        "https://[::1]:8443/",
        "https://[fd12::1]/",
    ],
)
def test_a_closed_network_allows_what_production_refuses(url: str) -> None:
    """In development the receiver is on the same machine, without a certificate."""
    assert check_url(url, allow_private=True) == url
    with pytest.raises(ValueError, match=r"^The URL.*\.$"):
        check_url(url, allow_private=False)


@pytest.mark.parametrize(
    "host",
    [
        "169.254.169.254",
        "168.63.129.16",
        "100.100.100.200",
        "192.0.0.192",
        "0.0.0.0",  # noqa: S104 - a value
        "224.0.0.1",
        "255.255.255.255",
        "2130706433",
        "[::]",
        "[fe80::1]",
        "[ff02::1]",
        "[fd00:ec2::254]",
        "[fd20:ce::254]",
        "[::ffff:169.254.169.254]",
        "[64:ff9b::169.254.169.254]",
        "[2002:a9fe:a9fe::1]",
        "[fd00::5efe:169.254.169.254]",
    ],
)
def test_some_addresses_are_refused_even_in_a_closed_network(host: str) -> None:
    """A cloud's metadata service gives away the machine's credentials."""
    with pytest.raises(ValueError, match=r"^The URL.*\.$"):
        check_url(f"http://{host}/", allow_private=True)


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The addresses that the name server answers."""
    texts: list[str] = []

    def getaddrinfo(host: str, port: int, *_: object) -> list[object]:
        assert host == "example.com"
        return [
            (socket.AF_INET6, socket.SOCK_STREAM, 6, "", (text.split("%")[0], port, 0, "%" in text))
            if ":" in text
            else (socket.AF_INET, socket.SOCK_STREAM, 6, "", (text, port))
            for text in texts
        ]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    return texts


PUBLIC = ["8.8.8.8", "2606:4700::1"]


@pytest.mark.parametrize(
    "private",
    [
        "127.0.0.1",
        "10.0.0.1",
        "169.254.169.254",
        "0.0.0.0",  # noqa: S104 - a value
        "::1",
        "fe80::1%1",
        "2606:4700::2%1",
        "fd00::1",
        "::ffff:10.0.0.1",
        "64:ff9b::10.0.0.1",
        "2002:a00:1::",
    ],
)
@pytest.mark.parametrize("is_last", [False, True])
def test_one_private_address_refuses_a_name(
    answers: list[str], private: str, is_last: bool
) -> None:
    """An attacker's name may have a public address as well; and no sentence tells the address."""
    answers += [*PUBLIC, private] if is_last else [private, *PUBLIC]
    with pytest.raises(AddressRefused, match=r"^The host resolves to an address that .*\.$") as e:
        resolve("example.com", 443, allow_private=False)
    assert not any(character in str(e.value) for character in "0123456789:")


def test_a_public_name_is_resolved_to_two_addresses_of_each_family(answers: list[str]) -> None:
    """In the system's order, so that a machine without IPv6 connects at once; and bounded."""
    answers += ["2606::1", "2606::2", "2606::3", "8.8.0.1", "8.8.0.1", "8.8.0.2", "8.8.0.3"]
    resolution = resolve("example.com", 443, allow_private=False)
    assert resolution == ("2606::1", "2606::2", "8.8.0.1", "8.8.0.2")


def test_a_closed_network_resolves_to_private_addresses_but_not_to_metadata(
    answers: list[str],
) -> None:
    """Both sides of the setting, behind a name."""
    answers.append("10.0.0.1")
    assert resolve("example.com", 443, allow_private=True) == ("10.0.0.1",)
    answers.append("169.254.169.254")
    with pytest.raises(AddressRefused):
        resolve("example.com", 443, allow_private=True)


def test_a_literal_address_is_checked_without_a_name_server(answers: list[str]) -> None:
    """The fixture refuses every question but one."""
    assert answers == []
    assert resolve("8.8.8.8", 443, allow_private=False) == ("8.8.8.8",)
    assert resolve("2606:4700::1", 443, allow_private=False) == ("2606:4700::1",)
    with pytest.raises(AddressRefused):
        resolve("::1", 443, allow_private=False)


def test_the_systems_resolver_reads_odd_numbers_and_they_are_refused() -> None:
    """The C library calls 2130706433 an address; its answer is checked like any other."""
    assert ipaddress.ip_address(socket.gethostbyname("2130706433")).is_loopback
    with pytest.raises(AddressRefused):
        resolve("2130706433", 443, allow_private=False)


def test_a_name_without_an_address_is_a_failed_look_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not a refusal: the name server may work again in five minutes."""

    def getaddrinfo(*_: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    with pytest.raises(LookUpFailed, match="cannot be resolved"):
        resolve("example.com", 443, allow_private=False)
