"""Write openapi.json: the API document that the service serves at /openapi.json.

Tools and clients read it from the repository, without a running service. A test compares the two.
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

from app import create_app
from config import Settings

ROOT = Path(__file__).resolve().parent.parent
FILE = ROOT / "openapi.json"


def served_document() -> str:
    """The document of a service with the usual settings, with two spaces of indentation."""
    with tempfile.TemporaryDirectory(prefix="balcao-openapi-") as folder:
        settings = Settings.from_env(
            {"INSTANCE_DIR": folder, "DATABASE_URL": f"sqlite:///{folder}/none.sqlite3"}
        )
        answer = create_app(settings).test_client().get("/openapi.json")
    return json.dumps(answer.get_json(), indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    FILE.write_text(served_document(), encoding="utf-8")
