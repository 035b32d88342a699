"""JDLs as DIRAC's servers and clients write them: the text, some fields of what the agent makes of it, the source."""

from typing import Any

STORED = """[
  Executable = "dirac-jobexec";
  JobID = 20;
  Parameter = 1;
  Parameter.JobName = "p_two";
  Parameter.seed = 12;
  ParameterNumber = 1;
  seed = 12;
]"""
PRINTED_BY_CLASSAD = """[\x20
    Arguments = "jobDescription.xml -o LogLevel=INFO";
    JobID = 7;
    JobRequirements =\x20
        [\x20
            CPUTime = 600;
            Sites = "LAB.Local.ch";
        ];
    Priority = 1;
]"""

JDLS: list[tuple[str, dict[str, Any], str]] = [
    (
        STORED,
        {"job_id": 20, "executable": "dirac-jobexec"},
        "DIRAC 9.1.22: a stored job of setParameterSequence",
    ),
    (
        PRINTED_BY_CLASSAD,
        {"arguments": "jobDescription.xml -o LogLevel=INFO"},
        "DIRAC 9.1.22: ClassAdLight's way to print, with a record in it",
    ),
    ('[\n  JobID = 7;\n  Tags = "MultiProcessor";\n]', {"tags": {"MultiProcessor"}}, "DIRAC 9.1: a list of one"),
    ('[\n  JobID = 7;\n  Tags = "a, b";\n]', {"tags": {"a", "b"}}, "DIRAC 9.1: JobScheduling's tags, in one text"),
    (
        '[\n  JobID = 7;\n  JobName =\n  {\n    "one",\n    "two"\n  };\n]',
        {"job_name": "one, two"},
        "DIRAC 9.1, JDL.py: each text with a comma becomes a list",
    ),
    (
        "[\n  JobID = 7;\n  Arguments = 007;\n]",
        {"arguments": "007"},
        "DIRAC 9.1, JDL.py: no quotes where float() reads it",
    ),
    ("[\n  JobID = 7;\n  Arguments = 1.50;\n]", {"arguments": "1.50"}, "DIRAC 9.1, JDL.py: the same"),
    ("[\n  JobID = 7;\n  JobName = 2024_1;\n]", {"job_name": "2024_1"}, "DIRAC 9.1, JDL.py: float() reads underscores"),
    ("[\n  JobID = 7;\n  JobGroup = nan;\n]", {"job_group": "nan"}, "DIRAC 9.1, JDL.py: float() reads nan"),
    (
        '[\n  JobID = 7;\n  Arguments = "-e s/\\./\\t/";\n]',
        {"arguments": "-e s/\\./\\t/"},
        "DIRAC 9.1, JDL.py: there are no escapes",
    ),
    ('[\n  JobID = 7;\n  Arguments = "C:\\";\n  JobName = "x";\n]', {"arguments": "C:\\", "job_name": "x"}, "the same"),
    (
        'JobID = 7; ExecutionEnvironment = {"A=3", "WITH=x%3B%20%3D", "P=/a%3A/b"};',
        {"execution_environment": {"A": "3", "WITH": "x; =", "P": "/a:/b"}},
        "DIRAC 9.1 Job API: setExecutionEnv percent-encodes values",
    ),
    ('JobID = 7; ExecutionEnvironment = "A=1;B=x=y";', {"execution_environment": {"A": "1", "B": "x=y"}}, "DIRAC 7.3"),
    (
        "JobID = 7; InputData = {LFN:/vo/a.root, LFN:/vo/b.root}; OutputSE = {LAB-disk, FAR-disk};",
        {"input_data": ("LFN:/vo/a.root", "LFN:/vo/b.root")},
        "DIRAC 9.1 Job API: what the client submits, bare",
    ),
    ('JobID = 7; JobName = analysis <1> & "2";', {"job_name": 'analysis <1> & "2"'}, "DIRAC 9.1 Job API: setName"),
    ("JobID = 7; OutputData = {hist*.root};", {"output_data": ("hist*.root",)}, "DIRAC 9.1 Job API: setOutputData"),
    ('JobID = 7; my-vo.attribute = "x"; Ganga Id = 3;', {"job_id": 7}, "ganga and VOs' own attributes"),
    ('JobID = 7; StdError = "/dev/null"; StdOutput = "o";', {"std_error": None, "std_output": "o"}, "DIRAC runs it"),
    ("JobID = 7; Requirements = other.CPU > 3 && x == 1;", {"job_id": 7}, "gLite's users"),
    ('JobID = 7; SoftwareDistModule = "LocalSoftwareDist";', {"job_id": 7}, "DiracX 0.7 adds it"),
    ("JobID = 7; MaxRAM = 4000; MinRAM = 2000;", {"min_memory_mb": 2000, "memory_mb": 4000}, "DIRAC 9.0.15"),
    ("JobID = 7; NumberOfProcessors = 4; MaxNumberOfProcessors = 4;", {"max_processors": 4}, "DIRAC 9.1 Job API"),
    ("JobID = 7; WholeNode = True;", {"whole_node": True}, "DIRAC 8: a bare word of the client"),
]
