"""What the documents say is what the code does."""

import ast
import re
from functools import cache
from pathlib import Path

import pytest

from agents.jobs.job import Minor
from agents.slot.stop import Stop
from docs import commands_page, configuration_page, systems_page
from pilot.errors import EXIT_CODES
from tools import floor_plan

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


def test_each_cell_of_the_versions_names_a_test_that_there_is() -> None:
    rows = [line.strip("|").split("|") for line in _page("versions.md").splitlines() if line.startswith("| ")]
    there = {folder: _tests_of(folder) for folder in ("system", "joined")}
    shown = [(text.strip(), at == 4) for row in rows[3:] for at, text in enumerate(row[1:])]

    assert len(shown) > 50
    for text, is_joined in shown:
        is_there = text.strip("`") in there["system"] | (there["joined"] if is_joined else set())
        assert text in ("not tried", "has none") or is_there, text


def _page(name: str) -> str:
    return (ROOT / "docs" / name).read_text(encoding="utf-8")


def _tests_of(folder: str) -> set[str]:
    texts = [path.read_text(encoding="utf-8") for path in (ROOT / "tests" / folder).glob("test_*.py")]
    return set(re.findall(r"^def (test_\w+)", "\n".join(texts), re.MULTILINE))


@cache
def imported(path: Path) -> set[str]:
    """Return the modules that a file imports, by their full names."""
    names: set[str] = set()
    for node in ast.walk(floor_plan.tree(path)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module)
    return names


def test_make_help_lists_every_target_and_the_documents_name_no_other() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8").replace("\\\n", " ")
    listed = set(re.findall(r"^([a-z0-9.-]+):.*## ", makefile, re.MULTILINE))
    (phony,) = re.findall(r"^\.PHONY:(.*)$", makefile, re.MULTILINE)
    named = {
        target
        for page in PAGES
        for target in re.findall(
            r"(?:^|`)make ([a-z0-9-]+(?:\.[0-9]+)?)", page.read_text(encoding="utf-8"), re.MULTILINE
        )
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


def test_every_way_for_a_pilot_or_a_job_to_end_is_on_the_page_of_sentences() -> None:
    page = (ROOT / "docs/sentences.md").read_text(encoding="utf-8")
    of_pilots = [re.sub(r"^;", "…;", re.sub(r"\{\w+\}", "…", sentence)) for sentence in Stop]
    missing = [words for words in (*of_pilots, *Minor) if f"`{words}`" not in page and not beginning_of(words, page)]

    assert missing == []
    assert all(f"| {code} |" in page for code in EXIT_CODES)


def beginning_of(words: str, page: str) -> bool:
    """Tell whether the page has the words up to an ellipsis that ends them there."""
    return any(words.startswith(shown) for shown in re.findall(r"`([^`]{12,}?) ?…`", page))


@pytest.mark.parametrize("path", commands_page.files(), ids=lambda path: path.name)
def test_pages_and_completions_are_what_the_table_of_commands_says(path: Path) -> None:
    assert path.read_text(encoding="utf-8") == commands_page.files()[path], "run `make docs`"


CALQUES = re.compile(r"\b[Bb]eside\b|\bsaid once\b|\bwritten after the\b|[;,] else\b")


def test_sentences_are_those_of_a_native_reader() -> None:
    pages = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")]
    found = [
        f"{page.relative_to(ROOT)}:{number}: {match[0]}"
        for page in pages
        if page.name != "recordings.md"  # what programs said
        for number, line in enumerate(page.read_text(encoding="utf-8").splitlines(), 1)
        for match in CALQUES.finditer(line)
    ]

    assert found == []
