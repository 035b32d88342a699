"""The documentation site, `make docs-site`: the pages of docs/ as they are, with a search that needs no server."""

import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]
_project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]

project = "gridpilot"
version = release = _project["version"]
author = "gridpilot"
extensions = ["myst_parser"]
myst_heading_anchors = 4  # pages link to headings as GitHub names them
root_doc = "docs/index"
include_patterns = ["docs/**.md", "CONTRIBUTING.md", "CHANGELOG.md", "bench/README.md"]
exclude_patterns = [".*", "dist", "**/__pycache__"]
suppress_warnings = ["misc.highlighting_failure"]  # blocks with an ellipsis in the place of what is left out

html_theme = "furo"
html_title = f"gridpilot {release}"
html_extra_path = ["extra"]  # index.html, which leads to the first page
html_show_sourcelink = False
html_copy_source = False
