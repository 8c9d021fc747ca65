"""Files that are read at the start: the sentence names file and encoding."""

from __future__ import annotations

import pytest

import config
from bank.settings import BankSettingsError, settings_from
from config import ConfigurationError, Settings
from core.runtime.text_files import UnreadableFile, read_env_file, read_text
from server import async_mode

TEXT = "# Configuração\nPORT=5077\n"
ENCODINGS = [
    ("utf-16", "UTF-16"),
    ("utf-16-le", "UTF-16"),
    ("utf-16-be", "UTF-16"),
    ("latin-1", "line 1, but perhaps Latin-1 or Windows-1252"),
    ("cp1252", "Windows-1252"),
]


@pytest.mark.parametrize(("encoding", "words"), ENCODINGS)
def test_another_encoding_is_named_with_its_file(tmp_path, encoding, words):
    """Editors of Windows write these; `'utf-8' codec can't decode` helps nobody."""
    path = tmp_path / ".env"
    path.write_bytes(TEXT.encode(encoding))
    with pytest.raises(UnreadableFile) as caught:
        read_env_file(path)
    assert str(path) in str(caught.value)
    assert words in str(caught.value)
    assert "save it as UTF-8." in str(caught.value)


def test_utf8_is_read_with_and_without_its_mark(tmp_path):
    """The mark must not become part of the first name."""
    path = tmp_path / ".env"
    for mark in (b"", b"\xef\xbb\xbf"):
        path.write_bytes(mark + b"PORT=5077\n# Configura\xc3\xa7\xc3\xa3o\nEMPTY\n")
        assert read_env_file(path) == {"PORT": "5077"}
    assert read_env_file(tmp_path / "nowhere") == {}


def test_a_folder_is_named_too(tmp_path):
    """Docker creates one in place of a missing file."""
    with pytest.raises(UnreadableFile, match="cannot be read"):
        read_text(tmp_path)
    with pytest.raises(UnreadableFile, match="cannot be read"):
        read_env_file(tmp_path)


def test_the_start_says_it_in_one_sentence(tmp_path, monkeypatch):
    """Service and choice of the hub read the same `.env`; only the first complains."""
    (tmp_path / ".env").write_bytes(TEXT.encode("utf-16"))
    monkeypatch.setattr(config, "ROOT", tmp_path)
    with pytest.raises(ConfigurationError, match=r"\.env is written in UTF-16"):
        Settings.load()
    monkeypatch.setattr(async_mode, "ENV_FILE", tmp_path / ".env")
    monkeypatch.delenv("ASYNC_MODE", raising=False)
    assert async_mode.configured_mode() == "eventlet"


def test_secrets_from_files_name_setting_and_file(tmp_path):
    """In the service, in the bank, and for secrets that an earlier start generated."""
    path = tmp_path / "secret"
    path.write_bytes("whsec_AAAA".encode("utf-16"))
    environment = {"INSTANCE_DIR": str(tmp_path), "BANK_WEBHOOK_SECRET_FILE": str(path)}
    with pytest.raises(ConfigurationError, match=r"BANK_WEBHOOK_SECRET_FILE: .*secret is written"):
        Settings.from_env(environment)
    with pytest.raises(BankSettingsError, match=r"BANK_WEBHOOK_SECRET_FILE: .*secret is written"):
        settings_from(environment)
    (tmp_path / "bank_webhook_secret").write_bytes(b"\xff\xfeA\x00")
    with pytest.raises(ConfigurationError, match="bank_webhook_secret is written in UTF-16"):
        Settings.from_env({"INSTANCE_DIR": str(tmp_path)})
    with pytest.raises(BankSettingsError, match="bank_webhook_secret is written in UTF-16"):
        settings_from({"INSTANCE_DIR": str(tmp_path)})
