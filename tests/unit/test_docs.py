"""What the documents say is what the code does."""

import ast
import re
from pathlib import Path

from docs import configuration_page, systems_page

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")]
FORBIDDEN = {"pilot": {"agents", "ce_backends"}, "agents": {"pilot"}, "ce_backends": {"agents", "pilot"}}


def test_configuration_page_is_what_make_docs_writes() -> None:
    written = configuration_page.PAGE.read_text(encoding="utf-8")

    assert written == configuration_page.page(), "run `make docs`"


def test_page_of_systems_is_what_make_docs_writes() -> None:
    assert systems_page.PAGE.read_text(encoding="utf-8") == systems_page.page(), "run `make docs`"


def test_packages_import_one_way_only() -> None:
    wrong = [
        f"{path.relative_to(ROOT)} imports {name}"
        for package, forbidden in FORBIDDEN.items()
        for path in (ROOT / package).rglob("*.py")
        for name in imported(path)
        if name.split(".")[0] in forbidden
    ]

    assert wrong == []


def test_production_code_does_not_import_the_local_wms() -> None:
    wrong = [
        str(path.relative_to(ROOT))
        for path in (ROOT / "agents").rglob("*.py")
        if "local_wms" not in path.parts and any(name.startswith("agents.local_wms") for name in imported(path))
    ]

    assert wrong == []


def test_only_the_credentials_import_m2crypto() -> None:
    users = {
        path.relative_to(ROOT).parts[:2]
        for path in (ROOT / "agents").rglob("*.py")
        if any(name.startswith("M2Crypto") for name in imported(path))
    }

    assert users == {("agents", "credentials")}


def imported(path: Path) -> set[str]:
    """Return the modules that a file imports, by their full names."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module)
    return names


def test_make_help_lists_every_target_and_the_documents_name_no_other() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8").replace("\\\n", " ")
    listed = set(re.findall(r"^([a-z-]+):.*## ", makefile, re.MULTILINE))
    (phony,) = re.findall(r"^\.PHONY:(.*)$", makefile, re.MULTILINE)
    named = {
        target
        for page in PAGES
        for target in re.findall(r"(?:^|`)make ([a-z-]+)", page.read_text(encoding="utf-8"), re.MULTILINE)
    }

    assert set(phony.split()) == listed
    assert named - listed == set()
    assert "demo" in named


def test_files_that_the_documents_name_exist() -> None:
    missing = [
        f"{page.relative_to(ROOT)}: {target}"
        for page in PAGES
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8"))
        if not (page.parent / target).exists()
    ]

    assert missing == []


def test_tests_that_the_page_on_security_names_are_there() -> None:
    text = (ROOT / "docs/security.md").read_text(encoding="utf-8")
    named = re.findall(r"(tests/[\w/]+\.py)(?:::(\w+))?", text)

    missing = [f"{file}::{name}" for file, name in named if not _has_test(ROOT / file, name)]

    assert len(named) > 30
    assert missing == []


def _has_test(file: Path, name: str) -> bool:
    if not file.is_file() or not name:
        return file.is_file()
    return re.search(rf"^(async )?def {name}\(", file.read_text(encoding="utf-8"), re.MULTILINE) is not None
