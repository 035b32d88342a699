"""`python -m agents.data_cli`: files of the catalogue and of storage elements, for people and for payloads."""

import os
import sys

from agents.data_cli.command_line import main

if __name__ == "__main__":
    os.umask(0o077)
    sys.exit(main())
