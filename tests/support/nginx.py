"""A private nginx in front of one service, with the files of docker/nginx as they are shipped.

Only what names the container is replaced: its folder, its port, and the address of the replicas.
"""

from __future__ import annotations

import subprocess
import urllib.request
from pathlib import Path

from tests.support.parts import MissingPart
from tests.support.servers import PrivateServer, find_program
from tests.support.service import ROOT

SHIPPED = ROOT / "docker" / "nginx"


class PrivateNginx(PrivateServer):
    """nginx on a free port; the profile without TLS."""

    name = "nginx"

    def __init__(self, service_port: int) -> None:
        """Pass requests on to the service on this loopback port."""
        super().__init__()
        self._service_port = service_port

    @property
    def url(self) -> str:
        """The address of nginx."""
        return f"http://127.0.0.1:{self.port}"

    def _find_program(self) -> str:
        program = find_program("nginx")
        if program is None:
            raise MissingPart("nginx (apt install nginx-light)")
        return program

    def _prepare(self) -> None:
        super()._prepare()
        profile = (SHIPPED / "development.conf").read_text(encoding="utf-8")
        (self.data / "profile.conf").write_text(
            profile.replace("listen 8080 ", f"listen 127.0.0.1:{self.port} "), encoding="utf-8"
        )
        config = (SHIPPED / "nginx.conf").read_text(encoding="utf-8")
        config = config.replace("/run/nginx", str(self.data))
        (self.data / "nginx.conf").write_text(config, encoding="utf-8")
        (self.data / "replicas.conf").write_text(self._replicas(), encoding="utf-8")

    def _replicas(self) -> str:
        """What the function `write` of start.sh writes for one replica."""
        script = (SHIPPED / "start.sh").read_text(encoding="utf-8")
        begin = script.index("write() {")
        function = script[begin : script.index("\n}\n", begin) + 3]
        path = self.data / "written.conf"
        subprocess.run(
            [
                "sh",
                "-euc",
                f'{function}conf="$0"; PUBLIC_URL="$1"; write 127.0.0.1',
                path,
                self.url,
            ],
            check=True,
            timeout=10,
        )
        text = Path(path).read_text(encoding="utf-8")
        assert text.count("127.0.0.1:5000 ") == 2
        return text.replace("127.0.0.1:5000 ", f"127.0.0.1:{self._service_port} ")

    def _command(self) -> list[str]:
        # One process: workers would outlive a master that is killed.
        return [
            self.program,
            "-p",
            str(self.data),
            "-c",
            str(self.data / "nginx.conf"),
            "-g",
            "daemon off; master_process off;",
        ]

    def _answers(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.url}/nginx-answers", timeout=2) as answer:
                return int(answer.status) == 204
        except OSError:
            return False
