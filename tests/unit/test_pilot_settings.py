import json

import pytest

from pilot import cli, pilot_json, settings, usage
from pilot.errors import UsageError

NEW_SCHEMA = {
    "DefaultSetup": "Prod",
    "ConfigurationServers": ["https://cs1/Configuration/Server", "https://cs2/Configuration/Server"],
    "CEs": {
        "ce01": {
            "Site": "LCG.A.ch",
            "GridCEType": "HTCondorCE",
            "LocalCEType": "InProcess",
            "q": {"LocalCEType": "Pool"},
        }
    },
    "Defaults": {"Pilot": {"Version": ["9.1.1", "9.1.0"], "RemoteLogging": "False", "Project": "P0"}},
    "Prod": {"Pilot": {"Version": "9.1.2"}},
    "vo": {
        "Defaults": {"Pilot": {"Version": "9.1.3", "Project": "P1"}},
        "Prod": {"Pilot": {"Version": ["9.1.4"]}},
        "Pilot": {"Version": "9.1.5", "RemoteLogging": True, "RemoteLoggerBufsize": "50"},
    },
    "timestamp": "now",
}
OLD_SCHEMA = {
    "DefaultSetup": "Prod",
    "Setups": {
        "Defaults": {"Version": "8.0.1", "ConfigurationServer": "https://cs/Configuration/Server", "Project": "D"},
        "Prod": {"Version": ["8.0.2", "8.0.1"]},
    },
}


def load(argv, content=None, vo="vo", path="pilot.json"):
    line = cli.parse(argv)
    told = settings.load(line.given).settings
    return settings.load([*pilot_json.settings(content or {}, path, told, vo), *line.given])


def test_every_option_that_dirac_pilot_knows_is_accepted():
    with_value = [f"-{letter}" for letter in "aeglnomrstuxyCDEFGKMNOPQRSTVWXZ"]
    numeric = {"-m", "-D", "-M", "-P", "-T"}
    argv = [word for name in with_value for word in (name, "1" if name in numeric else "/a=b")]
    argv += ["-c", "-d", "-k", "-z", "--wnVO=x", "--requiredTag=x", "--modules=x", "--userEnvVariables=A:::b"]
    argv += [
        "--pipInstallOptions=x",
        "--PollingTime=5",
        "--StopOnApplicationFailure=False",
        "--StopAfterFailedMatches=3",
    ]
    argv += ["--pilotUUID=x", "--preinstalledEnv=x", "--preinstalledEnvPrefix=x", "--architectureScript=x"]
    argv += ["--CVMFS_locations=/cvmfs/x"]

    line = cli.parse(argv)

    assert {"-s", "-u", "-e", "-V", "-W", "--modules"} <= set(line.without_effect)
    assert settings.load(line.given).settings.stop_after_failed_matches == 3


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["-P", "two"], "option -P: 'two' is not a whole number, 0 or more"),
        (["-P", "100001"], "option -P: '100001' is not a number of at most 100000"),
        (["--PollingTime", "1e10"], "option --PollingTime: '1e10' is not a number of at most 1000000000"),
        (["--PollingTime", "-1"], "option --PollingTime: '-1' is not a number of seconds, 0 or more"),
        (["--PollingTime", "nan"], "option --PollingTime: 'nan' is not a number of seconds"),
        (["--StopOnApplicationFailure", "perhaps"], "'perhaps' is not True or False"),
        (["-o", "nonsense"], "option -o: 'nonsense' is not /Section/Option=value"),
        (["--userEnvVariables", "A=b"], "option --userEnvVariables: 'A=b' is not NAME:::value,..."),
        (["--PolingTime", "3"], "option --PolingTime: unknown; did you mean --PollingTime?"),
        (["--stopafterfailedmatches", "3"], "did you mean --StopAfterFailedMatches?"),
        (["--nonsense"], "option --nonsense: unknown; --help lists those that exist"),
        (["-q", "x"], "option -q: unknown"),
        (["-n"], "option -n: expected a value after it"),
        (["--debug=yes"], "option --debug: it takes no value"),
        (["--Stop", "1"], "short for more than one of --StopOnApplicationFailure, --StopAfterFailedMatches"),
        (["-d", "stray"], "argument 'stray': expected an option"),
    ],
)
def test_a_wrong_command_line_gets_one_sentence(argv, said):
    with pytest.raises(UsageError) as caught:
        settings.load(cli.parse(argv).given)

    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_lists_and_generic_options_add_up():
    told = load(["-t", "a,b", "--tag", "c", "-o", "/A/x=1,2", "-o", "y=a=b"]).settings

    assert (told.tags, told.options) == (("a", "b", "c"), (("/A/x", "1,2"), ("y", "a=b")))


def test_in_the_new_schema_the_most_specific_section_wins():
    told = load(["-N", "ce01", "-Q", "q"], NEW_SCHEMA).settings

    assert (told.release, told.project, told.remote_logging, told.logger_lines) == ("9.1.5", "P1", True, 50)
    assert (told.site, told.grid_ce_type, told.inner_ce, told.setup) == ("LCG.A.ch", "HTCondorCE", "Pool", "Prod")
    assert told.servers == ("https://cs1/Configuration/Server", "https://cs2/Configuration/Server")


@pytest.mark.parametrize(
    ("dropped", "release"),
    [
        ([], "9.1.5"),
        (["vo/Pilot"], "9.1.4"),
        (["vo/Pilot", "vo/Prod"], "9.1.3"),
        (["vo"], "9.1.2"),
        (["vo", "Prod"], "9.1.1"),
    ],
)
def test_the_order_of_the_new_schema(dropped, release):
    content = json.loads(json.dumps(NEW_SCHEMA))
    for place in dropped:
        *parents, name = place.split("/")
        (content[parents[0]] if parents else content).pop(name)

    assert load([], content).settings.release == release


def test_in_the_old_schema_the_setup_wins_over_the_defaults():
    loaded = load([], OLD_SCHEMA)

    assert (loaded.settings.release, loaded.settings.project) == ("8.0.2", "D")
    assert loaded.settings.servers == ("https://cs/Configuration/Server",)
    assert loaded.origins["release"] == "pilot.json Setups/Prod/Version"


def test_the_command_line_wins_over_the_file_and_its_setup_chooses_the_section():
    told = load(["-r", "9.9.9", "-n", "LCG.B.ch", "-N", "ce01", "-S", "Other"], NEW_SCHEMA).settings

    assert (told.release, told.site, told.setup) == ("9.9.9", "LCG.B.ch", "Other")


def test_a_wrong_type_in_the_file_is_named_with_its_place():
    with pytest.raises(UsageError) as caught:
        load([], {"Defaults": {"Pilot": {"RemoteLoggerBufsize": "many"}}})

    assert str(caught.value) == "pilot.json Defaults/Pilot/RemoteLoggerBufsize: 'many' is not a whole number, 0 or more"


def test_a_section_that_is_no_section_is_named():
    with pytest.raises(UsageError, match=r"CEs/ce01 is 'x'; expected a JSON object"):
        load(["-N", "ce01"], {"CEs": {"ce01": "x"}})


def test_a_malformed_file_is_named_with_line_and_column(tmp_path):
    path = tmp_path / "pilot.json"
    path.write_text('{"a": 1,\n "b" 2}')

    with pytest.raises(UsageError, match=r"pilot.json, line 2, column 6: not JSON"):
        pilot_json.load(path, must_exist=True)


def test_a_missing_file_matters_only_when_it_was_named(tmp_path):
    assert pilot_json.load(tmp_path / "pilot.json", must_exist=False) == {}
    with pytest.raises(UsageError, match="there is no such file"):
        pilot_json.load(tmp_path / "pilot.json", must_exist=True)


@pytest.mark.parametrize(
    ("argv", "commands", "origin"),
    [
        ([], ("A", "B"), "pilot.json Defaults/Pilot/Commands/Defaults"),
        (["-N", "ce01"], ("C",), "pilot.json Defaults/Pilot/Commands/HTCondorCE"),
        (["-a", "HTCondorCE"], ("C",), "pilot.json Defaults/Pilot/Commands/HTCondorCE"),
        (["-N", "ce01", "-a", "AREX"], ("A", "B"), "pilot.json Defaults/Pilot/Commands/Defaults"),
        (["-N", "ce01", "-X", "D"], ("D",), "option -X"),
    ],
)
def test_commands_are_listed_by_the_type_of_the_ce(argv, commands, origin):
    listed = {"Commands": {"Defaults": "A, B", "HTCondorCE": ["C"]}}

    loaded = load(argv, {"CEs": NEW_SCHEMA["CEs"], "Defaults": {"Pilot": listed}})

    assert (loaded.settings.commands, loaded.origins["commands"]) == (commands, origin)


@pytest.mark.parametrize("listed", [["A", "B"], "A,B"])
def test_one_list_of_commands_serves_all_types(listed):
    assert load(["-N", "ce01"], {"Setups": {"Defaults": {"Commands": listed}}}).settings.commands == ("A", "B")


def test_extensions_and_probes_come_from_the_file():
    told = load([], {"Setups": {"Defaults": {"CommandExtensions": ["Lab"], "NagiosProbes": "a.sh, b.sh"}}}).settings

    assert (told.extensions, told.nagios_probes) == (("Lab",), ("a.sh", "b.sh"))


def test_options_for_commands_are_pairs():
    assert load(["-Z", "a=1,b=x=y"]).settings.command_options == (("a", "1"), ("b", "x=y"))
    with pytest.raises(UsageError, match=r"'a' is not NAME=value,\.\.\."):
        load(["-Z", "a"])


def test_the_help_names_every_option_and_exit_code():
    text = usage.text()

    assert all(name in text for row in settings.table().values() for name in row.names)
    assert all(f"  {code:<4}" in text for code in (0, 2, 3, 4, 5, 6, 70))


@pytest.mark.parametrize(
    ("argv", "about", "site"),
    [
        (["--explain"], "", ""),
        (["--explain", "site"], "site", ""),
        (["--explain", "-n"], "-n", ""),
        (["--explain", "-n", "--json"], "-n", ""),
        (["--json", "--explain", "site"], "site", ""),
        (["--explain=--disk", "-n", "A"], "--disk", "A"),
        (["--explain", "-n", "A"], "", "A"),
        (["-n", "A", "--explain", "-d"], "", "A"),
    ],
)
def test_explain_may_be_asked_about_one_thing(argv, about, site):
    line = cli.parse(argv)

    assert (line.asks_for, line.about) == ("--explain", about)
    assert settings.load(line.given).settings.site == site


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"a": {"b": 1, "c": 2, "b": 3}}', "'b' stands twice in one section"),
        ("Setups:\n  Defaults:\n    Version: v8\n", "this looks like YAML"),
        ("Setups\n{\n  Defaults\n  {\n    Version = v8\n  }\n}\n", "this looks like DIRAC's CFG"),
    ],
)
def test_a_pilot_json_that_is_none_is_told_as_what_it_is(tmp_path, text, said):
    (tmp_path / "pilot.json").write_text(text)

    with pytest.raises(UsageError, match=said):
        pilot_json.load(tmp_path / "pilot.json", must_exist=True)
