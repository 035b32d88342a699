"""Which way reports and sandboxes go: by what is published at each call; and the other way while one is away."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from agents.credentials.identity import Identity
from agents.errors import AccessDenied, Busy, NoAnswer, Refused, Unreachable
from agents.jobs.job import Job, MatchedJob
from agents.jobs.ledger import Ledger
from agents.observability.explain import explain
from agents.wms.diracx.either import EitherJobState, EitherSandboxes
from agents.wms.diracx.installation import DiracX
from agents.wms.job_state import Heartbeat
from agents.wms.published import Published
from agents.wms.transports import Transports
from ce_backends.cfg import Section, from_options

WMS = "/Systems/WorkloadManagement"
STATE, STORE = f"{WMS}/URLs/JobStateUpdate", f"{WMS}/URLs/SandboxStore"
FUTURE = "/DiracX/FutureClientEnabled/WorkloadManagement/JobStateUpdate"
JOINED = {"/DiracX/URL": "https://diracx.invalid/", STATE: "https://dirac/J", STORE: "https://dirac/S"}
S3 = "SB:SE|/S3/b/lab/lab_user/user/sha256:" + "0" * 64 + ".tar.zst"


@dataclass
class Speaker:
    """Keeps what it was told; fails as a test says."""

    error: Exception | None = None
    told: list[str] = field(default_factory=list)

    def _tell(self, what: str) -> None:
        self.told.append(what)
        if self.error:
            raise self.error

    def set_statuses(self, job_id: int, statuses: Mapping[str, Mapping[str, str]]) -> None:
        self._tell(f"status {job_id} {len(statuses)}")

    def set_parameters(self, job_id: int, parameters: Sequence[tuple[str, str]]) -> None:
        self._tell(f"parameters {job_id} {len(parameters)}")

    def heartbeat(self, beat: Heartbeat) -> dict[str, str]:
        self._tell(f"heartbeat {beat.job_id}")
        return {"Kill": ""}

    def reschedule(self, job_id: int) -> None:
        self._tell(f"reschedule {job_id}")

    def download(self, reference: str) -> bytes:
        self._tell(f"download {reference}")
        return b"packed"

    def upload_output(self, job_id: int, packed: bytes) -> str:
        self._tell(f"upload {job_id} {len(packed)}")
        return "SB:SE|/stored"


class Installation:
    """A configuration that changes, and who speaks with DIRAC; DiracX itself is nowhere."""

    def __init__(self, **options: str) -> None:
        self.published = Published(None, Section())
        self.publish(options)
        transports = Transports(Identity(certificate=Path("/no"), ca=Path("/etc/ssl/certs")), vo="lab", setup="")
        self.kept: dict[str, str] = {}
        self.diracx = DiracX(self.published, transports, {}, vo="lab", keep=self.kept.__setitem__)

    def publish(self, options: Mapping[str, str]) -> None:
        """Let the configuration say something else from now on."""
        self.published.tree.content = from_options(options, "test").content
        self.published._urls = {}


def ways(installation: Installation, group: str = "") -> dict[str, tuple[str, ...]]:
    diracx = installation.diracx
    found = {"reports": diracx._way_of_reports(), "in": diracx._way_in(group), "out": diracx._way_out(group)}
    return {what: tuple(names) for what, (names, why) in found.items() if why}


@pytest.mark.parametrize(
    ("options", "reports", "inputs", "outputs"),
    [
        ({STATE: "u", STORE: "u"}, ("dirac",), ("dirac",), ("dirac",)),
        ({**JOINED, "/DiracX/DisabledVOs": "other, lab"}, ("dirac",), ("dirac",), ("dirac",)),
        (JOINED, ("dirac", "diracx"), ("diracx", "dirac"), ("dirac", "diracx")),
        ({**JOINED, FUTURE: "Yes"}, ("diracx", "dirac"), ("diracx", "dirac"), ("dirac", "diracx")),
        ({**JOINED, FUTURE: "no"}, ("dirac", "diracx"), ("diracx", "dirac"), ("dirac", "diracx")),
        ({"/DiracX/URL": "u"}, ("diracx",), ("diracx",), ("diracx",)),
        (
            {**JOINED, f"{WMS}/Services/TornadoSandboxStore/UseDiracXBackend": "True"},
            ("dirac", "diracx"),
            ("diracx", "dirac"),
            ("diracx", "dirac"),
        ),
    ],
)
def test_the_way_is_what_is_published(
    options: dict[str, str], reports: tuple[str, ...], inputs: tuple[str, ...], outputs: tuple[str, ...]
) -> None:
    assert ways(Installation(**options)) == {"reports": reports, "in": inputs, "out": outputs}


def test_a_configuration_that_moves_the_vo_counts_from_the_next_call_on() -> None:
    installation = Installation(**JOINED)

    seen = []
    for options in ({STATE: "u", STORE: "u"}, {**JOINED, FUTURE: "true"}, {"/DiracX/URL": "u"}, {STATE: "u"}):
        installation.publish(options)
        seen.append(ways(installation)["reports"])

    assert seen == [("dirac",), ("diracx", "dirac"), ("diracx",), ("dirac",)]


def test_an_owner_whose_vo_is_disabled_goes_dirac_s_way() -> None:
    installation = Installation(
        **JOINED, **{"/DiracX/DisabledVOs": "other", "/Registry/Groups/other_user/VO": "other", FUTURE: "1"}
    )

    assert ways(installation, "other_user")["out"] == ("dirac",)
    assert ways(installation, "lab_user")["out"] == ("dirac", "diracx")
    assert not installation.diracx.wants_token("other_user")


def either(way: tuple[str, ...], dirac: Speaker, diracx: Speaker) -> EitherJobState:
    return EitherJobState(dirac, diracx, lambda: way, lambda: way)


CALLS: list[Callable[[EitherJobState], object]] = [
    lambda told: told.set_statuses(7, {"now": {}}),
    lambda told: told.set_parameters(7, [("a", "b")]),
    lambda told: told.heartbeat(Heartbeat(job_id=7)),
    lambda told: told.reschedule(7),
]


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("error", [Unreachable("refused"), AccessDenied("no token")])
@pytest.mark.parametrize("way", [("dirac", "diracx"), ("diracx", "dirac")])
def test_while_the_first_is_away_the_other_hears_it(
    call: Callable[[EitherJobState], object], error: Exception, way: tuple[str, str]
) -> None:
    away, there = Speaker(error), Speaker()
    pair = (away, there) if way[0] == "dirac" else (there, away)

    answer = call(either(way, *pair))

    assert away.told == there.told
    assert answer in (None, {"Kill": ""})


@pytest.mark.parametrize("error", [NoAnswer("lost"), Refused("no", is_final=True)])
def test_what_may_have_been_heard_is_not_told_the_other(error: Exception) -> None:
    first, other = Speaker(error), Speaker()

    for call in CALLS:
        with pytest.raises(type(error)):
            call(either(("diracx", "dirac"), other, first))

    assert not other.told


def test_an_order_to_reschedule_that_a_busy_server_may_have_carried_out_is_given_once() -> None:
    first, other = Speaker(Busy("HTTP 503")), Speaker()
    told = either(("diracx", "dirac"), other, first)

    told.set_statuses(7, {})
    with pytest.raises(Busy):
        told.reschedule(7)

    assert other.told == ["status 7 0"]


def test_a_sandbox_is_fetched_by_the_form_of_its_path() -> None:
    dirac, diracx = Speaker(), Speaker()
    kept = EitherSandboxes(dirac, diracx, lambda: ("diracx", "dirac"), lambda: ("diracx",))

    kept.download(S3)
    kept.download("SB:SE|/SandBox/u/user.lab_user/d12/x.tar.bz2")
    kept.upload_output(7, b"xy")

    assert diracx.told == [f"download {S3}", "upload 7 2"]
    assert dirac.told == ["download SB:SE|/SandBox/u/user.lab_user/d12/x.tar.bz2"]


@pytest.mark.parametrize(
    ("options", "asks"),
    [
        ({STATE: "u", STORE: "u"}, True),  # no DiracX at all
        (JOINED, True),  # DIRAC can do all of it
        ({"/DiracX/URL": "https://127.0.0.1:9", STORE: "u"}, False),
        ({"/DiracX/URL": "https://127.0.0.1:9", STATE: "u"}, False),
    ],
)
def test_no_job_is_asked_for_that_would_need_a_diracx_that_is_away(options: dict[str, str], asks: bool) -> None:
    asked: list[object] = []

    class Matcher:
        def request_job(self, offer: Mapping[str, object]) -> MatchedJob | None:
            asked.append(offer)
            return None

    matcher = Installation(**options).diracx.matcher(Matcher())
    if asks:
        assert matcher.request_job({}) is None
    else:
        with pytest.raises(Unreachable, match="no job is asked for while DiracX"):
            matcher.request_job({})

    assert bool(asked) is asks


def test_payloads_are_told_where_diracx_is() -> None:
    assert Installation(**JOINED).diracx.environ == {"DIRACX_URL": "https://diracx.invalid"}
    assert not Installation(**{STATE: "u"}).diracx.environ


def test_which_way_and_why_is_kept_for_whoever_explains_it(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger.sqlite")
    ledger.save(Job(matched=MatchedJob(job_id=7, jdl="", owner="user", group="lab_user"), stamp="s"))
    installation = Installation(**JOINED)
    installation.diracx.say()
    for name, way in installation.kept.items():
        ledger.keep(name, way)

    told = explain(tmp_path, 7, as_json=False)

    assert "way of reports: dirac then diracx: JobStateUpdate is published, and FutureClientEnabled" in told
    assert "way of output sandboxes: dirac then diracx: a SandboxStore is published" in told
    ledger.close()


def test_what_an_installation_lacks_is_said_at_the_start(caplog: pytest.LogCaptureFixture) -> None:
    Installation(**JOINED).diracx.say()
    assert "no ProxyManager is published: no token for owners" in caplog.text

    caplog.clear()
    Installation(**{STATE: "u"}).diracx.say()
    assert "lacks" not in caplog.text
