"""pilot.json as DIRAC's servers write it, in both schemas: the file, (setup, VO, CE, queue), settings, the source."""

from typing import Any

Place = tuple[str, str, str, str]

FILES: list[tuple[dict[str, Any], Place, dict[str, Any], str]] = [
    (
        {
            "Setups": {"Defaults": {"Version": ["v8r0"], "Project": "LHCb"}, "P": {"Version": "v8r1, v8r0"}},
            "DefaultSetup": "P",
        },
        ("", "lhcb", "", ""),
        {"release": "v8r1, v8r0", "project": "LHCb", "setup": "P"},
        "DIRAC 7.3 and 8: one section a setup, over Defaults",
    ),
    (
        {
            "Defaults": {"Pilot": {"Version": ["9.1.22"], "RemoteLogging": "True"}},
            "vo": {"Pilot": {"Version": ["9.1.20"]}},
        },
        ("", "vo", "", ""),
        {"release": "9.1.20", "remote_logging": True},
        "DIRAC 9: no setups; the VO's section wins",
    ),
    (
        {"Defaults": {"Pilot": {"Version": ["9.1.22", "9.1.21"]}}},
        ("", "other", "", ""),
        {"release": "9.1.22"},
        "DIRAC 9: of several versions the first",
    ),
    (
        {"CEs": {"ce": {"Site": "LCG.A.ch", "GridCEType": "HTCondorCE", "q": {"LocalCEType": "Pool"}}}},
        ("", "vo", "ce", "q"),
        {"site": "LCG.A.ch", "grid_ce_type": "HTCondorCE", "inner_ce": "Pool"},
        "DIRAC 8: types of CE and queue",
    ),
    (
        {"ConfigurationServers": ["https://a:9135/C", "https://b:9135/C"], "DefaultSetup": "S"},
        ("", "vo", "", ""),
        {"servers": ("https://a:9135/C", "https://b:9135/C"), "setup": "S"},
        "DIRAC 9.0.16 (PR 8422): servers for pilots only",
    ),
    (
        {"Defaults": {"Pilot": {"ConfigurationServer": "https://a:9135/C, https://b:9135/C"}}},
        ("", "vo", "", ""),
        {"servers": ("https://a:9135/C", "https://b:9135/C")},
        "DIRAC 8: a comma list in place of a list",
    ),
    (
        {
            "Defaults": {"Pilot": {"Commands": {"Defaults": ["A", "B"], "AREX": "C, D"}}},
            "CEs": {"ce": {"GridCEType": "AREX"}},
        },
        ("", "vo", "ce", ""),
        {"commands": ("C", "D")},
        "DIRAC 8: commands by type of CE, as list or text",
    ),
    (
        {"Defaults": {"Pilot": {"Commands": "A, B"}}},
        ("", "vo", "", ""),
        {"commands": ("A", "B")},
        "DIRAC 7.3: one list for all",
    ),
    (
        {"Defaults": {"Pilot": {"PilotLogLevel": "VERBOSE", "RemoteLoggerBufsize": "500"}}},
        ("", "vo", "", ""),
        {"log_level": "DEBUG", "logger_lines": 500},
        "DIRAC 9: numbers as texts",
    ),
    (
        {
            "Defaults": {"Pilot": {"CVMFS_locations": ["/cvmfs/grid.cern.ch", "/cvmfs/x"]}},
            "timestamp": "2026",
            "GenericPilotDNs": [],
        },
        ("", "vo", "", ""),
        {"cvmfs_folders": ("/cvmfs/grid.cern.ch", "/cvmfs/x")},
        "DIRAC 9: keys that are not for pilots beside it",
    ),
]
