"""`python -m agents.check`: would an agent take this configuration? The pilot's doctor asks, on standard input."""

import json
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

from agents.credentials.identity import establish
from agents.errors import ExitCode, StopAgent
from agents.jobs import client
from agents.redaction import without_secrets
from agents.settings.agent import load, nearly_ours
from agents.settings.inner_ce import inner_ce_options
from agents.wms.configuration import without_setups
from ce_backends.cfg import Section, from_options, parse
from ce_backends.configuration.rehearsal import rehearse
from ce_backends.configuration.site_file import SLOT, definitions, misspelt
from ce_backends.errors import CEMisconfigured


def misspelt_of_ce(cfg: Section) -> list[str]:
    """Return a sentence for each option that is probably one of the inner CE's, with another name."""
    return [sentence for own in definitions(cfg) if own.name == SLOT for sentence in misspelt(own)]


@dataclass(frozen=True, slots=True)
class Verdict:
    """What an agent would say.

    Attributes:
        fault: why it would end at once, empty if it would not.
        exit_code: with which it would.
        trouble: why it would ask for no job on this node, empty if it would ask.
        odd: sentences about options that look misspelt.
        remark: what keeps payloads apart on this node, empty where nothing tells.
        client: the file that makes a shell find a DIRAC client, empty where there is none.
        looked_for: where one was looked for.
    """

    fault: str = ""
    exit_code: int = 0
    trouble: str = ""
    odd: Sequence[str] = ()
    remark: str = ""
    client: str = ""
    looked_for: Sequence[str] = ()


def check(published: str, local: Mapping[str, str], environ: Mapping[str, str] | None = None) -> Verdict:
    """Go through what an agent would do before its first request: settings, credential, the CE that runs the jobs.

    Args:
        published: CFG text of the Configuration service.
        local: options of pilot.cfg, which win, by path.
        environ: of the agent; None where there is no credential to look at.
    """
    try:
        ours = from_options(local, "pilot.cfg")
        vo = ours.text("/DIRAC/VirtualOrganization")
        tree = without_setups(parse(published, "configuration").merge(ours), vo)
        settings = load(tree)
        found = rehearse(settings.ce_type, inner_ce_options(tree, settings))
        if environ is not None:
            establish(settings, environ)
    except CEMisconfigured as error:
        return Verdict(str(error), ExitCode.CONFIGURATION)
    except StopAgent as error:
        return Verdict(str(error), error.exit_code)
    odd = [*nearly_ours(ours), *misspelt_of_ce(tree)]
    if found.mistakes:
        return Verdict("; ".join(found.mistakes), ExitCode.CONFIGURATION, odd=odd)
    looked_for = client.places_of(settings)
    here = client.find(looked_for)
    return Verdict(trouble=found.trouble, odd=odd, remark=found.remark, client=here, looked_for=looked_for)


def main() -> None:
    """Read `[published, local, has_credential]`; write the verdict as a JSON object."""
    published, local, has_credential = json.load(sys.stdin)
    verdict = check(published, local, os.environ if has_credential else None)
    print(json.dumps(without_secrets(asdict(verdict))))


if __name__ == "__main__":
    main()
