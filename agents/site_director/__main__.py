"""`python -m agents.site_director`: pilots where and when there is work."""

import os
import sys

from agents.site_director.command_line import main

if __name__ == "__main__":
    os.umask(0o077)
    sys.exit(main())
