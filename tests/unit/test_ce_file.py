"""CEs as a configuration file defines them: what is read, and how a mistake is told."""

import pytest

from ce_backends.batch_types import SYSTEMS
from ce_backends.ce_file import Reading, definitions, read
from ce_backends.cfg import parse
from ce_backends.errors import CEMisconfigured

SITE = "Resources\n{\nSites\n{\nLCG\n{\nLCG.A.org\n{\nCEs\n{\nce01\n{\n%s}\n}\n}\n}\n}\n}\n"


def test_each_queue_of_a_ce_is_a_definition_whose_own_options_win() -> None:
    cfg = parse(
        SITE % "CEType = Local\nBatchSystem = SLURM\nMaxTotalJobs = 5\n"
        "Queues\n{\nlong\n{\nMaxTotalJobs = 7\n}\nshort\n{\n}\n}\n",
        "a.cfg",
    )

    seen = {d.name: (read(d).options["Queue"], read(d).options["MaxTotalJobs"]) for d in definitions(cfg)}

    assert seen == {"ce01/long": ("long", 7), "ce01/short": ("short", 5)}


def test_slot_takes_its_options_from_all_sections_that_dirac_reads() -> None:
    cfg = parse(
        "Resources\n{\nComputing\n{\nCEDefaults\n{\nOutputLimit = 1\nKillGraceTime = 1\n}\nPool\n{\nKillGraceTime = 2\n"
        "NumberOfProcessors = 2\n}\n}\n}\nLocalSite\n{\nLocalCE = Pool\nNumberOfProcessors = 3\n}\n",
        "a.cfg",
    )

    (definition,) = definitions(cfg)

    assert read(definition).options == {"OutputLimit": 1, "KillGraceTime": 2.0, "NumberOfProcessors": 3}


def test_old_names_are_understood_and_the_new_ones_told() -> None:
    (definition,) = definitions(parse(SITE % "CEType = SLURM\nExecQueue = fast\n", "a.cfg"))

    reading = read(definition)

    assert (definition.ce_type, reading.options) == ("Local", {"BatchSystem": "SLURM", "Queue": "fast"})
    assert reading.notes == ["a.cfg:13: CEType = SLURM is taken for CEType = Local with BatchSystem = SLURM"]


def test_all_mistakes_are_told_with_their_place() -> None:
    text = "CEType = Local\nStatusIntervall = 3\nMaxTotalJobs = many\nBatchSystem = SLRUM\n"
    (definition,) = definitions(parse(SITE % text, "a.cfg"))

    assert read(definition).mistakes == [
        "a.cfg:14: unknown option StatusIntervall = 3; did you mean StatusInterval?",
        "a.cfg:15: option MaxTotalJobs of CE type Local is 'many': expected a whole number of at least 1",
        f"a.cfg:16: option BatchSystem of CE type Local is 'SLRUM': expected one of {', '.join(sorted(SYSTEMS))}",
    ]


def test_what_pilots_and_the_wms_read_there_is_neither_a_mistake_nor_without_effect() -> None:
    (definition,) = definitions(parse(SITE % "CEType = Local\nSI00 = 2000\nmaxCPUTime = 60\n", "a.cfg"))

    assert read(definition) == Reading({}, [], [])


def test_what_only_ces_of_dirac_read_is_told_to_have_no_effect() -> None:
    (definition,) = definitions(parse(SITE % "CEType = Local\nBatchOutput = /tmp\n", "a.cfg"))

    assert read(definition) == Reading({}, [], ["a.cfg:14: BatchOutput has no effect on CE type Local"])


def test_a_queue_section_of_a_ce_type_without_queues_needs_no_note() -> None:
    (definition,) = definitions(parse(SITE % "CEType = HTCondorCE\nQueues\n{\ncondor\n{\n}\n}\n", "a.cfg"))

    assert (definition.name, read(definition).notes) == ("ce01/condor", [])


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "no CE is defined: expected /Resources/Sites/GRID/SITE/CEs/CE with CEType, or /LocalSite with LocalCE"),
        (SITE % "CEType = Slrum\n", "a.cfg:13: unknown CE type Slrum"),
        (SITE % "Queue = a\n", "/Resources/Sites/LCG/LCG.A.org/CEs/ce01: CEType is not set: expected one of "),
    ],
)
def test_configuration_without_a_right_ce_is_told(text: str, sentence: str) -> None:
    with pytest.raises(CEMisconfigured) as caught:
        definitions(parse(text, "a.cfg"))

    assert str(caught.value).startswith(sentence)
