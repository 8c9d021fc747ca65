"""Generate the secrets of the containers, each in the volume of the container that needs it.

The one-shot `secrets` runs it; a later start changes nothing. Files of service and bank have mode
600; those of MySQL and Redis have mode 640, for the groups of their processes. With a folder as
argument it writes there, all files with mode 600, for the Secrets of deploy/kubernetes.
"""

from __future__ import annotations

import base64
import os
import secrets
import sys
import uuid
from pathlib import Path

ROOT = Path("/secrets")
MYSQL_GROUP: int | None = 999
REDIS_GROUP: int | None = 1000


def stored_secret(folder: str, name: str, fresh: str, group: int | None = None) -> str:
    """The secret in the file; if there is no file, `fresh` is written to it first."""
    path = ROOT / folder / name
    if not path.exists():
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        temporary = path.with_name(f".{name}.{secrets.token_hex(4)}")
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(fresh + "\n")
            file.flush()
            os.fsync(file.fileno())
        if group is not None:
            os.chown(temporary, -1, group)
            temporary.chmod(0o640)
        temporary.rename(path)
        sys.stdout.write(f"made {folder}/{name}\n")
    return path.read_text(encoding="utf-8").strip()


def main() -> None:
    """Generate the missing secrets."""
    passwords = {
        name: stored_secret("mysql", name, secrets.token_hex(24), MYSQL_GROUP)
        for name in ("root_password", "service_password", "bank_password")
    }
    redis = stored_secret("redis", "password", secrets.token_hex(24), REDIS_GROUP)
    stored_secret("redis", "redis.conf", f"requirepass {redis}", REDIS_GROUP)

    stored_secret("service", "secret_key", secrets.token_urlsafe(48))
    stored_secret("service", "demo_pix_key", str(uuid.uuid4()))
    stored_secret("service", "demo_password", secrets.token_urlsafe(9))
    # The service would generate these itself, but it sees its volume read-only.
    stored_secret("service", "demo_client_id", secrets.token_hex(16))
    stored_secret("service", "demo_client_secret", secrets.token_urlsafe(32))
    service = f"balcao:{passwords['service_password']}"
    stored_secret("service", "database_url", f"mysql+pymysql://{service}@mysql/balcao")
    stored_secret("service", "redis_url", f"redis://:{redis}@redis:6379/0")
    fresh = "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode()
    signing = stored_secret("service", "bank_webhook_secret", fresh)
    # Another one: with the same secret a test could confirm a real payment.
    fresh = "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode()
    stored_secret("service", "test_bank_webhook_secret", fresh)

    stored_secret("bank", "bank_webhook_secret", signing)
    stored_secret("bank", "bank_secret_key", secrets.token_urlsafe(48))
    bank = f"bank:{passwords['bank_password']}"
    stored_secret("bank", "bank_database_url", f"mysql+pymysql://{bank}@mysql/bank")


if __name__ == "__main__":
    if len(sys.argv) > 1:
        ROOT, MYSQL_GROUP, REDIS_GROUP = Path(sys.argv[1]), None, None
    main()
