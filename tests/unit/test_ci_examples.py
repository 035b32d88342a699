"""The CI examples: their own commands run here, against a CE of this machine, and leave the file that they report.

Neither GitHub nor GitLab can be had here: that they read the files as they are meant is not tried.
"""

import re
import shlex
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

ROOT = Path(__file__).parents[2]
CE = """\
LocalSite
{
  LocalCE = Pool
  NumberOfProcessors = 1
}
"""
EXAMPLES = {"github.yml": ("path", "report_paths"), "gitlab.yml": ("junit",)}


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_commands_of_an_example_run(name: str, tmp_path: Path) -> None:
    text = (ROOT / "configs/ci" / name).read_text(encoding="utf-8")
    commands = re.findall(r"^ *- (?:run: )?(gridpilot [^#\n]+)$", text, re.MULTILINE)
    reported = {re.search(rf"^ *{key}: ([\w.]+)", text, re.MULTILINE)[1] for key in EXAMPLES[name]}
    (tmp_path / "ce.cfg").write_text(CE)

    for command in commands:
        words = [sys.executable, "-m", *shlex.split(command), *(["--quick"] if " test " in command else [])]
        subprocess.run(words, cwd=tmp_path, env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"}, check=True)

    assert [command.split()[2] for command in commands] == ["validate", "test"]
    assert reported == {"ce.xml"}
    assert list(ET.parse(tmp_path / "ce.xml").iter("testcase"))
