"""`python -m tests.end_to_end.counting_wms`: the local WMS, which also writes the name of each call into calls.log."""

import sys
from pathlib import Path

from tornado.web import RequestHandler

from agents.local_wms import server
from agents.local_wms.__main__ import main


def _note(answered: RequestHandler) -> None:
    """Write the name down in the log's place."""
    if isinstance(answered, server.CallReceiver):
        home = Path(sys.argv[sys.argv.index("--home") + 1])
        with (home / "calls.log").open("a", encoding="utf-8") as file:
            file.write(f"{answered.form.get('method', '')}\n")


if __name__ == "__main__":
    server._log_problem = _note
    sys.exit(main())
