"""Files of the Machine/Job Features (HSF-TN-2016-02) as sites write them, and the end of the slot they mean.

Seconds from now; None where no end is foreseen. `now` in a text is the time, `now-100` a hundred seconds before. Zeros:
seen at sites without limits (HTCondor with an empty MaxRuntime; dirac issue 7073 tells of shutdowntime unread).
"""

FEATURES: list[tuple[dict[str, str], int | None]] = [
    ({}, None),
    ({"MACHINEFEATURES/shutdowntime": "now+500\n"}, 500),
    ({"MACHINEFEATURES/shutdowntime": "now+500.75"}, 500),
    ({"MACHINEFEATURES/shutdowntime": "0\n"}, None),
    ({"MACHINEFEATURES/shutdowntime": "0.0"}, None),
    ({"MACHINEFEATURES/shutdowntime": ""}, None),
    ({"MACHINEFEATURES/shutdowntime": "never"}, None),
    ({"MACHINEFEATURES/shutdowntime": "-1"}, None),
    ({"MACHINEFEATURES/shutdowntime": "1e10"}, None),
    ({"MACHINEFEATURES/shutdowntime": "٣٠٠"}, None),
    ({"JOBFEATURES/shutdowntime_job": "now+70"}, 70),
    ({"JOBFEATURES/shutdowntime_job": "0"}, None),
    ({"JOBFEATURES/wall_limit_secs": "0"}, None),
    ({"JOBFEATURES/wall_limit_secs": "0", "JOBFEATURES/jobstart_secs": "now-100"}, None),
    ({"JOBFEATURES/wall_limit_secs": "1000", "JOBFEATURES/jobstart_secs": "now-100"}, 900),
    ({"JOBFEATURES/wall_limit_secs": "1000", "JOBFEATURES/jobstart_secs": "0"}, 1000),
    ({"JOBFEATURES/wall_limit_secs": "1000"}, 1000),
    ({"JOBFEATURES/cpu_limit_secs": "0"}, None),
    ({"MACHINEFEATURES/shutdowntime": "0", "JOBFEATURES/shutdowntime_job": "now+70"}, 70),
]
