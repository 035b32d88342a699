"""Sections of sites as configurations have them: the CE's lines, its type, some options or a mistake, the source."""

SITES: list[tuple[str, str, dict[str, object], str]] = [
    ("CEType = HTCondorCE\nQueues\n{\ncondor\n{\n}\n}\n", "HTCondorCE", {"CEName": "ce01"}, "EGI sites"),
    ("CEType = ARC6\nQueues\n{\ngrid\n{\n}\n}\n", "AREX", {"Queue": "grid"}, "DIRAC 7.3's name of ARC with REST"),
    ("CEType = AREX\nPort = 443\nQueues\n{\nq\n{\n}\n}\n", "AREX", {"Port": 443}, "DIRAC 8"),
    ("CEType = SLURM\n", "Local", {"BatchSystem": "SLURM"}, "DIRAC 7: a batch system as type"),
    ("CEType = SSHTorque\nSSHHost = h\n", "SSH", {"BatchSystem": "Torque", "SSHHost": "h"}, "DIRAC v6"),
    ("CEType = SSHGE\nSSHHost = h\nSSHUser = u\n", "SSH", {"BatchSystem": "GE", "SSHUser": "u"}, "DIRAC v6"),
    (
        "CEType = SSH\nSSHHost = h\nBatchSystem = SLURM\nExecQueue = long\n",
        "SSH",
        {"Queue": "long"},
        "DIRAC 7: ExecQueue for Queue",
    ),
    (
        "CEType = Local\nBatchSystem = SLURM\nQueues\n{\nq\n{\nCEQueueName = real\n}\n}\n",
        "Local",
        {"Queue": "real"},
        "DIRAC v6: the queue's name there is another one",
    ),
    (
        "CEType = Local\nBatchSystem = SLURM\nQueues\n{\nq\n{\nmaxCPUTime = 2880\nSI00 = 2000\nTag = GPU\n}\n}\n",
        "Local",
        {"Queue": "q"},
        "EGI sites: what the Matcher reads is neither a mistake nor without effect",
    ),
    ("CEType = SSH\nSSHHost = h\nBatchSystem = SLURM\nSSHType = ssh\n", "SSH", {"SSHHost": "h"}, "DIRAC 8: no effect"),
    ("CEType = Pool\nMemoryLimitMB = 3900\nMemoryNoSwap = yes\n", "Pool", {"MemoryLimitMB": 3900}, "DIRAC 8.0.68, 9.0"),
    ("CEType = CREAM\n", "CREAM", {"mistake": "unknown CE type CREAM"}, "GridPP, until 2020"),
    ("CEType = CloudCE\n", "CloudCE", {"mistake": "unknown CE type CloudCE"}, "DIRAC 8's clouds beside CEs"),
    ("CEType = BOINC\n", "BOINC", {"mistake": "unknown CE type BOINC"}, "DIRAC v6"),
    ("CEType = SGE\n", "SGE", {"mistake": "Local with BatchSystem = GE"}, "what admins call it"),
    ("CEType = HTCondor\n", "HTCondor", {"mistake": "HTCondorCE, or Local with BatchSystem"}, "what admins call it"),
    ("CEType = SSH\n", "SSH", {"mistake": "SSHHost"}, "a section without the host"),
    (
        "CEType = SSH\nSSHHost = h\nlong\n{\n}\n",
        "SSH",
        {"mistake": "section long is read by nobody"},
        "one level too high",
    ),
]
