"""What the jobs of job_api_jobs.py name, put into the catalogue by DIRAC's own client before they are submitted."""

import json
import os
import tarfile
from pathlib import Path

from tests.system.storage import DiracData

INPUTS = ("a", "b", "c", "other", "damaged", "one_bad")


def fill(data: DiracData, folder: Path, run: str) -> None:
    """Put what the jobs name with DIRAC's own client; then damage what shall be damaged."""
    for number, name in enumerate(INPUTS):
        (folder / f"{name}.root").write_bytes(os.urandom(100_000 + number))
    (folder / "tool.sh").write_text("echo I am the tool\n", encoding="utf-8")
    with tarfile.open(folder / "lib.tar.gz", "w:gz") as lib:
        lib.add(folder / "tool.sh", "tools/tool.sh")
    (folder / "taken.root").write_bytes(b"others wrote this\n")
    (folder / "same.root").write_bytes(b"out\n")
    at, home = f"/labvo/data/{run}", f"/labvo/user/l/labuser/{run}"
    places = {
        f"{at}/a.root": ("a.root", "LAB-disk", "FAR-disk"),
        f"{at}/b.root": ("b.root", "XRD-https"),
        f"{at}/c.root": ("c.root", "DAV-disk"),
        f"{at}/other/a.root": ("other.root", "LAB-disk"),
        f"{at}/damaged.root": ("damaged.root", "LAB-disk"),
        f"{at}/one_bad.root": ("one_bad.root", "LAB-disk", "FAR-https"),
        f"{home}/lib.tar.gz": ("lib.tar.gz", "LAB-disk"),
        f"{home}/taken/out.root": ("taken.root", "LAB-disk"),
        f"{home}/same/out.root": ("same.root", "LAB-disk"),
    }
    files = [
        {"lfn": lfn, "file": str(folder / file), "elements": elements} for lfn, (file, *elements) in places.items()
    ]
    data.client("user", "fill", json.dumps(files))
    for name in ("damaged", "one_bad"):
        with data.path("LAB-disk", f"{at}/{name}.root").open("r+b") as replica:
            replica.write(b"damaged!")
