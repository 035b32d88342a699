#!/usr/bin/env python3
"""Start gridpilot from its bundle: check every file, choose a Python, become the pilot.

Runs on the node's Python, 3.6 or later, from the one file (which it unpacks first) or from the unpacked folder (in
place, so a read-only tree will do). Anybody who wants more than what was built gets one sentence and exit code 6.

Unpacks to `.gridpilot-<process id>` in the pilot's work folder, which the pilot removes at its end; with the variable
GRIDPILOT_CACHE into a folder there, which stays for the next pilot and is checked by each.
"""

import hashlib
import json
import os
import platform
import shutil
import subprocess
import sys
import zipfile
import zlib

MANIFEST_SHA512 = None  # put in by tools/bundle; without it there is nothing to check against
UNFIT = 6
PROBE_S = 30
NEEDS = (3, 11)
RUNS = "pass"
# what the agent cannot do without, each with a shared library behind it
SUITS = "import sys; assert sys.version_info >= %r, sys.version; import ssl, sqlite3, psutil, M2Crypto" % (NEEDS,)


class Unfit(Exception):
    """This bundle cannot run here; the message says why."""


def main(argv):
    """Replace this process by the pilot; return an exit code only when that cannot be done."""
    os.environ.pop("PYTHONHOME", None)  # it would lead any other Python astray
    here = os.path.dirname(os.path.abspath(__file__))
    remove = ""
    try:
        if os.path.isdir(here):
            tree, manifest = here, verified(here)
        elif os.environ.get("GRIDPILOT_CACHE"):
            tree, manifest = cached(here, os.environ["GRIDPILOT_CACHE"])
        else:
            tree = remove = os.path.join(os.path.abspath(work_folder(argv)), ".gridpilot-%d" % os.getpid())
            manifest = unpack(here, tree)
        become_pilot(tree, choose(tree, manifest), remove, argv)
    except (Unfit, OSError, zipfile.BadZipFile, zlib.error) as error:
        sys.stderr.write("gridpilot: %s\n" % error)
    shutil.rmtree(remove, ignore_errors=True)
    return UNFIT


def work_folder(argv):
    """Return the folder of --work-dir, the current one without it."""
    words = [word for argument in argv for word in argument.split("=", 1)]
    return words[words.index("--work-dir") + 1] if "--work-dir" in words[:-1] else "."


def trusted(text, place):
    """Return the manifest's content if it is the one that this starter was built with."""
    if hashlib.sha512(text).hexdigest() != MANIFEST_SHA512:
        raise Unfit("%s: manifest.json is not the one of this bundle; fetch the bundle again" % place)
    manifest = json.loads(text.decode("utf-8"))
    if manifest["machine"] != platform.machine():
        what = (place, manifest["machine"], platform.machine())
        raise Unfit("%s: built for %s; this node is %s" % what)
    return manifest


def check(name, content, wanted):
    """Make sure that a file is what the manifest says."""
    if len(content) != wanted[1] or hashlib.sha256(content).hexdigest() != wanted[0]:
        raise Unfit("%s: damaged: it is not what manifest.json says; fetch the bundle again" % name)


def cached(archive, cache):
    """Return the folder below the cache with the archive's files, made now or by an earlier pilot, and the manifest."""
    tree = os.path.join(os.path.abspath(cache), "gridpilot-" + MANIFEST_SHA512[:12])
    if not os.path.isdir(tree):
        aside = "%s.%d" % (tree, os.getpid())
        try:
            unpack(archive, aside)
            rename(aside, tree)
        finally:
            shutil.rmtree(aside, ignore_errors=True)
    return tree, verified(tree)


def rename(aside, tree):
    """Give the folder its name, unless another pilot was faster."""
    try:
        os.rename(aside, tree)
    except OSError:
        if not os.path.isdir(tree):
            raise


def unpack(archive, folder):
    """Write each file once its content has been checked; return the manifest."""
    with zipfile.ZipFile(archive) as members:
        text = members.read("manifest.json")
        manifest = trusted(text, archive)
        os.makedirs(folder)
        for name, wanted in manifest["files"].items():
            content = members.read(name)
            check(name, content, wanted)
            write(os.path.join(folder, name), content, is_program=wanted[2])
        write(os.path.join(folder, "manifest.json"), text)
    return manifest


def write(path, content, is_program=False):
    """Write one file and the folders above it."""
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as file:
        file.write(content)
    if is_program:
        os.chmod(path, 0o755)


def verified(tree):
    """Return the manifest once every file of the folder is as it says, and there is none besides."""
    with open(os.path.join(tree, "manifest.json"), "rb") as file:
        manifest = trusted(file.read(), tree)
    for folder, _, names in os.walk(tree):
        for name in names:
            path = os.path.join(folder, name)
            inside = os.path.relpath(path, tree)
            if inside not in manifest["files"] and inside not in ("manifest.json", "start.py"):
                raise Unfit("%s: does not belong to this bundle; fetch the bundle again" % path)
    for name, wanted in manifest["files"].items():
        with open(os.path.join(tree, name), "rb") as file:
            check(os.path.join(tree, name), file.read(), wanted)
    return manifest


def choose(tree, manifest):
    """Return the Python to use, and why: the one named by GRIDPILOT_PYTHON, else ours, else one of the node's."""
    named = os.environ.get("GRIDPILOT_PYTHON")
    ours = os.path.join(tree, "python", "bin", "python3")
    theirs = shutil.which("python%s" % ".".join(manifest["python"].split(".")[:2]))
    candidates = [
        (named, SUITS, "GRIDPILOT_PYTHON names it"),
        (ours, RUNS, "came with the bundle; %s is Python %d.%d" % (sys.executable, *sys.version_info[:2])),
        (sys.executable, SUITS, "the bundle's own does not run here"),
        (theirs, SUITS, "neither the bundle's own nor %s will do" % sys.executable),
    ]
    lacks = []
    for python, probe, why in candidates[:1] if named else candidates[1:]:
        lack = lack_of(python, probe, tree) if python else "not there"
        if not lack:
            return python, why
        lacks.append("%s: %s" % (python, lack))
    raise Unfit("no Python here can run gridpilot: %s" % "; ".join(lacks))


def lack_of(python, probe, tree):
    """Return why a Python will not do, "" if it does: it is tried."""
    environment = dict(os.environ, PYTHONPATH=os.pathsep.join(packages(tree)))
    try:
        command = [python, "-S", "-c", probe]
        done = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        said, _ = done.communicate(timeout=PROBE_S)
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    return "" if done.returncode == 0 else (said.decode("utf-8", "replace").strip().splitlines() or ["no word"])[-1]


def packages(tree):
    """Return where our packages are, and all that they need."""
    library = os.path.join(tree, "python", "lib")
    version = next(name for name in os.listdir(library) if name.startswith("python3.") and name[-1].isdigit())
    ours = os.path.join(library, version, "site-packages")
    return [ours, os.path.join(ours, "packages.zip")]


def node_libc():
    """Return the C library of the node, e.g. "glibc 2.31", "" for none that says so."""
    try:
        if os.path.basename(os.path.realpath("/proc/self/exe")).startswith(
            "ld-"
        ):  # the bundle's Python: not the node's
            return subprocess.check_output(["getconf", "GNU_LIBC_VERSION"]).decode("ascii").strip()
        return os.confstr("CS_GNU_LIBC_VERSION") or ""
    except (OSError, ValueError, subprocess.CalledProcessError):
        return ""


def become_pilot(tree, chosen, remove, argv):
    """Go on as the pilot, which reads from GRIDPILOT_BUNDLE what was chosen and what it has to remove."""
    python, why = chosen
    told = {"python": python, "why": why, "remove": remove, "digest": MANIFEST_SHA512[:12], "node_libc": node_libc()}
    told["beside"] = os.environ.pop("GRIDPILOT_DIRAC_PILOT", "")
    environment = dict(os.environ, GRIDPILOT_BUNDLE=json.dumps(told))
    code = "import sys; sys.path[:0] = %r; from pilot.__main__ import main; sys.exit(main())" % packages(tree)
    os.execve(python, [python, "-E", "-P", "-c", code, *argv], environment)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
