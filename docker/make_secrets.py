"""Make every secret of the containers once, each for the container that needs it.

Run by the one-shot `secrets`; on later starts it finds everything there and changes nothing. The
folders are volumes: of the service and the bank (mode 600), of MySQL and Redis (mode 640, for the
group their processes run as).
"""

from __future__ import annotations

import base64
import os
import secrets
import sys
import uuid
from pathlib import Path

ROOT = Path("/secrets")
MYSQL_GROUP, REDIS_GROUP = 999, 1000


def kept(folder: str, name: str, fresh: str, group: int | None = None) -> str:
    """The secret in the file; written there first where there is none."""
    path = ROOT / folder / name
    if not path.exists():
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
    """Make what is missing."""
    passwords = {
        name: kept("mysql", name, secrets.token_hex(24), MYSQL_GROUP)
        for name in ("root_password", "service_password", "bank_password")
    }
    redis = kept("redis", "password", secrets.token_hex(24), REDIS_GROUP)
    kept("redis", "redis.conf", f"requirepass {redis}", REDIS_GROUP)

    kept("service", "secret_key", secrets.token_urlsafe(48))
    kept("service", "demo_pix_key", str(uuid.uuid4()))
    kept("service", "demo_password", secrets.token_urlsafe(9))
    service = f"balcao:{passwords['service_password']}"
    kept("service", "database_url", f"mysql+pymysql://{service}@mysql/balcao")
    kept("service", "redis_url", f"redis://:{redis}@redis:6379/0")
    fresh = "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode()
    signing = kept("service", "bank_webhook_secret", fresh)

    kept("bank", "bank_webhook_secret", signing)
    kept("bank", "bank_secret_key", secrets.token_urlsafe(48))
    bank = f"bank:{passwords['bank_password']}"
    kept("bank", "bank_database_url", f"mysql+pymysql://{bank}@mysql/bank")


if __name__ == "__main__":
    main()
