"""Both readers of CFG take what DIRAC's own takes."""

import pytest

from ce_backends import cfg as agents_reader
from ce_backends.errors import CfgError
from pilot import cfg as pilots_reader
from pilot.errors import UsageError
from tests.field.cfg_texts import TEXTS


def flat_for_agents(text: str) -> dict[str, str]:
    def below(section: agents_reader.Section, path: str) -> dict[str, str]:
        found = {f"{path}/{name}": value.text for name, value in section.options()}
        for name, inner in section.sections():
            found |= below(inner, f"{path}/{name}")
        return found

    return below(agents_reader.parse(text, "x.cfg"), "")


def flat_for_pilots(text: str) -> dict[str, str]:
    def below(section: pilots_reader.Section, path: str) -> dict[str, str]:
        found: dict[str, str] = {}
        for name, value in section.items():
            found |= {f"{path}/{name}": value} if isinstance(value, str) else below(value, f"{path}/{name}")
        return found

    return below(pilots_reader.parse(text, "x.cfg"), "")


@pytest.mark.parametrize("flat", [flat_for_agents, flat_for_pilots])
@pytest.mark.parametrize(("text", "expected"), TEXTS)
def test_both_readers_read_what_diracs_own_reads(flat, text: str, expected: dict[str, str] | None) -> None:
    try:
        read = flat(text)
    except (CfgError, UsageError):
        read = None

    assert read == expected
