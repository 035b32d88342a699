"""What a job's owner writes: the agent's JDL."""

from agents.jobs import classad, jdl
from tests.fuzz.target import Target, text

JDLS = (
    b'[\n  Executable = "a.sh";\n  Arguments = "-n 5";\n  StdOutput = "std.out";\n  JobID = 17;\n]\n',
    b'Executable = "x";\nJobID = 5;\nInputSandbox = {"SB:SE|/a", "LFN:/b"};\nOutputSandbox = {"*.log"};\n',
    b'[ JobID = "9"; Executable="a"; MinNumberOfProcessors = 2; MaxNumberOfProcessors = 8; MaxRAM = 2000; ]',
    b"""[JobID=1;Executable="e";Parameter.RUN = 7;Environment={"A=b"};StopSigNumber=2;StopSigRegex=".*";
StopSigStartSeconds=600;InputData={"LFN:/x/y"};Tags={"GPU"};]""",
    b'[ a = [ b = { 1, "two", [ c = 3 ] } ]; // comment\n # another\n /* and one more */ d = -1.5e3; ]',
    b'[ x = "a \\" quote"; y = true; z = undefined; N-1 = "dash"; list = {}; ]',
)
WORDS = (
    *("[", "]", "{", "}", "=", ";", '"', '\\"', "//", "/*", "*/", "#", ",", ".", "-", "true", "undefined"),
    *("Executable", "Arguments", "JobID", "InputSandbox", "OutputSandbox", "Environment", "StopSigRegex", "Tags"),
    *("NumberOfProcessors", "MinNumberOfProcessors", "MaxRAM", "WholeNode", "CPUTime", "StdOutput", "LFN:", "SB:"),
)


def _read_all(data: bytes) -> None:
    """Ask for every attribute, also for those that could not be read: each has an error of its own."""
    record = classad.parse(text(data))
    _ = record.problems
    for name in list(record):
        record.get(name)


TARGETS = (
    Target(name="jdl", run=lambda d: jdl.describe(text(d)), errors=(jdl.JdlError,), seeds=lambda: JDLS, words=WORDS),
    Target(name="classad", run=_read_all, errors=(classad.JdlError,), seeds=lambda: JDLS, words=WORDS),
)
