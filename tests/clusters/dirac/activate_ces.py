"""Declare CEs active, as an administrator does; run in the servers' environment: `activate_ces.py CE...`."""

import sys
from pkgutil import resolve_name

import prepare


def main() -> None:
    """Fail when DIRAC does."""
    names = sys.argv[1:]
    sys.argv = sys.argv[:1]  # DIRAC reads it too
    resolve_name("DIRAC:initialize")(host_credentials=True)
    for name in names:
        prepare.activate("Resource", name, "all", elementType="ComputingElement")


if __name__ == "__main__":
    main()
