"""A relocatable copy of the Python that runs this: its library as one zip, its shared libraries, and their loader.

Started through its own loader it needs nothing of the node but the kernel, so the node's C library may be older, newer
or another one.
"""

import os
import py_compile
import re
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

from tools.bundle import hot
from tools.bundle.archive import add

VERSION = f"python{sys.version_info.major}.{sys.version_info.minor}"
# of no use without a screen, a terminal, a person who develops, or a compiler
LEFT_OUT = {"test", "tkinter", "idlelib", "turtledemo", "turtle", "ensurepip", "lib2to3", "distutils", "venv", "curses"}
LEFT_OUT |= {"pydoc_data", "pydoc", "doctest", "pdb", "bdb", "msilib", "mailbox", "nntplib"}
LEFT_OUT |= {"imaplib", "smtpd", "dbm", "site-packages", "dist-packages", "__pycache__"}
MODULES_LEFT_OUT = re.compile(
    r"_tkinter|_test|_ctypes_test|_?xx|ossaudiodev|nis\.|_curses|readline|_g?dbm|_crypt|spwd|_codecs_|_multibyte|audioop"
)
READ_FIRST = "encodings"  # before Python can unpack anything
# Debian's libc loads these by name, ldd does not see them; before glibc 2.34 they are what finds hosts and users
LOADED_BY_NAME = ("libnss_files.so.2", "libnss_dns.so.2", "libgcc_s.so.1")
STARTER = """\
#!/bin/sh
# Start this Python through the loader that came with it.
here=$(dirname "$0")
exec "$here/../lib/{loader}" --library-path "$here/../lib" --argv0 "$0" "$here/{program}" "$@"
"""


def copy_interpreter(into: Path, loaded: hot.Hot) -> Path:
    """Make the copy, with what is loaded at each start ready; return its site-packages, still empty."""
    library = into / "lib" / VERSION
    (library / "lib-dynload").mkdir(parents=True)
    (library / "site-packages").mkdir()
    stdlib = Path(sysconfig.get_path("stdlib"))
    _zip_library(stdlib, into / "lib" / f"{VERSION.replace('.', '')}.zip", loaded)
    for name, content in loaded.files().items():
        (library / name).write_bytes(content)
    shutil.copyfile(stdlib / "os.py", library / "os.py")  # by it the interpreter finds where it is
    for module in _extension_modules(stdlib):
        copy_stripped(module, library / "lib-dynload" / module.name)
    program = Path(os.path.realpath(sys.executable))
    (into / "bin").mkdir()
    copy_stripped(program, into / "bin" / program.name)
    loader = copy_libraries([program, *_extension_modules(stdlib)], into)
    starter = into / "bin" / "python3"
    starter.write_text(STARTER.format(loader=loader, program=program.name), encoding="utf-8")
    starter.chmod(0o755)
    return library / "site-packages"


def copy_libraries(binaries: list[Path], into: Path) -> str:
    """Copy what these files are linked with, the loader too; return the loader's name."""
    found = dict(line for binary in binaries for line in _linked(binary))
    libc_folder = next(path for name, path in found.items() if name.startswith("libc.so")).parent
    named = {name: libc_folder / name for name in LOADED_BY_NAME if (libc_folder / name).exists()}
    for name, path in {**found, **named}.items():
        copy_stripped(path, into / "lib" / name)
    return next(name for name in found if name.startswith("ld-"))


def _linked(binary: Path) -> Iterator[tuple[str, Path]]:
    """Yield name and place of each shared library of a file, as the loader of this machine finds it."""
    said = subprocess.run(["ldd", str(binary)], capture_output=True, text=True, check=True).stdout
    for name, arrow, place in re.findall(r"^\s*(\S+)( => )?(\S*) \(0x", said, re.MULTILINE):
        if arrow or name.startswith("/"):
            yield Path(name).name, Path(place or name).resolve()


def copy_stripped(source: Path, target: Path) -> None:
    """Copy a program or library without its symbols for debuggers, where `strip` is there to do it."""
    shutil.copyfile(source, target)
    target.chmod(0o755)
    if shutil.which("strip"):
        subprocess.run(["strip", "--strip-unneeded", str(target)], check=False, stderr=subprocess.DEVNULL)


def _extension_modules(stdlib: Path) -> list[Path]:
    modules = sorted((stdlib / "lib-dynload").glob("*.so"))
    return [module for module in modules if not MODULES_LEFT_OUT.match(module.name)]


def _zip_library(stdlib: Path, target: Path, loaded: hot.Hot) -> None:
    """Write the library as compiled modules, packed but for what every start loads."""
    with zipfile.ZipFile(target, "w") as archive:
        for source in sorted(stdlib.rglob("*.py")):
            inside = source.relative_to(stdlib)
            if not any(Path(part).stem in LEFT_OUT or part.startswith("config-") for part in inside.parts):
                module = compiled(source, f"{VERSION}/{inside.as_posix()}", hot.added(inside))
                is_stored = inside.parts[0] == READ_FIRST or loaded.holds(inside)
                add(archive, inside.with_suffix(".pyc").as_posix(), module, is_stored=is_stored)


def compiled(source: Path, shown: str, added: str = "") -> bytes:
    """Return a module as bytecode that is good whatever the time of its source.

    Args:
        source: its file.
        shown: its name in tracebacks.
        added: what it ends with besides.
    """
    mode = py_compile.PycInvalidationMode.UNCHECKED_HASH
    with tempfile.TemporaryDirectory() as aside:
        file = Path(aside, source.name)
        file.write_bytes(source.read_bytes() + added.encode())
        cache = file.with_suffix(".pyc")
        py_compile.compile(str(file), cfile=str(cache), dfile=shown, doraise=True, invalidation_mode=mode)
        return cache.read_bytes()
