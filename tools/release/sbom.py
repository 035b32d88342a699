"""What is in a bundle, in CycloneDX 1.5: every package, with version, licence and where it comes from."""

import json
import uuid
from importlib import metadata
from pathlib import Path
from typing import Any


def written(place: Path, version: str, epoch: int, python: str) -> str:
    """Return the bill of materials of the packages installed in a folder, and of the Python that runs them.

    Args:
        place: a site-packages folder.
        version: of gridpilot.
        epoch: when its source was committed; the same source gives the same text.
        python: version of the Python that goes with it.
    """
    parts = sorted(
        (_component(each) for each in metadata.distributions(path=[str(place)])), key=lambda each: each["purl"]
    )
    parts = [each for each in parts if each["name"] != "gridpilot"]
    parts.append({"type": "application", "name": "cpython", "version": python, "purl": f"pkg:generic/python@{python}"})
    name = f"gridpilot-{version}-{epoch}"
    told = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "serialNumber": f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, name)}",
        "version": 1,
        "metadata": {
            "component": {
                "type": "application",
                "bom-ref": "gridpilot",
                "name": "gridpilot",
                "version": version,
                "purl": f"pkg:pypi/gridpilot@{version}",
                "licenses": [{"license": {"id": "Apache-2.0"}}],
            }
        },
        "components": parts,
    }
    return json.dumps(told, indent=1, sort_keys=True) + "\n"


def _component(distribution: metadata.Distribution) -> dict[str, Any]:
    name, version = distribution.metadata["Name"], distribution.version
    purl = f"pkg:pypi/{name.lower().replace('_', '-')}@{version}"
    told: dict[str, Any] = {"type": "library", "bom-ref": purl, "name": name, "version": version, "purl": purl}
    if licence := distribution.metadata["License-Expression"]:
        told["licenses"] = [{"expression": licence}]
    elif (licence := distribution.metadata["License"]) and "\n" not in licence:
        told["licenses"] = [{"license": {"name": licence[:200]}}]
    return told
