"""Write endpoint.json: ../dirac's, and what stands beside it here."""

import json
import os
from pkgutil import resolve_name

import stack


def main() -> None:
    """Written aside and renamed: whoever sees the file sees all of it."""
    home, known = stack.home(), resolve_name("write_endpoint:endpoint")()
    known["diracx"] = os.environ["STACK_DIRACX_URL"]
    known["dirac_env"] |= {"DIRACX_CA_PATH": str(home / "certs" / "ca.pem"), "DIRACX_URL": known["diracx"]}
    known["captures"] = {
        "dirac": known["server_capture"],
        "diracx": str(home / "diracx_capture.jsonl"),
        "s3": str(home / "s3_capture.jsonl"),
    }
    known["faults"] = {name: str(home / "run" / f"{name}_faults.json") for name in ("diracx", "s3")}
    path = home / "endpoint.json"
    aside = path.with_suffix(".new")
    aside.write_text(json.dumps(known, indent=2) + "\n", encoding="utf-8")
    aside.rename(path)


if __name__ == "__main__":
    main()
