"""What a job's owner writes: the agent's JDL, and the workflow of the Job API."""

from agents.data import requests
from agents.jobs import classad, jdl
from jobexec import workflow
from tests.field import workflows
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


REQUESTS = (
    b'{"Operations": [{"Type": "RemoveFile", "Order": 0, "Files": [{"LFN": "/vo/x", "Size": 4}]}]}',
    b'{"RequestName": "n", "Operations": [{"Type": "ForwardDISET", "Arguments": "ds3:abc"}, {"Type": "RegisterFile"}]}',
)
WORKFLOWS = (
    workflows.workflow({"executable": "a.sh", "arguments": "@{seed} 'b c'"}, parameters={"seed": "@{a}", "a": "1"}),
    workflows.workflow({"executable": "x"}, of_module=[workflows.parameter("arguments", "", ("self", "seed"))]),
    workflows.workflow({"_module": "Own"}, modules={"Own": "import os"}, name="<1> & 2"),
)
XML_WORDS = (
    *(
        "<![CDATA[",
        "]]>",
        "<!DOCTYPE x [",
        '<!ENTITY a "b">',
        "&a;",
        "&amp;",
        "&#0;",
        "@{a}",
        "@{",
        "}",
        "\n",
        "<name>",
    ),
    *("<Workflow>", "</Workflow>", "<Parameter ", 'name="a"', 'linked_module="self"', "<value>", "<ModuleInstance>"),
    *("<StepDefinition>", "<StepInstance>", "<ModuleDefinition>", "<body>", "<type>", "</type>", "</name>"),
)


def _all_values(data: bytes) -> None:
    """Read a workflow and work out what each of its modules would be given."""
    found = workflow.parsed(data)
    for _ in workflow.values_of(found, {"seed": "7"}):
        pass


TARGETS = (
    Target(
        name="workflow",
        run=_all_values,
        errors=(workflow.Unreadable,),
        seeds=lambda: [xml.encode() for xml in WORKFLOWS],
        words=XML_WORDS,
    ),
    Target(
        name="payload-request",
        run=lambda d: requests.read(d, "vo"),
        errors=(requests.BadRequest,),
        seeds=lambda: REQUESTS,
        words=("Operations", "Type", "Files", "LFN", "TargetSE", "SourceSE", "RemoveReplica", "ReplicateAndRegister"),
    ),
    Target(name="jdl", run=lambda d: jdl.describe(text(d)), errors=(jdl.JdlError,), seeds=lambda: JDLS, words=WORDS),
    Target(name="classad", run=_read_all, errors=(classad.JdlError,), seeds=lambda: JDLS, words=WORDS),
)
