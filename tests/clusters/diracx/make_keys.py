"""The key that DIRAC's services show DiracX for a token of anybody, its hash for DiracX, a key for its states."""

import base64
import hashlib
import os
import secrets
from pathlib import Path


def main() -> None:
    """Write them, readable by nobody else."""
    run, raw = Path(os.environ["STACK_HOME"]) / "run", secrets.token_bytes(33)
    os.umask(0o077)
    (run / "legacy.key").write_text(f"diracx:legacy:{base64.urlsafe_b64encode(raw).decode()}\n", encoding="ascii")
    (run / "legacy.hash").write_text(hashlib.sha256(raw).hexdigest() + "\n", encoding="ascii")
    (run / "state.key").write_text(base64.urlsafe_b64encode(secrets.token_bytes(32)).decode() + "\n", encoding="ascii")


if __name__ == "__main__":
    main()
