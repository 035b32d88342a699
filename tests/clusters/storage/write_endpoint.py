"""Write endpoint.json, which is all that a test needs to know about the running storage."""

import json
import os
from pathlib import Path

VO = "labvo"
ELEMENTS = {
    "LAB-disk": "dips-near",
    "FAR-disk": "dips-far",
    "XRD-root": "near",
    "XRD-https": "near",
    "FAR-https": "far",
    "DAV-disk": "webdav",
}


def port(name: str) -> int:
    """The loopback port that env.sh gave to a server, by the end of its variable's name."""
    return int(os.environ[f"STORAGE_PORT_{name}"])


def endpoint(home: Path) -> dict[str, object]:
    """Paths are absolute; `urls` are of the VO's folder, whose files lie in `folders` on this machine."""
    return {
        "vo": VO,
        "ca_dir": str(home / "certificates"),
        "ca_file": str(home / "etc" / "ca.pem"),
        "proxies": {path.stem: str(path) for path in sorted((home / "proxies").glob("*.pem"))},
        "tokens": {path.name: str(path) for path in sorted((home / "tokens").iterdir())},
        "urls": {
            "near root": f"root://localhost:{port('NEAR_ROOT')}//{VO}",
            "near https": f"https://localhost:{port('NEAR_HTTPS')}/{VO}",
            "far root": f"root://localhost:{port('FAR_ROOT')}//{VO}",
            "far https": f"https://localhost:{port('FAR_HTTPS')}/{VO}",
            "dips near": f"dips://localhost:{port('DIPS_NEAR')}/DataManagement/StorageElement/{VO}",
            "webdav": f"https://localhost:{port('WEBDAV')}/{VO}",
        },
        "folders": {
            name: str(home / "store" / name / VO) for name in ("near", "far", "webdav", "dips-near", "dips-far")
        },
        # where a DIRAC element keeps the files of the VO's folder on this machine
        "elements": {element: str(home / "store" / name / VO) for element, name in ELEMENTS.items()},
        # the host certificate names localhost, and GSI would look for this machine's name
        "client_env": {"X509_CERT_DIR": str(home / "certificates"), "XrdSecGSISRVNAMES": "localhost|127.0.0.1"},
        "rucio": f"https://localhost:{port('RUCIO')}",
        "rucio_vos": f"https://localhost:{port('RUCIO_VOS')}",
        "rucio_python": str(Path(os.environ["STORAGE_CACHE"]) / "rucio-venv" / "bin" / "python"),
        **{
            f"{name}_env": {
                "RUCIO_CONFIG": str(home / "work" / name / "rucio.cfg"),
                "RUCIO_HOME": str(home / "work" / name),
            }
            for name in ("rucio", "rucio_vos")
        },
        "run": str(home / "run"),
    }


def main() -> None:
    """Written aside and renamed: whoever sees the file sees all of it."""
    home = Path(os.environ["STORAGE_HOME"])
    path = home / "endpoint.json"
    aside = path.with_suffix(".new")
    aside.write_text(json.dumps(endpoint(home), indent=2) + "\n", encoding="utf-8")
    aside.rename(path)


if __name__ == "__main__":
    main()
