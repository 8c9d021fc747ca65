"""Settings are checked once, at the start; a wrong one stops it with one sentence."""

from __future__ import annotations

import base64
import hashlib
import stat
import uuid
from datetime import timedelta
from pathlib import Path

import pytest
from pydantic import ValidationError
from sqlalchemy.engine import make_url

from config import ConfigurationError, Settings, clock_of
from core.clock import SystemClock
from core.pix import pix_key
from core.signing import signatures

# Constant, because test names contain it and must be the same in every worker.
SECRET = "whsec_" + base64.b64encode(b"a secret for these tests alone..").decode()
KEY = hashlib.sha256(b"a key for these tests alone").hexdigest()


@pytest.fixture
def env(tmp_path):
    """Read settings from these variables and an instance folder of the test's own."""

    def read(**variables: str) -> Settings:
        return Settings.from_env({"INSTANCE_DIR": str(tmp_path / "instance"), **variables})

    return read


def refusal_of(env, **variables: str) -> str:
    """The sentence of the ConfigurationError for these variables."""
    with pytest.raises(ConfigurationError) as caught:
        env(**variables)
    sentence = str(caught.value)
    assert sentence.endswith(".")
    assert "\n" not in sentence
    assert len(sentence) < 400
    return sentence


def test_nothing_is_needed_in_development(env, tmp_path):
    """For `make run` on a fresh machine."""
    settings = env()
    assert settings.app_env == "development"
    assert settings.is_development
    assert settings.database_url == f"sqlite:///{tmp_path / 'instance' / 'balcao.sqlite3'}"
    assert settings.bank_database_url.endswith("bank.sqlite3")
    assert (settings.host, settings.port) == ("127.0.0.1", 5000)
    assert settings.public_url == "http://127.0.0.1:5000"
    assert settings.bank_url == "http://127.0.0.1:5000/bank"
    assert settings.redis_url is None
    assert settings.algorithm == "HS256"
    assert settings.payment_ttl_seconds == 1800
    assert settings.sweep_interval_seconds == 1
    assert settings.sweep_start_grace_seconds == 10
    assert settings.async_mode == "eventlet"
    assert (settings.log_level, settings.log_format) == ("info", "console")
    assert settings.trusted_proxies == 0
    assert settings.bank_webhook_secret_previous is None
    assert settings.clock_file is None
    assert settings.provider_callback_url is None
    assert settings.provider_profiles_dir is None


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("DATABASE_URL", "sqlite:////tmp/x.db", "sqlite:////tmp/x.db"),
        ("DATABASE_URL", "mysql://u:p@h/d", "mysql+pymysql://u:p@h/d?charset=utf8mb4"),
        ("DATABASE_URL", "mariadb://u@h/d?a=b", "mysql+pymysql://u@h/d?a=b&charset=utf8mb4"),
        (
            "DATABASE_URL",
            "mysql+pymysql://root:admin123@127.0.0.1:3306/flask-socketio-db",
            "mysql+pymysql://root:admin123@127.0.0.1:3306/flask-socketio-db?charset=utf8mb4",
        ),
        ("DATABASE_URL", "postgres://u@h/d", "postgresql+psycopg://u@h/d"),
        ("DATABASE_URL", "postgresql://u@h/d", "postgresql+psycopg://u@h/d"),
        (
            "DATABASE_URL",
            "postgresql://u:p@h1:5432,h2,[::1]:5433/d?a=b",
            "postgresql+psycopg://u:p@h1:5432/d?a=b&hosts=h1:5432,h2,[::1]:5433",
        ),
        (
            "DATABASE_URL",
            "mysql://u:a%40,b@h1,h2:3307/d",
            "mysql+pymysql://u:a%40,b@h1/d?hosts=h1,h2:3307&charset=utf8mb4",
        ),
        ("DATABASE_URL", "mysql://u:a,b@h/d", "mysql+pymysql://u:a,b@h/d?charset=utf8mb4"),
        ("BANK_DATABASE_URL", "sqlite:////tmp/b.db", "sqlite:////tmp/b.db"),
        ("REDIS_URL", "redis://127.0.0.1:6379/1", "redis://127.0.0.1:6379/1"),
        ("REDIS_URL", "redis+sentinel://a:1,b:2/m/1", "redis+sentinel://a:1,b:2/m/1"),
        ("SECRET_KEY", "k" * 32, "k" * 32),
        ("SECRET_KEY_PREVIOUS", "p" * 32, "p" * 32),
        ("ALGORITHM", "HS512", "HS512"),
        ("BANK_WEBHOOK_SECRET", SECRET, SECRET),
        ("BANK_WEBHOOK_SECRET_PREVIOUS", SECRET, SECRET),
        ("BANK_URL", "https://bank.example.com/", "https://bank.example.com"),
        ("BANK_ISPB", "1234567A", "1234567A"),
        ("PUBLIC_URL", "https://pay.example.com/", "https://pay.example.com"),
        ("PROVIDER_CALLBACK_URL", "https://calls.example.com/", "https://calls.example.com"),
        ("HOST", "0.0.0.0", "0.0.0.0"),  # noqa: S104 - a value, nothing listens
        ("PORT", "65535", 65535),
        ("WORKERS", "4", 4),
        ("ROLE", "worker", "worker"),
        ("PAYMENT_TTL_SECONDS", "10", 10),
        ("SWEEP_INTERVAL_SECONDS", "0.5", 0.5),
        ("SWEEP_START_GRACE_SECONDS", "0", 0),
        ("ASYNC_MODE", "gevent", "gevent"),
        ("DEMO_PIX_KEY", "12345678909", "12345678909"),
        ("DEMO_CLIENT_ID", "client-1", "client-1"),
        ("DEMO_CLIENT_SECRET", "a.secret_of-16~chars"[:16], "a.secret_of-16~c"),
        ("LOG_LEVEL", "debug", "debug"),
        ("LOG_FORMAT", "json", "json"),
        ("TRUSTED_PROXIES", "1", 1),
        ("TLS_PORT", "5443", 5443),
        ("TLS_DIR", "/etc/balcao", Path("/etc/balcao")),
        ("PROVIDER_PROFILES_DIR", "/etc/balcao/profiles", Path("/etc/balcao/profiles")),
        ("WEBHOOK_ALLOW_PRIVATE", "1", True),
        ("WEBHOOK_ALLOW_PRIVATE", "false", False),
    ],
)
def test_each_setting_is_read_from_its_variable(env, name, text, value):
    """Under its own name and with its own type."""
    assert getattr(env(**{name: text}), name.lower()) == value


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("APP_ENV", "staging"),
        ("DATABASE_URL", "oracle://x"),
        ("DATABASE_URL", "balcao.db"),
        ("SECRET_KEY", "short"),
        ("SECRET_KEY_PREVIOUS", "short"),
        ("ALGORITHM", "none"),
        ("ALGORITHM", "RS256"),
        ("BANK_WEBHOOK_SECRET", "secret"),
        ("BANK_WEBHOOK_SECRET", "whsec_" + base64.b64encode(b"x" * 10).decode()),
        ("BANK_WEBHOOK_SECRET_PREVIOUS", "whsec_x"),
        ("BANK_URL", "bank"),
        ("BANK_ISPB", "1234567"),
        ("BANK_ISPB", "1234567a"),
        ("PUBLIC_URL", "pay.example.com"),
        ("PROVIDER_CALLBACK_URL", "calls.example.com"),
        ("PROVIDER_CALLBACK_URL", "https://calls.example.com/?a=b"),
        ("PUBLIC_URL", "ftp://pay.example.com"),
        ("PUBLIC_URL", "https://pay.example.com/?a=b"),
        ("PUBLIC_URL", "https://pay.example.com/?"),
        ("PUBLIC_URL", "https://pay.example.com#"),
        ("PUBLIC_URL", "https://me@pay.example.com"),
        ("PUBLIC_URL", "https://pay.example.com/pix"),
        ("PUBLIC_URL", "https://pay.example.com:0"),
        ("PUBLIC_URL", "https://pay.example.com:70000"),
        ("PUBLIC_URL", "https://pay.example.com:"),
        ("PUBLIC_URL", "https://pay_me.example.com"),
        ("PUBLIC_URL", "https://pay..example.com"),
        ("PUBLIC_URL", "https://-pay.example.com"),
        ("PUBLIC_URL", "https://pagué.example.com"),
        ("PUBLIC_URL", "https://pay.example.com\\x"),
        ("PUBLIC_URL", "https://[2001:db8::1]"),
        ("PUBLIC_URL", "https://[2001:db8::1"),
        ("BANK_URL", "https://u:p@bank.example.com"),
        ("BANK_URL", "https://bank.example.com/?x=1"),
        ("BANK_URL", "https://bank.example.com:x"),
        ("PUBLIC_URL", "https://intranet"),
        ("PUBLIC_URL", "https://" + "x" * 30 + ".example.com"),
        ("PORT", "0"),
        ("PORT", "65536"),
        ("PORT", "http"),
        ("PAYMENT_TTL_SECONDS", "9"),
        ("PAYMENT_TTL_SECONDS", "2592001"),
        ("PAYMENT_TTL_SECONDS", "half an hour"),
        ("SWEEP_INTERVAL_SECONDS", "0"),
        ("SWEEP_INTERVAL_SECONDS", "nan"),
        ("SWEEP_START_GRACE_SECONDS", "-1"),
        ("ASYNC_MODE", "asyncio"),
        ("DEMO_PIX_KEY", "123"),
        ("DEMO_CLIENT_ID", "client1"),
        ("DEMO_CLIENT_ID", "client+1"),
        ("DEMO_CLIENT_ID", "x" * 65),
        ("DEMO_CLIENT_SECRET", "x" * 15),
        ("DEMO_CLIENT_SECRET", "a secret with spaces"),
        ("DEMO_CLIENT_SECRET", "x" * 129),
        ("LOG_LEVEL", "loud"),
        ("LOG_FORMAT", "xml"),
        ("TRUSTED_PROXIES", "-1"),
        ("DATABASE_POOL_SIZE", "0"),
        ("DATABASE_POOL_SIZE", "1001"),
        ("TLS_PORT", "0"),
        ("TLS_PORT", "5000"),
        ("CLIENT_CERTIFICATE_HEADER", "X-Client-Certificate"),
        ("WEBHOOK_ALLOW_PRIVATE", "sometimes"),
    ],
)
def test_a_bad_value_is_refused_by_its_variables_name(env, name, value):
    """The operator reads the setting's name in one sentence, and never a secret."""
    sentence = refusal_of(env, **{name: value})
    assert name in sentence
    if "SECRET" in name:
        assert value not in sentence


@pytest.mark.parametrize("password", ["p@ss", "a/b", "a#b", "a?b", "@:/#"])
@pytest.mark.parametrize(
    ("name", "scheme"),
    [
        ("DATABASE_URL", "mysql"),
        ("DATABASE_URL", "postgresql"),
        ("BANK_DATABASE_URL", "mariadb"),
        ("REDIS_URL", "redis"),
        ("REDIS_URL", "redis+sentinel"),
    ],
)
def test_a_password_that_is_not_encoded_is_named(env, name, scheme, password):
    """Otherwise the address ends in its middle, and the message is about a port."""
    sentence = refusal_of(env, **{name: f"{scheme}://shop:{password}@127.0.0.1/d"})
    assert name in sentence
    assert "percent-encode the password" in sentence
    assert "%40" in sentence
    assert password not in sentence.replace("@, /, # or ?", "")


def test_an_encoded_password_reaches_the_driver(env):
    """Also one with a colon, which needs no encoding, and a user that contains an @."""
    for text, user, password in (
        ("shop:p%40%2F%23%3F%3A@h/d", "shop", "p@/#?:"),
        ("shop:a:b@h/d?ssl_ca=me@home", "shop", "a:b"),
        ("shop@server:pw@h/d", "shop@server", "pw"),
    ):
        url = make_url(env(DATABASE_URL=f"mysql://{text}").database_url)
        assert (url.username, url.password, url.host) == (user, password, "h")


@pytest.mark.parametrize(
    ("hosts", "words"),
    [
        ("h1,,h2", "an empty host"),
        ("h1,", "an empty host"),
        ("h1, h2", "a space"),
        ("h1:x,h2", "a port that is not a number"),
        ("h1,h2:0", "a port that is not a number"),
        ("h1,h2,h1", "names a host twice"),
        (",".join(f"h{n}" for n in range(10)), "more than 9 hosts"),
    ],
)
def test_a_mistake_in_a_list_of_hosts_is_one_sentence(env, hosts, words):
    """The driver would show a traceback, or look up a host with a comma in its name."""
    for scheme in ("mysql", "postgresql"):
        sentence = refusal_of(env, DATABASE_URL=f"{scheme}://u:secret3f9a@{hosts}/d")
        assert sentence.startswith("DATABASE_URL")
        assert words in sentence
        assert "secret3f9a" not in sentence


@pytest.mark.parametrize("hosts", ["h1", "h1,h2"])
@pytest.mark.parametrize("value", ["0.5", "0", "", "-1", "soon", "1e3", "1000000"])
def test_a_limit_that_is_no_number_of_seconds_is_one_sentence(env, hosts, value):
    """The driver or our own code would show a traceback at the first connection."""
    for scheme in ("mysql", "postgresql"):
        address = f"{scheme}://u@{hosts}/d?read_timeout={value}"
        sentence = refusal_of(env, DATABASE_URL=address)
        assert sentence.startswith("DATABASE_URL")
        assert "read_timeout that is not a whole number of seconds" in sentence
    for value_in_range in ("1", "120"):
        address = f"mysql://u@{hosts}/d?read_timeout={value_in_range}"
        assert f"read_timeout={value_in_range}" in env(DATABASE_URL=address).database_url


@pytest.mark.parametrize(
    ("option", "word"),
    [
        ("charset=latin1", "charset=utf8mb4"),
        ("charset=utf8", "charset=utf8mb4"),
        ("x=1&charset=", "charset=utf8mb4"),
        ("use_unicode=0", "use_unicode"),
        ("init_command=SET NAMES latin1", "init_command"),
        ("sql_mode=", "sql_mode"),
        ("autocommit=1", "autocommit"),
    ],
)
def test_an_option_that_breaks_text_is_refused(env, option, word):
    """Names with accents would be stored as question marks, and nobody would notice."""
    for name in ("DATABASE_URL", "BANK_DATABASE_URL"):
        sentence = refusal_of(env, **{name: f"mysql://u@h/d?{option}"})
        assert name in sentence
        assert word in sentence


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ("ssl_ca=/ca.pem&ssl_verify_identity=true", "ssl_verify_identity, which the driver"),
        ("ssl_verify_cert=true", "ssl_verify_cert, which the driver"),
        ("ssl_cert=/c.pem&ssl_key=/c.key&ssl_key_password=x", "ssl_key_password, which the driver"),
        ("ssl_disabled=false", "turns TLS off whatever its value is"),
        ("ssl_disabled=0", "turns TLS off whatever its value is"),
        ("ssl_ca=/ca.pem&ssl_disabled=true", "turns TLS off whatever its value is"),
        ("ssl_ca=/ca.pem&ssl_check_hostname=maybe", "not true or false"),
        ("ssl_ca=", "ssl_ca without a value"),
        ("ssl_ca", "ssl_ca without a value"),
        ("ssl_ca=%20", "ssl_ca without a value"),
        ("ssl_ca=/ca.pem&ssl_cert=&ssl_key=/c.key", "ssl_cert without a value"),
        ("ssl_disabled=", "ssl_disabled without a value"),
        ("ssl_ca=/ca.pem&ssl_ca=/b.pem", "ssl_ca twice"),
        ("SSL_CA=/ca.pem", "unknown option SSL_CA"),
        ("ssl=true", "unknown option ssl:"),
        ("ssl_mode=REQUIRED", "unknown option ssl_mode"),
        ("sslmode=require", "unknown option sslmode"),
    ],
)
def test_an_option_of_tls_that_the_driver_misreads_is_refused(env, options, words):
    """With `ssl_verify_identity` it forgot the CA, and took the certificate of any host.

    An empty `ssl_ca`, as a variable without a value leaves it, was no check either.
    """
    assert words in refusal_of(env, DATABASE_URL=f"mysql://u@h/d?{options}")


@pytest.mark.parametrize(
    "options",
    ["ssl_ca=/ca.pem&ssl_cert=/c.pem&ssl_key=/c.key", "ssl_disabled=true", "ssl_disabled=1",
     "ssl_ca=/ca.pem&ssl_check_hostname=false", "ssl_capath=/etc/ssl/certs&ssl_cipher=AES256-SHA"],
)  # fmt: skip
def test_options_of_tls_that_the_driver_reads_stay(env, options):
    """The other side of the edge."""
    assert options in env(DATABASE_URL=f"mysql://u@h/d?{options}").database_url


@pytest.mark.parametrize(
    ("name", "url"),
    [
        ("DATABASE_URL", "postgresql://u@h/d?password=3f9a1c77e2"),
        ("DATABASE_URL", "mysql://u@h/d?x=1&Passwd=3f9a1c77e2"),
        ("DATABASE_URL", "postgresql://u@h/d?sslkey=/k&sslpassword=3f9a1c77e2"),
        ("REDIS_URL", "redis://h/0?password=3f9a1c77e2"),
    ],
)
def test_a_password_among_the_options_is_refused(env, name, url):
    """The log of a database that cannot be opened prints its options."""
    sentence = refusal_of(env, **{name: url})
    assert f"{name} has its password among the options" in sentence
    assert "3f9a1c77e2" not in sentence


def test_the_sentence_on_a_path_says_what_to_do(env):
    """Pages below a path would miss their styles, scripts and pictures."""
    sentence = refusal_of(env, PUBLIC_URL="https://example.com/pay")
    assert "PUBLIC_URL must not contain a path" in sentence
    assert "https://pay.example.com" in sentence


def test_sign_up_is_closed_in_production_unless_it_is_opened(env):
    """A shop's own installation is not for everybody."""
    production = {"APP_ENV": "production", "SECRET_KEY": KEY, "BANK_WEBHOOK_SECRET": SECRET}
    assert env().sign_up == "open"
    assert env(**production).sign_up == "closed"
    assert env(**production, SIGN_UP="open").sign_up == "open"


def test_webhooks_stay_out_of_the_network_in_production_unless_they_are_allowed(env):
    """A merchant's URL must not reach the operator's own machines."""
    production = {"APP_ENV": "production", "SECRET_KEY": KEY, "BANK_WEBHOOK_SECRET": SECRET}
    assert env().webhook_allow_private is True
    assert env(**production).webhook_allow_private is False
    assert env(**production, WEBHOOK_ALLOW_PRIVATE="1").webhook_allow_private is True


def test_all_bad_values_are_named_at_once(env):
    """The operator fixes all of them after one failed start."""
    sentence = refusal_of(env, PORT="x", LOG_LEVEL="loud")
    assert "PORT" in sentence
    assert "LOG_LEVEL" in sentence


def test_an_empty_variable_is_an_absent_one(env):
    """Compose files pass `NAME=` for settings that are not set."""
    assert env(PORT="", REDIS_URL="", SECRET_KEY="").port == 5000


def test_settings_cannot_be_changed_afterwards(env):
    """They are read once, so no code can switch off a guard later."""
    with pytest.raises(ValidationError):
        env().port = 1


def test_a_secret_may_come_from_a_file(env, tmp_path):
    """Docker and Kubernetes mount secrets as files; a final newline is not part of the secret."""
    for name, value in (
        ("SECRET_KEY", KEY),
        ("SECRET_KEY_PREVIOUS", KEY),
        ("BANK_WEBHOOK_SECRET", SECRET),
        ("BANK_WEBHOOK_SECRET_PREVIOUS", SECRET),
        ("DATABASE_URL", "sqlite:////tmp/y.db"),
        ("REDIS_URL", "redis://h/0"),
    ):
        path = tmp_path / name
        path.write_text(f"{value}\n")
        assert getattr(env(**{f"{name}_FILE": str(path)}), name.lower()) == value


def test_the_variable_wins_over_its_file(env, tmp_path):
    """The environment is more specific than a mounted file."""
    path = tmp_path / "key"
    path.write_text("f" * 40)
    assert env(SECRET_KEY="v" * 40, SECRET_KEY_FILE=str(path)).secret_key == "v" * 40


def test_a_file_that_cannot_be_read_is_named(env, tmp_path):
    """The file is missing, is a folder, or is not text."""
    garbage = tmp_path / "garbage"
    garbage.write_bytes(b"\xff\xfe\xff")
    for path in (tmp_path / "nowhere", tmp_path, garbage):
        assert "SECRET_KEY_FILE" in refusal_of(env, SECRET_KEY_FILE=str(path))


def test_generated_secrets_are_readable_by_their_owner_only(env, tmp_path):
    """Created once with mode 600, and the same at the next start."""
    first, second = env(), env()
    for name in ("secret_key", "bank_webhook_secret", "demo_pix_key"):
        path = tmp_path / "instance" / name
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert path.read_text().strip() == getattr(first, name) == getattr(second, name)
    assert len(first.secret_key) >= 32
    assert signatures.is_secret(first.bank_webhook_secret)
    assert pix_key.kind_of(first.demo_pix_key) is pix_key.KeyKind.EVP
    leftovers = [path.name for path in (tmp_path / "instance").iterdir() if path.name[0] == "."]
    assert leftovers == []


def test_two_machines_generate_different_secrets(tmp_path):
    """A default secret would be known to everybody."""
    one, other = (
        Settings.from_env({"INSTANCE_DIR": str(tmp_path / name)}) for name in ("one", "other")
    )
    assert one.secret_key != other.secret_key
    assert one.bank_webhook_secret != other.bank_webhook_secret


def test_a_read_only_instance_folder_is_one_sentence(tmp_path):
    """For example a read-only volume."""
    occupied = tmp_path / "file"
    occupied.write_text("")
    with pytest.raises(ConfigurationError, match="cannot be written or read"):
        Settings.from_env({"INSTANCE_DIR": str(occupied / "instance")})


def test_production_demands_its_secrets_and_writes_none(env, tmp_path):
    """A generated secret would change with the container."""
    sentence = refusal_of(env, APP_ENV="production")
    assert "SECRET_KEY" in sentence
    assert "BANK_WEBHOOK_SECRET" in sentence
    assert "BANK_WEBHOOK_SECRET" in refusal_of(env, APP_ENV="production", SECRET_KEY=KEY)
    assert "SECRET_KEY" in refusal_of(env, APP_ENV="production", BANK_WEBHOOK_SECRET=SECRET)
    settings = env(APP_ENV="production", SECRET_KEY=KEY, BANK_WEBHOOK_SECRET=SECRET)
    assert not settings.is_development
    assert not (tmp_path / "instance").exists()


def test_production_takes_its_secrets_from_files(env, tmp_path):
    """As the refusal suggests."""
    key, bank = tmp_path / "key", tmp_path / "bank"
    key.write_text(KEY)
    bank.write_text(SECRET)
    settings = env(
        APP_ENV="production", SECRET_KEY_FILE=str(key), BANK_WEBHOOK_SECRET_FILE=str(bank)
    )
    assert (settings.secret_key, settings.bank_webhook_secret) == (KEY, SECRET)


def test_during_a_rotation_there_are_two_bank_secrets(env):
    """The new secret comes first."""
    new = signatures.new_secret()
    assert env(BANK_WEBHOOK_SECRET=new).banks[0].secrets == (new,)
    both = env(BANK_WEBHOOK_SECRET=new, BANK_WEBHOOK_SECRET_PREVIOUS=SECRET)
    assert both.banks[0].secrets == (new, SECRET)


PRODUCTION = {"APP_ENV": "production", "SECRET_KEY": KEY, "BANK_WEBHOOK_SECRET": SECRET}
TEST_SECRET = "whsec_" + base64.b64encode(b"another one, for test halves....").decode()
TEST_BANK = {
    "TEST_BANK_URL": "https://pay.example.com/bank",
    "TEST_BANK_WEBHOOK_SECRET": TEST_SECRET,
}


def test_in_development_one_bank_is_there_for_everybody(env):
    """All money is simulated there, so there are no test halves."""
    settings = env()
    peer = settings.bank_to_ask(is_test_half=False)
    assert peer is not None
    assert (peer.url, peer.is_test) == (settings.bank_url, False)
    assert settings.bank_to_ask(is_test_half=True) == peer
    assert settings.serves_bank


def test_in_production_each_half_asks_a_bank_of_its_own(env):
    """A merchant's only if BANK_URL is set, a test half's only if TEST_BANK_URL is."""
    alone = env(**PRODUCTION)
    assert alone.bank_to_ask(is_test_half=False) is None
    assert alone.bank_to_ask(is_test_half=True) is None
    test_only = env(**PRODUCTION, **TEST_BANK)
    assert test_only.bank_to_ask(is_test_half=False) is None
    peer = test_only.bank_to_ask(is_test_half=True)
    assert peer is not None
    assert (peer.url, peer.internal_url) == (TEST_BANK["TEST_BANK_URL"],) * 2
    assert (peer.secrets, peer.is_test) == ((TEST_SECRET,), True)
    both = env(
        **PRODUCTION,
        **TEST_BANK,
        BANK_URL="https://bank.example.com",
        TEST_BANK_INTERNAL_URL="http://bank:5001/",
    )
    live, test = both.bank_to_ask(is_test_half=False), both.bank_to_ask(is_test_half=True)
    assert live is not None
    assert test is not None
    assert (live.url, live.secrets, live.is_test) == ("https://bank.example.com", (SECRET,), False)
    assert test.internal_url == "http://bank:5001"
    assert both.banks == (live, test)


def test_production_serves_the_test_bank_only_at_its_own_address(env):
    """Any other address is that of a bank which runs by itself."""
    own = {**PRODUCTION, **TEST_BANK, "PUBLIC_URL": "https://pay.example.com"}
    assert env(**own).serves_bank
    assert not env(**own, TEST_BANK_INTERNAL_URL="http://bank:5001").serves_bank
    assert not env(**{**own, "PUBLIC_URL": "https://other.example.com"}).serves_bank
    assert not env(**PRODUCTION, PUBLIC_URL="https://pay.example.com").serves_bank


def test_a_secret_of_a_bank_is_not_printed(env):
    """A peer stands in tracebacks and logs."""
    assert TEST_SECRET not in repr(env(**PRODUCTION, **TEST_BANK).banks)


@pytest.mark.parametrize("name", ["URL", "INTERNAL_URL"])
def test_development_refuses_a_test_bank(env, name):
    """Nothing would use it, and somebody would believe that tests are apart."""
    sentence = refusal_of(env, **{f"TEST_BANK_{name}": "http://127.0.0.1:5001"})
    assert "production only" in sentence
    assert "production only" in refusal_of(env, TEST_BANK_WEBHOOK_SECRET=TEST_SECRET)


def test_a_test_bank_needs_an_address_and_a_secret_of_its_own(env, tmp_path):
    """With the live bank's secret, a test could confirm a real payment."""
    url = {"TEST_BANK_URL": TEST_BANK["TEST_BANK_URL"]}
    assert "must be set when" in refusal_of(env, **PRODUCTION, **url)
    assert "need TEST_BANK_URL" in refusal_of(
        env, **PRODUCTION, TEST_BANK_WEBHOOK_SECRET=TEST_SECRET
    )
    assert "need TEST_BANK_URL" in refusal_of(
        env, **PRODUCTION, TEST_BANK_INTERNAL_URL="http://bank:5001"
    )
    assert "TEST_BANK_URL must be" in refusal_of(env, **PRODUCTION, TEST_BANK_URL="bank")
    same = refusal_of(env, **PRODUCTION, **url, TEST_BANK_WEBHOOK_SECRET=SECRET)
    assert "hold the same secret" in same
    previous = {**PRODUCTION, "BANK_WEBHOOK_SECRET": signatures.new_secret()}
    sentence = refusal_of(
        env, **previous, **url, BANK_WEBHOOK_SECRET_PREVIOUS=SECRET, TEST_BANK_WEBHOOK_SECRET=SECRET
    )
    assert "hold the same secret" in sentence
    weak = "whsec_" + base64.b64encode(b"ab" * 16).decode()
    assert "too simple" in refusal_of(env, **PRODUCTION, **url, TEST_BANK_WEBHOOK_SECRET=weak)
    file = tmp_path / "secret"
    file.write_text(TEST_SECRET)
    from_file = env(**PRODUCTION, **url, TEST_BANK_WEBHOOK_SECRET_FILE=str(file))
    assert from_file.test_bank_webhook_secret == TEST_SECRET


@pytest.mark.parametrize("name", ["TEST_BANK_URL", "TEST_BANK_INTERNAL_URL"])
def test_one_bank_cannot_be_that_of_live_money_and_of_tests(env, name):
    """It signs with one secret, so no wall would stand between the two."""
    bank = {"BANK_URL": "https://bank.example.com", "BANK_INTERNAL_URL": "http://bank:5001"}
    for url in bank.values():
        sentence = refusal_of(env, **{**PRODUCTION, **bank, **TEST_BANK, name: url})
        assert "must differ from BANK_URL" in sentence


@pytest.mark.parametrize(
    ("public_url", "location_base"),
    [
        ("http://127.0.0.1:5000", "127.0.0.1:5000"),
        ("http://localhost:5000", "127.0.0.1:5000"),
        ("http://LOCALHOST", "127.0.0.1"),
        ("https://pay.example.com", "pay.example.com"),
        ("https://PAY.example.com:8443", "PAY.example.com:8443"),
    ],
)
def test_a_location_is_the_public_address_without_its_scheme(env, public_url, location_base):
    """The host of a location needs a dot."""
    assert env(PUBLIC_URL=public_url).location_base == location_base


def test_the_longest_public_address_whose_codes_can_be_paid(env):
    """77 characters hold a location (MPI 2.7): host, path and token."""
    fits = "x" * (33 - len(".example.com")) + ".example.com"
    assert env(PUBLIC_URL=f"https://{fits}").location_base == fits
    assert "at most 33 characters" in refusal_of(env, PUBLIC_URL=f"https://x{fits}")


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "localhost"])  # noqa: S104 - values
def test_links_do_not_name_an_address_nobody_can_open(env, host):
    """0.0.0.0 means all addresses; nobody can open it."""
    assert env(HOST=host, PORT="8000").public_url == "http://127.0.0.1:8000"


def test_the_bank_uses_the_services_database_server(env):
    """With a server at hand, the simulator needs no file of its own."""
    settings = env(DATABASE_URL="postgresql://u@h/d")
    assert settings.bank_database_url == "postgresql+psycopg://u@h/d"


def test_the_demo_key_is_a_uuid_that_is_new_on_each_machine(env):
    """A fixed key would collide in a shared directory."""
    assert uuid.UUID(env().demo_pix_key).version == 4


def test_unknown_variables_are_ignored(env):
    """The environment contains much else."""
    assert env(PATH="/bin", BALCAO="x", INSTANCE="y").port == 5000


def test_env_example_names_only_settings_that_exist():
    """A misspelt variable would be ignored in silence."""
    example = Path(__file__).resolve().parents[2] / ".env.example"
    names = {
        line.lstrip("# ").split("=")[0]
        for line in example.read_text().splitlines()
        if "=" in line and line.lstrip("# ").split("=")[0].isupper()
    }
    assert names
    settings_names = {name.upper() for name in Settings.model_fields}
    settings_names |= {f"{name}_FILE" for name in settings_names}
    assert names <= settings_names


def test_the_clock_moves_in_development_alone(env, tmp_path):
    """Real payments expire by real time; and a bank elsewhere would refuse every signature."""
    file = tmp_path / "clock"
    settings = env(CLOCK_FILE=str(file))
    assert settings.clock_file == file
    assert clock_of(settings).now() - SystemClock().now() < timedelta(seconds=30)
    file.write_text("864000", "utf-8")
    assert clock_of(settings).now() - SystemClock().now() > timedelta(days=9)

    production = {"APP_ENV": "production", "SECRET_KEY": KEY, "BANK_WEBHOOK_SECRET": SECRET}
    assert "in development only" in refusal_of(env, CLOCK_FILE=str(file), **production)
    assert "another bank" in refusal_of(env, CLOCK_FILE=str(file), BANK_URL="http://127.0.0.1:5001")
    file.write_text("soon", "utf-8")
    assert "a number of seconds" in refusal_of(env, CLOCK_FILE=str(file))


def test_mutual_tls_is_on_with_a_port_or_with_a_header_of_a_proxy(env):
    """The address for SDKs follows; PUBLIC_URL, for people, does not."""
    plain = env()
    assert not plain.uses_mutual_tls
    assert plain.api_pix_url == "http://127.0.0.1:5000/api-pix"
    own = env(TLS_PORT="5443")
    assert own.uses_mutual_tls
    assert own.api_pix_url == "https://127.0.0.1:5443/api-pix"
    assert own.public_url == plain.public_url
    assert own.tls_folder == own.instance_dir / "tls"
    header = {"CLIENT_CERTIFICATE_HEADER": "X-Client-Certificate", "TRUSTED_PROXIES": "1"}
    proxied = env(**header, PUBLIC_URL="https://pay.example.com")
    assert proxied.uses_mutual_tls
    assert proxied.api_pix_url == "https://pay.example.com/api-pix"
    assert "TRUSTED_PROXIES" in refusal_of(env, CLIENT_CERTIFICATE_HEADER="X-Client-Certificate")
    header["CLIENT_CERTIFICATE_HEADER"] = "two words"
    assert "CLIENT_CERTIFICATE_HEADER" in refusal_of(env, **header)
