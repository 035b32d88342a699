#!/usr/bin/env python3
"""Start gridpilot from its bundle: check every file, choose a Python, become the pilot.

Runs on the node's Python, 3.6 or later, from the one file (which it unpacks first) or from the unpacked folder (in
place, so a read-only tree will do). Anybody who wants more than what was built gets one sentence and exit code 6; so
does who starts it where somebody else than this account and root may change it, after the check for instance.

Unpacks to `.gridpilot-<process id>` in the pilot's work folder, which the pilot removes at its end; with the variable
GRIDPILOT_CACHE into a folder there, which stays for the next pilot and is checked by each.
"""

import hashlib
import json
import os
import stat
import sys

# What not every start needs is imported where it is needed: all of it is a tenth of what a start costs.

MANIFEST_SHA512 = None  # put in by tools/bundle; without it there is nothing to check against
UNFIT = 6
PROBE_S = 30
NEEDS = (3, 11)
RUNS = "pass"
# loading leaves no garbage: to search for it all the time is a sixth of what loading takes
PILOT = (
    "import gc; gc.disable(); from pilot.__main__ import main; gc.freeze(); gc.enable(); "
    "sys.exit(main(is_process=True))"
)
ISOLATED = ("-I", "-S")  # neither variables, nor the account's home, nor the current folder have a say
OTHERS_MAY_WRITE = 0o022
PIECE_BYTES = 1 << 18
ZIP_HEAD_BYTES = 30  # before name and extra field of a member
# what the agent cannot do without, each with a shared library behind it
SUITS = "assert sys.version_info >= %r, sys.version; import ssl, sqlite3, psutil, M2Crypto" % (NEEDS,)


class Unfit(Exception):
    """This bundle cannot run here; the message says why."""


def main(argv):
    """Replace this process by the pilot; return an exit code only when that cannot be done."""
    os.umask(0o077)  # whatever the batch system's
    os.environ.pop("PYTHONHOME", None)  # it would lead any other Python astray
    here = os.path.realpath(os.path.dirname(os.path.abspath(__file__)))
    remove = ""
    try:
        if os.path.isdir(here):
            require_ours(os.path.dirname(here))
            tree, manifest = here, verified(here)
        elif os.environ.get("GRIDPILOT_CACHE"):
            tree, manifest = cached(here, os.environ["GRIDPILOT_CACHE"])
        else:
            work = own_folder(work_folder(argv))
            tree = os.path.join(work, ".gridpilot-%d" % os.getpid())
            os.mkdir(tree)
            remove = tree
            manifest = unpack(here, tree)
        become_pilot(tree, choose(tree, manifest), remove, argv)
    except (Unfit, OSError) as error:
        sys.stderr.write("gridpilot: %s\n" % error)
    forget(remove)
    return UNFIT


def forget(folder):
    """Remove a folder, if there is one."""
    import shutil

    shutil.rmtree(folder, ignore_errors=True)


def work_folder(argv):
    """Return the folder of --work-dir, the current one without it."""
    words = [word for argument in argv for word in argument.split("=", 1)]
    return words[words.index("--work-dir") + 1] if "--work-dir" in words[:-1] else "."


def trusted(text, place):
    """Return the manifest's content if it is the one that this starter was built with."""
    if hashlib.sha512(text).hexdigest() != MANIFEST_SHA512:
        raise Unfit("%s: manifest.json is not the one of this bundle; fetch the bundle again" % place)
    manifest = json.loads(text.decode("utf-8"))
    if manifest["machine"] != os.uname()[4]:
        what = (place, manifest["machine"], os.uname()[4])
        raise Unfit("%s: built for %s; this node is %s" % what)
    return manifest


def check(name, content, wanted):
    """Make sure that content, in pieces, is what the manifest says of a file."""
    size, digest = 0, hashlib.sha256()
    for piece in content:
        size += len(piece)
        digest.update(piece)
    if size != wanted[1] or digest.hexdigest() != wanted[0]:
        raise Unfit("%s: damaged: it is not what manifest.json says; fetch the bundle again" % name)


def cached(archive, cache):
    """Return the folder below the cache with the archive's files, made now or by an earlier pilot, and the manifest."""
    tree = os.path.join(own_folder(cache), "gridpilot-" + MANIFEST_SHA512[:12])
    if not os.path.isdir(tree):
        aside = "%s.%d" % (tree, os.getpid())
        os.mkdir(aside)
        try:
            unpack(archive, aside)
            rename(aside, tree)
        finally:
            forget(aside)
    return tree, verified(tree)


def rename(aside, tree):
    """Give the folder its name, unless another pilot was faster."""
    try:
        os.rename(aside, tree)
    except OSError:
        if not os.path.isdir(tree):
            raise


def unpack(archive, folder):
    """Write each file into an empty folder once its content has been checked; return the manifest."""
    import zipfile
    import zlib

    try:
        with open(archive, "rb") as file, zipfile.ZipFile(file) as members:
            text = members.read("manifest.json")
            manifest = trusted(text, archive)
            for name, wanted in manifest["files"].items():
                content = member(file, members.getinfo(name), wanted[1])
                check(name, [content], wanted)
                write(os.path.join(folder, name), content, is_program=wanted[2])
            write(os.path.join(folder, "manifest.json"), text)
    except (zipfile.BadZipFile, zlib.error, KeyError) as error:
        raise Unfit("%s: %s" % (archive, error)) from None
    return manifest


def member(file, info, size):
    """Return the content of a member, or what is there in its place: who asks checks it, so its CRC is left alone.

    Args:
        file: the archive.
        info: what its directory says of the member.
        size: in bytes, which the member has at most.
    """
    import zlib

    file.seek(info.header_offset)
    head = file.read(ZIP_HEAD_BYTES)
    file.seek(int.from_bytes(head[26:28], "little") + int.from_bytes(head[28:30], "little"), os.SEEK_CUR)
    packed = file.read(info.compress_size)
    return packed if info.compress_type == 0 else zlib.decompressobj(-zlib.MAX_WBITS).decompress(packed, size + 1)


def write(path, content, is_program=False):
    """Write one file and the folders above it."""
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as file:
        file.write(content)
    if is_program:
        os.chmod(path, 0o755)


def own_folder(folder):
    """Make a folder to unpack in; from one of our own the right of others to write is taken. Return its real name."""
    folder = os.path.realpath(folder)
    os.makedirs(folder, exist_ok=True)
    found = os.lstat(folder)
    mode = stat.S_IMODE(found.st_mode)
    if found.st_uid == os.geteuid() and mode & OTHERS_MAY_WRITE and not mode & stat.S_ISVTX:
        os.chmod(folder, mode & ~OTHERS_MAY_WRITE)
    require_ours(folder)
    return folder


def require_ours(folder):
    """Make sure that nobody but this account and root can replace what lies in a folder."""
    found = os.lstat(folder)
    is_shared = found.st_mode & OTHERS_MAY_WRITE and not found.st_mode & stat.S_ISVTX  # as /tmp is: own things stay
    if (is_shared or found.st_uid not in (0, os.geteuid())) and not is_read_only(folder):
        raise Unfit("%s: %s; %s" % (folder, whose(found), "give a folder of our own: --work-dir, GRIDPILOT_CACHE"))


def is_read_only(folder):
    """Tell whether nobody on this node can change a folder: owners and modes on CVMFS are those of another machine."""
    return bool(os.statvfs(folder).f_flag & os.ST_RDONLY)


def whose(found):
    """Return owner and mode for a sentence."""
    return "it belongs to uid %d, its mode is %04o" % (found.st_uid, stat.S_IMODE(found.st_mode))


def verified(tree):
    """Return the manifest once every file of the folder is as it says, and there is nothing besides."""
    manifest = trusted(read(os.path.join(tree, "manifest.json")), tree)
    files = set(manifest["files"]) | {"manifest.json", "start.py"}
    require_only(tree, files, {""} | {parent for name in files for parent in parents(name)})
    room = bytearray(PIECE_BYTES)
    for name, wanted in manifest["files"].items():
        path = os.path.join(tree, name)
        check(path, pieces(path, room), wanted)
    return manifest


def require_only(tree, files, folders):
    """Make sure that there are these files and folders only, which nobody else can change.

    Nothing is followed: a link is no file of ours, whatever it leads to.
    """
    is_changeable = not is_read_only(tree)
    waiting = [""]
    while waiting:
        name = waiting.pop()
        path = os.path.join(tree, name)
        found = os.lstat(path)
        is_folder = name in folders
        if not (stat.S_ISDIR(found.st_mode) if is_folder else name in files and stat.S_ISREG(found.st_mode)):
            raise Unfit("%s: does not belong to this bundle; fetch the bundle again" % path)
        if is_changeable and (found.st_mode & OTHERS_MAY_WRITE or found.st_uid not in (0, os.geteuid())):
            raise Unfit("%s: %s: others could change it; fetch the bundle again" % (path, whose(found)))
        waiting += [os.path.join(name, each) for each in os.listdir(path)] if is_folder else []


def parents(name):
    """Return the folders above a file, those of the tree."""
    parts = name.split("/")[:-1]
    return ["/".join(parts[:number]) for number in range(1, len(parts) + 1)]


def read(path):
    """Return what is in a file, never in what a link leads to."""
    return b"".join(bytes(piece) for piece in pieces(path, bytearray(PIECE_BYTES)))


def pieces(path, room):
    """Yield what is in a file, never in what a link leads to: each piece in the same room, in place of the last one."""
    view = memoryview(room)
    fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    with os.fdopen(fd, "rb", 0) as file:
        while True:
            count = file.readinto(room)
            if not count:
                return
            yield view[:count]


def choose(tree, manifest):
    """Return the Python to use, and why: the one named by GRIDPILOT_PYTHON, else ours, else one of the node's."""
    lacks = []
    for python, probe, why in candidates(tree, manifest):
        lack = lack_of(python, probe, tree) if python else "not there"
        if not lack:
            return python, why
        lacks.append("%s: %s" % (python, lack))
    raise Unfit("no Python here can run gridpilot: %s" % "; ".join(lacks))


def candidates(tree, manifest):
    """Yield each Python that may do, with the code that tries it, and why it would be used."""
    if os.environ.get("GRIDPILOT_PYTHON"):
        yield os.environ["GRIDPILOT_PYTHON"], SUITS, "GRIDPILOT_PYTHON names it"
        return
    ours = os.path.join(tree, "python", "bin", "python3")
    yield ours, RUNS, "came with the bundle; %s is Python %d.%d" % (sys.executable, *sys.version_info[:2])
    yield sys.executable, SUITS, "the bundle's own does not run here"
    import shutil

    theirs = shutil.which("python%s" % ".".join(manifest["python"].split(".")[:2]))
    yield theirs, SUITS, "neither the bundle's own nor %s will do" % sys.executable


def lack_of(python, probe, tree):
    """Return why a Python will not do, "" if it does: it is tried.

    Of our own, whose files are as they were built, the loader tries whether all that is compiled can be loaded here.
    """
    import subprocess

    try:
        loaded = through_loader(python, tree)
        command = [*loaded[:1], "--list", *loaded[1:]] if loaded[1:] else started(python, tree, probe)
        done = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        said, _ = done.communicate(timeout=PROBE_S)
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    return "" if done.returncode == 0 else (said.decode("utf-8", "replace").strip().splitlines() or ["no word"])[-1]


def started(python, tree, code):
    """Return the words that run code, with our packages, on a Python."""
    words = through_loader(python, tree)
    return words + list(ISOLATED) + ["-c", "import sys; sys.path[:0] = %r; %s" % (packages(tree), code)]


def through_loader(python, tree):
    """Return the words that start a Python: our own straight through its loader, as its script would.

    That is two programs less.
    """
    folder = os.path.join(tree, "python", "bin")
    library = os.path.join(tree, "python", "lib")
    if os.path.dirname(python) == folder:
        loaders = [name for name in os.listdir(library) if name.startswith("ld-")]
        programs = [name for name in os.listdir(folder) if name != os.path.basename(python)]
        if loaders and programs:
            words = [os.path.join(library, loaders[0]), "--library-path", library, "--argv0", python]
            return [*words, os.path.join(folder, programs[0])]
    return [python]


def packages(tree):
    """Return where our packages are, and all that they need."""
    library = os.path.join(tree, "python", "lib")
    version = next(name for name in os.listdir(library) if name.startswith("python3.") and name[-1].isdigit())
    ours = os.path.join(library, version, "site-packages")
    return [ours, os.path.join(ours, "packages.zip")]


def node_libc():
    """Return the C library of the node, e.g. "glibc 2.31", "" for none that says so."""
    import subprocess

    try:
        if os.path.basename(os.path.realpath("/proc/self/exe")).startswith("ld-"):  # the bundle's Python
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
    command = started(python, tree, PILOT)
    os.execve(command[0], command + argv, environment)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
