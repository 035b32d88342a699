"""The local WMS with a Matcher that takes its time: `python -m bench.slow_wms HOME ANSWER_MS`, until it is stopped.

`requestJob` does its work at once and holds the answer back until so much time has passed since the question came.
"""

import asyncio
import sys
import time
from pathlib import Path

from agents.local_wms.home import Home
from agents.local_wms.server import CallReceiver, build


class Deliberate(CallReceiver):
    """Answers a match only when its time has come."""

    answer_s = 0.0

    async def post(self) -> None:
        ends = time.monotonic() + self.answer_s
        await super().post()
        if self.form.get("method") == "requestJob":
            await asyncio.sleep(ends - time.monotonic())


async def serve(home: Home, answer_s: float) -> None:
    server = build(home, 0, type("Matching", (Deliberate,), {"answer_s": answer_s}))
    await server.run(lambda: home.write_endpoint(server.endpoint))


def main() -> int:
    folder, answer_ms = sys.argv[1:]
    home = Home(Path(folder))
    home.folder.mkdir(parents=True, exist_ok=True)
    asyncio.run(serve(home, float(answer_ms) / 1000))
    return 0


if __name__ == "__main__":
    sys.exit(main())
