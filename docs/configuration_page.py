"""Writes `docs/configuration.md` out of the settings tables of pilot, agent and CE types: `make docs`."""

import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import MISSING
from pathlib import Path

from agents.settings import site_director
from agents.settings.agent import WITHOUT_EFFECT, explain
from agents.settings.table import Explained
from ce_backends.cfg import Section
from ce_backends.registry import backend, ce_types
from pilot import settings as pilot_settings

PAGE = Path(__file__).with_name("configuration.md")
BEGINNING = """\
# Configuration

Written by `make docs` from the settings tables in the code; do not edit.

The formats are DIRAC's: command line and `pilot.json` for the pilot, CFG files and the Configuration service for the
agent. `--explain` prints each setting with its value and where it came from.
"""

CE_OPTIONS = """\
## Where the options of a CE type come from

`gridpilot ce describe TYPE` shows them with an example. An agent reads them from these sections, of two values the
later wins: `/Resources/Computing/CEDefaults`, `/Resources/Computing/TYPE` (for `Pool/Singularity` first `Pool`, then
`Singularity`), `/LocalSite/CENAME`, `/LocalSite`. The pilot puts into `/LocalSite` what the Configuration has about its
CE and queue (`/Resources/Sites/GRID/SITE/CEs/CENAME` and `Queues/QUEUE` in it), and what `-o /LocalSite/OPTION=VALUE`
says.
"""


def page() -> str:
    """Return the page's text."""
    return "\n".join([BEGINNING, *_pilot(), *_agent(), *_site_director(), CE_OPTIONS, *_ce_types()])


def _pilot() -> Iterator[str]:
    yield "## The pilot: `python -m pilot`\n"
    yield "| option | default | meaning |\n|---|---|---|"
    defaults = pilot_settings.defaults()
    for name, row in pilot_settings.table().items():
        spelling = ", ".join(f"`{each}`" for each in row.names) or "(`pilot.json` only)"
        yield f"| {spelling} | {_shown(defaults[name])} | {_escaped(row.meaning)} |"
    yield "\nAccepted because site directors send them, without effect: "
    yield ", ".join(f"`{spellings[-1]}`" for spellings, _ in pilot_settings.WITHOUT_EFFECT) + ".\n"


def _shown(default: object) -> str:
    if default is MISSING or default in ("", (), None):
        return ""
    return ", ".join(map(str, default)) if isinstance(default, tuple) else str(default)


def _agent() -> Iterator[str]:
    yield "## The agent: `python -m agents`\n"
    yield from _table(explain(Section()), WITHOUT_EFFECT)


def _site_director() -> Iterator[str]:
    yield "## The SiteDirector: `python -m agents.site_director`\n"
    yield "Of sections of CEs and queues it reads what DIRAC's SiteDirector reads, `ExtraPilotOptions` among them, and"
    yield "`Price`, of a processor hour, compared with that of other queues. [More](site-director.md).\n"
    yield from _table(site_director.explain(Section()), site_director.WITHOUT_EFFECT)


def _table(rows: Iterable[Explained], without_effect: Mapping[str, str]) -> Iterator[str]:
    yield "| option | default | unit | meaning |\n|---|---|---|---|"
    for row in rows:
        yield f"| `{row.path}` | {_escaped(row.shown)} | {row.unit} | {_escaped(row.doc)} |"
    yield "\nDIRAC's options of the agent that are accepted without effect: "
    yield ", ".join(f"`{name}` ({reason})" for name, reason in without_effect.items()) + ".\n"


def _ce_types() -> Iterator[str]:
    for name in ce_types():
        yield f"## CE type {name}\n"
        yield "| option | default | unit | meaning |\n|---|---|---|---|"
        for option in backend(name).OPTIONS:
            yield f"| `{option.name}` | {_shown(option.default)} | {option.unit} | {_escaped(option.doc)} |"
        yield ""


def _escaped(text: str) -> str:
    return text.replace("|", "\\|")


def main() -> int:
    """Write the page."""
    PAGE.write_text(page(), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
