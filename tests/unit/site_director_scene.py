"""Queues of a configuration, and a pilot in one of them, as the SiteDirector has them."""

from typing import Any

from agents.settings import site_director as table
from agents.site_director.pilots import Pilot, State
from agents.site_director.queues import PilotQueue, queues_of
from agents.wms.service import Clock, Retry, Service
from agents.wms.testing import FakeTransport
from ce_backends.cfg import parse

NOW = 1_000_000.0
CFG = """
Resources { Sites { LCG {
    LCG.One.ch { CEs { ce1.one.ch {
        CEType = Local
        BatchSystem = Host
        Tag = GPU, Special
        VO = example
        Queues {
            short {
                maxCPUTime = 60
                SI00 = 2500
                MaxTotalJobs = 7
            }
            long {
                NumberOfProcessors = 8
                MaxWaitingJobs = 3
                Platform = x86_64
                MaxRAM = 16000
                ExtraPilotOptions = -t "a b"
            }
        }
    } } }
    LCG.Two.ch { CEs { ce2.two.ch {
        CEType = AREX
        VO = other
        Queues { grid { } }
    } } }
} } }
Systems { WorkloadManagement { Agents { SiteDirector {
    VO = example
} } } }
"""


def chosen(more: str = "", text: str = CFG) -> list[PilotQueue]:
    cfg = parse(text, "test.cfg").merge(parse(more, "more.cfg"))
    return queues_of(cfg, table.load(cfg))[0]


def service(transport: FakeTransport) -> Service:
    return Service("S", ["https://s"], transport, Retry(attempts=1), Clock())


def pilot(number: int = 1, **more: Any) -> Pilot:
    usual: dict[str, Any] = {"queue": "ce1.one.ch/short", "processors": 1, "state": State.WAITING, "decided_s": NOW}
    return Pilot(stamp=f"{number:032x}", **{**usual, **more})
