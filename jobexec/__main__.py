"""Runs a workflow of DIRAC's Job API where there is no DIRAC: every step whose module is DIRAC's `Script`.

    dirac-jobexec jobDescription.xml [-p NAME=VALUE]... [--go-on]     run it
    dirac-jobexec jobDescription.xml [-p NAME=VALUE]... --needs       tell in JSON what else it would take; run nothing

Other options and `*.cfg` files are DIRAC's own; they are accepted and mean nothing here. The text of modules is never
executed. This room goes with a task, packed into one file (agents/jobs/jobexec.py): the standard library of Python 3.6
or later, nothing else, and no network.

The exit code is 0, or that of the first step that failed, or 65 (the workflow cannot be read), or 69 (it needs a DIRAC
client).
"""

import collections
import json
import os
import re
import signal
import sys

from jobexec.step import Running, application_of, run_step
from jobexec.workflow import Unreadable, listed, needs_of, read, values_of

UNREADABLE, NEEDS_CLIENT = 65, 69  # sysexits.h: EX_DATAERR, EX_UNAVAILABLE
MOST_STATUS = 255  # characters: DIRAC's column
STATUS_FILE, REASON_FILE = "GRIDPILOT_STATUS_FILE", "GRIDPILOT_REASON_FILE"  # variables
ENDING = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
PASSED_ON = (*ENDING, signal.SIGUSR1, signal.SIGUSR2)


def tell(words):
    """Write the application status where the agent reads it."""
    words = " ".join(words.split())[:MOST_STATUS]
    print("Application status: %s" % words, flush=True)
    place = os.environ.get(STATUS_FILE)
    if place and write(place + ".new", words):
        os.rename(place + ".new", place)  # whoever reads finds a whole one


def write(path, words):
    """Write a line into a file of ours; tell whether that could be done."""
    try:
        with open(path, "w", encoding="utf-8", errors="backslashreplace") as file:
            file.write(words + "\n")
    except OSError as error:
        print("dirac-jobexec: %s: %s" % (path, error.strerror), file=sys.stderr)
        return False
    return True


def leave(code, words):
    """Return an exit code; the agent hears the reason with the task's end."""
    if os.environ.get(REASON_FILE):
        write(os.environ[REASON_FILE], " ".join(words.split())[:MOST_STATUS])
    return code


def one(name, values, running):
    """Run a module of a step; return its status, and DIRAC's sentence for it."""
    application = application_of(values)
    try:
        status = run_step(values, running)
    except (ValueError, OSError) as error:  # no program is named, arguments are no words, no room for a log
        return 1, "%s: %s" % (application or name, error)
    if status:
        return status, "%s Exited With Status %d" % (application, status)
    version = "%s %s" % (values.get("applicationName", ""), values.get("applicationVersion", ""))
    is_named = values.get("applicationName", "").lower() not in ("", "unknown")
    return 0, "%s successful" % (application + (" (%s)" % version if is_named else ""))


def run(workflow, given, goes_on):
    """Run all steps, to the first that fails unless it is to go on; return the exit code, the first failure's."""
    running, ends = Running(), []

    def pass_on(number, _):
        ends.extend([number] if number in ENDING else [])
        running.send(number)

    for number in PASSED_ON:
        signal.signal(number, pass_on)
    failure, said = 0, "The workflow has no steps"
    for name, values in values_of(workflow, given):
        if ends and not failure:
            failure, said = -ends[0], "Ended by signal %d before %s" % (ends[0], name)
        if ends or (failure and not goes_on):
            break
        print("Executing StepInstance %s" % name, flush=True)
        if not failure:
            tell("Executing %s" % name)
        status, words = one(name, values, running)
        if failure:
            print(words, flush=True)
        else:
            failure, said = status, words
            tell(words)
    return leave((failure & 255 or 1) if failure else 0, said)


def words_of(argv):
    """Return the workflow's file, the values of `-p`, and our own options. Raises Unreadable."""
    files, given, own, words = [], collections.OrderedDict(), set(), list(argv)
    while words:
        word = words.pop(0)
        if word in ("--go-on", "--needs"):
            own.add(word)
        elif re.match(r"-p|--parameter(=|\Z)", word):
            rest = word[2:] if not word.startswith("--") else word[len("--parameter=") :]
            name, equals, value = (rest or (words.pop(0) if words else "")).partition("=")
            if not equals:
                raise Unreadable("-p %.80s: expected NAME=VALUE" % name)
            while value.lstrip().startswith("{") and "}" not in value and words:
                value += " " + words.pop(0)  # a list of several, which the Job API leaves without quotes
            given[name.strip()] = listed(value)
        elif word in ("-o", "--option", "--cfg"):
            del words[:1]
        elif not word.startswith("-") and not word.endswith(".cfg"):
            files.append(word)
    if len(files) != 1:
        raise Unreadable("%d files are named (%s), expected one" % (len(files), " ".join(files)[:200]))
    return files[0], given, own


def main(argv):
    """Run a workflow, or tell what it needs; return the exit code."""
    sys.stdout = open(1, "w", encoding="utf-8", errors="backslashreplace", closefd=False)  # noqa: SIM115
    sys.stderr = open(2, "w", encoding="utf-8", errors="backslashreplace", closefd=False)  # noqa: SIM115
    name = "the workflow"
    try:
        name, given, own = words_of(argv)
        workflow = read(name)
        needs = needs_of(workflow, given)
        if "--needs" in own:
            print(json.dumps(needs))
            return 0
        if needs["modules"]:
            words = "No DIRAC client: %s needs one for its modules: %s" % (name, "; ".join(needs["modules"]))
            print("dirac-jobexec: " + words, file=sys.stderr)
            return leave(NEEDS_CLIENT, words)
        return run(workflow, given, "--go-on" in own)
    except Unreadable as error:
        words = "%s cannot be read as a workflow: %s" % (name, error)
        print("dirac-jobexec: " + words, file=sys.stderr)
        return leave(UNREADABLE, words)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
