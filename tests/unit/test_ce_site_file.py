"""CEs as a configuration file defines them: what is read, and how a mistake is told."""

from pathlib import Path

import pytest

from ce_backends.__main__ import main
from ce_backends.ce_types.local_and_ssh import SYSTEMS
from ce_backends.cfg import parse
from ce_backends.cli.commands import examine
from ce_backends.configuration.site_file import FOR_OTHERS, Reading, definitions, read
from ce_backends.errors import CEMisconfigured

SORTED = ", ".join(sorted(SYSTEMS))
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
        f"a.cfg:16: option BatchSystem of CE type Local is 'SLRUM': expected one of {SORTED}; did you mean SLURM?",
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


def test_a_configuration_without_a_ce_is_told() -> None:
    sentence = "no CE is defined: expected /Resources/Sites/GRID/SITE/CEs/CE with CEType, or /LocalSite with LocalCE"

    with pytest.raises(CEMisconfigured) as caught:
        definitions(parse("", "a.cfg"))

    assert str(caught.value) == sentence


def mistake(text: str) -> str:
    (definition,) = definitions(parse(SITE % text, "a.cfg"))
    (told,) = examine(definition)[0].mistakes
    return told


LOCAL = "CEType = Local\nBatchSystem = SLURM\n"


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("CEType = Slrum\n", "a.cfg:13: unknown CE type Slrum; did you mean Local with BatchSystem = SLURM?"),
        ("CEType = SGE\n", "a.cfg:13: unknown CE type SGE; did you mean Local with BatchSystem = GE?"),
        ("CEType = UGE\n", "a.cfg:13: unknown CE type UGE; did you mean Local with BatchSystem = GE?"),
        ("CEType = PBS\n", "a.cfg:13: unknown CE type PBS; did you mean Local with BatchSystem = Torque?"),
        ("CEType = OpenPBS\n", "a.cfg:13: unknown CE type OpenPBS; did you mean Local with BatchSystem = Torque?"),
        (
            "CEType = HTCondor\n",
            "a.cfg:13: unknown CE type HTCondor; did you mean HTCondorCE, or Local with BatchSystem = Condor?",
        ),
        ("CEType = Apptainer\n", "a.cfg:13: unknown CE type Apptainer; did you mean Singularity?"),
        ("Queue = a\n", "a.cfg:11: /Resources/Sites/LCG/LCG.A.org/CEs/ce01: CEType is not set: expected one of "),
        (
            "CEType = Local\nBatchSystem = Slurm\n",
            "a.cfg:14: option BatchSystem of CE type Local is 'Slurm': expected ",
        ),
        (
            "CEType = Local\nBatchSystem = OpenPBS\n",
            "a.cfg:14: option BatchSystem of CE type Local is 'OpenPBS': expected ",
        ),
        ("CEType = SSH\n", "option SSHHost of CE type SSH is not set: expected the host to log in to"),
        (LOCAL + "WallTime = 1\nWallTime = 2\n", "a.cfg:16: WallTime is set again: it stands in a.cfg:15 already"),
        (LOCAL + "MaxTotalJobs 5\n", "a.cfg:15: 'MaxTotalJobs 5' says nothing: expected 'option = value'"),
        (
            LOCAL + "SubmitOptions = --comment='x\n",
            'a.cfg:15: option SubmitOptions is "--comment=\'x": no closing quotation',
        ),
        (
            LOCAL + "SharedArea = $NOWHERE/x\n",
            "a.cfg:15: option SharedArea is $NOWHERE/x, and the environment variable NOWHERE",
        ),
        (
            LOCAL + "ParallelEnvironment = mpi\n",
            "a.cfg:15: option ParallelEnvironment is for BatchSystem = GE, and BatchSystem is SLURM",
        ),
        (
            "CEType = HTCondorCE\nMemoryResource = h_vmem\n",
            "a.cfg:14: MemoryResource is for BatchSystem = GE, not for CE type HTCondorCE",
        ),
        (LOCAL + "long\n{\n}\n", "a.cfg:15: section long is read by nobody; a queue's stands in the section Queues"),
        (LOCAL + "Queue\n{\nlong\n{\n}\n}\n", "a.cfg:15: section Queue is read by nobody; did you mean Queues?"),
        (
            "CEType = SSH\nSSHHost = h\nSSHOptions = -o 'x\n",
            'a.cfg:15: option SSHOptions is "-o \'x": no closing quotation',
        ),
    ],
)
def test_a_mistake_is_told_with_its_line_and_the_nearest_name(text: str, sentence: str) -> None:
    assert mistake(text).startswith(sentence)


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("Slurm", "SLURM"),
        ("SGE", "GE"),
        ("UGE", "GE"),
        ("PBS", "Torque"),
        ("OpenPBS", "Torque"),
        ("HTCondor", "Condor"),
        ("SLRUM", "SLURM"),
    ],
)
def test_what_people_call_a_batch_system_is_told_in_diracs_word(name: str, meant: str) -> None:
    assert mistake(f"CEType = Local\nBatchSystem = {name}\n").endswith(f"; did you mean {meant}?")


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ('Queue = "long"', "is '\"long\"': the quotes would be part of the value, take them away"),
        ("Queue = 'long'", "is \"'long'\": the quotes would be part of the value, take them away"),
        ("Queue = long # the long one", "a comment needs a line of its own, here it would be part of the value"),
    ],
)
def test_what_is_no_part_of_a_value_is_told(text: str, sentence: str) -> None:
    assert sentence in mistake(f"CEType = Local\nBatchSystem = SLURM\n{text}\n")


def test_quotes_mean_something_in_arguments() -> None:
    (definition,) = definitions(parse(SITE % (LOCAL + "SubmitOptions = '--comment=a b'\n"), "a.cfg"))

    assert examine(definition)[0].mistakes == []


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        (SITE.replace("CEs", "CE") % "CEType = Local\n", "a.cfg:9: section CE: did you mean CEs?"),
        (
            SITE.replace("Resources", "Resource") % "CEType = Local\n",
            "a.cfg:1: section Resource: did you mean Resources?",
        ),
        (SITE.replace("Sites", "Site") % "CEType = Local\n", "a.cfg:3: section Site: did you mean Sites?"),
        ("Localsite\n{\nLocalCE = Pool\n}", "a.cfg:1: section Localsite: did you mean LocalSite?"),
    ],
)
def test_a_section_with_nearly_the_right_name_is_told(text: str, hint: str) -> None:
    with pytest.raises(CEMisconfigured) as caught:
        definitions(parse(text, "a.cfg"))

    assert str(caught.value).endswith(hint)


def test_a_slip_on_the_way_to_a_ce_is_a_mistake_of_it() -> None:
    text = (SITE % "CEType = Pool\n").replace("LCG.A.org\n{\n", "LCG.A.org\n{\nName LCG\n")
    (definition,) = definitions(parse(text, "a.cfg"))

    assert definition.mistakes[0].startswith("a.cfg:9: 'Name LCG' says nothing")


def test_a_ce_of_an_unknown_type_does_not_hide_the_others() -> None:
    text = (SITE % "CEType = CloudCE\n").replace("ce01", "vm\n{\nCEType = CREAM\n}\nce01")

    assert [(d.name, len(d.mistakes)) for d in definitions(parse(text, "a.cfg"))] == [("vm", 1), ("ce01", 1)]


@pytest.mark.parametrize("command", ["validate", "plan", "test"])
@pytest.mark.parametrize(
    "text",
    [
        "CEType = SSH\n",
        "CEType = SGE\n",
        LOCAL + "WallTime = 1\nWallTime = 2\n",
        LOCAL + "SubmitOptions = '\n",
        LOCAL + "q\n{\n}\n",
    ],
)
def test_what_one_command_refuses_all_refuse(command: str, text: str, tmp_path: Path) -> None:
    file = tmp_path / "dirac.cfg"
    file.write_text(SITE % text)

    assert main([command, str(file)]) == 2


def test_what_cannot_be_used_on_this_machine_is_not_called_ok(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    argv = ["Pool/Singularity", "-o", "ContainerBin=/no/apptainer", "-o", "ContainerRoot=/"]

    codes = [main([command, *argv]) for command in ("validate", "plan", "test")]

    said = capsys.readouterr()
    assert codes == [3, 3, 3]
    assert ": ok" not in said.out
    assert "/no/apptainer" in said.out


def test_a_ce_type_of_others_that_stumbles_over_its_options_is_a_mistake(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def stumbles(*_: object) -> None:
        raise ZeroDivisionError("division by zero")

    monkeypatch.setattr("ce_backends.configuration.rehearsal.create", stumbles)

    assert main(["validate", "Pool"]) == 2
    assert "mistake: CE type Pool cannot be made: ZeroDivisionError: division by zero" in capsys.readouterr().out


def test_more_processors_than_this_machine_has_are_noted(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["validate", "Pool", "-o", "NumberOfProcessors=8000"]) == 0

    assert "note: -o NumberOfProcessors: option NumberOfProcessors is 8000, and this machine gives" in (
        capsys.readouterr().out
    )


def test_a_pilots_own_configuration_has_no_mistakes_and_no_notes() -> None:
    text = "\n".join(f"{name} = 1" for name in sorted(FOR_OTHERS - {"NumberOfProcessors", "Queue"}))
    (definition,) = definitions(parse(f"LocalSite\n{{\nLocalCE = Pool\n{text}\n}}", "pilot.cfg"))

    reading, _ = examine(definition)

    assert (reading.mistakes, reading.notes) == ([], [])


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("LocalSite:\n  LocalCE: Pool\n", "YAML"),
        ("---\nces:\n- name: a\n", "YAML"),
        ('{"LocalSite": {"LocalCE": "Pool"}}', "JSON"),
        ('{\n  "LocalSite": {\n    "LocalCE": "Pool"\n  }\n}\n', "JSON"),
        ("<LocalSite><LocalCE>Pool</LocalCE></LocalSite>", "XML or HTML"),
        ("[LocalSite]\nLocalCE = Pool\n", "INI or TOML"),
    ],
)
def test_another_language_is_recognised(
    text: str, language: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "dirac.cfg"
    file.write_text(text)

    assert main(["validate", str(file)]) == 2
    assert f"this looks like {language}, expected DIRAC's CFG" in capsys.readouterr().err
