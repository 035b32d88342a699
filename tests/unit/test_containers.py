"""What payloads in containers see, how runtimes are called, and what is said when one does not work.

The runtimes here are scripts that play one; the real ones run in tests/systems.
"""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ce_backends.base import CanTell, TaskState
from ce_backends.conformance.subject import Subject, task
from ce_backends.containers import isolation
from ce_backends.containers.binds import Bind, view_of
from ce_backends.containers.bubblewrap import Bubblewrap
from ce_backends.containers.options import binds
from ce_backends.containers.payload_user import payload_user
from ce_backends.containers.runtime import Containers
from ce_backends.containers.singularity import Singularity
from ce_backends.containment.cell import Level
from ce_backends.errors import CEError, CEMisconfigured, CEUnavailable
from ce_backends.options import OptionValue
from ce_backends.pool.ce import Pool
from ce_backends.registry import create, validate

# Plays bwrap or apptainer: everything up to the first /bin/sh is the runtime's, the rest is run here.
PLAYS = """#!/bin/sh
env > {seen}
echo "$@" > {called}
while [ "$1" != /bin/sh ]; do shift; done
exec "$@"
"""


@pytest.fixture
def program(tmp_path: Path) -> Callable[[str], str]:
    """Write a script that plays a runtime; return its path."""

    def make(text: str) -> str:
        path = tmp_path / "runtime"
        path.write_text(text, encoding="utf-8")
        path.chmod(0o755)
        return str(path)

    return make


@pytest.fixture
def image(tmp_path: Path) -> Path:
    """Return a directory that looks like a system."""
    shell = tmp_path / "image/bin/sh"
    shell.parent.mkdir(parents=True)
    shell.touch()
    return tmp_path / "image"


@pytest.fixture
def pool(tmp_path: Path) -> Iterator[Callable[..., Pool]]:
    """Make pools that are closed in the end."""
    made: list[Pool] = []

    def make(ce_type: str = "Pool/Singularity", **options: OptionValue) -> Pool:
        ce = create(ce_type, {"KillGraceTime": 0.1, **options}, tmp_path / "pool")
        assert isinstance(ce, Pool)
        made.append(ce)
        return ce

    yield make
    for ce in made:
        ce.close()


def test_own_directory_is_seen_and_those_of_the_neighbours_are_covered(tmp_path: Path) -> None:
    tasks = tmp_path / "tasks"
    own = tasks / "a"
    tasks.mkdir()

    view = view_of(own, [Bind.same(tmp_path, is_writable=True)], {tasks: tasks})

    assert view.binds == [
        Bind(tmp_path, tmp_path, is_writable=True),
        Bind(own / "covers/0", tasks),
        Bind(own, own, is_writable=True),
    ]
    assert own / "covers/0/a" in view.places  # where the own directory comes to lie


def test_hidden_directory_is_covered_where_it_would_be_seen(tmp_path: Path) -> None:
    secrets = tmp_path / "home/secrets"
    secrets.mkdir(parents=True)
    (tmp_path / "link").symlink_to("home")

    view = view_of(tmp_path / "t", [Bind(tmp_path / "link", Path("/data"))], {secrets: secrets / "proxy"})

    assert [bind.target for bind in view.binds if "covers" in bind.source.parts] == [Path("/data/secrets")]


def test_hidden_directory_of_the_image_is_covered(tmp_path: Path) -> None:
    secrets = tmp_path / "image/opt/secrets"
    secrets.mkdir(parents=True)

    view = view_of(tmp_path / "t", [], {secrets: secrets / "proxy"}, tmp_path / "image")

    assert view.binds[0].target == Path("/opt/secrets")


def test_what_is_bound_below_a_hidden_directory_is_seen(tmp_path: Path) -> None:
    security, authorities, vomses = (tmp_path / name for name in ("sec", "sec/certificates", "sec/vomses"))
    authorities.mkdir(parents=True)
    vomses.touch()
    shown = [Bind.same(authorities), Bind.same(vomses), Bind.same(tmp_path)]

    view = view_of(tmp_path / "t", shown, {security: security / "hostkey.pem"})

    cover = tmp_path / "t/covers/0"
    assert view.binds[:4] == [shown[2], Bind(cover, security), *shown[:2]]
    assert cover / "certificates" in view.places
    assert list(view.files) == [cover / "vomses"]


def test_what_is_not_shown_needs_no_cover_and_what_is_not_there_is_left_out(tmp_path: Path) -> None:
    view = view_of(tmp_path / "t", [Bind.same(tmp_path / "nothing")], {tmp_path: tmp_path / "ledger"})

    assert view.binds == [Bind.same(tmp_path / "t", is_writable=True)]


@pytest.mark.parametrize("shown", ["", "proxy", "link"])
def test_secret_that_is_all_of_what_is_shown_is_refused(shown: str, tmp_path: Path) -> None:
    home, proxy = tmp_path / "home", tmp_path / "home/proxy"
    home.mkdir()
    proxy.touch()
    (home / "link").symlink_to("proxy")

    with pytest.raises(CEError, match=f"payloads would see {proxy}, because {home / shown} is shown to them: move it"):
        view_of(tmp_path / "t", [Bind.same(home / shown)], {home: proxy})


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("/data", [Bind(Path("/data"), Path("/data"), is_writable=True)]),
        ("/a:::/b", [Bind(Path("/a"), Path("/b"), is_writable=True)]),
        (
            "/a:::/b:::ro, /c:/d:ro,/e:ro",
            [Bind(Path("/a"), Path("/b")), Bind(Path("/c"), Path("/d")), Bind.same(Path("/e"))],
        ),
        ("", []),
    ],
)
def test_binds_are_read_as_dirac_writes_them(text: str, expected: list[Bind]) -> None:
    assert binds(text) == expected


@pytest.mark.parametrize("text", ["data", "/a:::b", "/a:::/b:::rx", "/a:::/b:::ro:::more"])
def test_bind_of_another_form_is_told(text: str) -> None:
    with pytest.raises(CEMisconfigured, match=r"option ContainerBind: .*: expected SOURCE"):
        binds(text)


def test_options_of_dirac_are_those_of_the_type() -> None:
    chosen = validate("Pool/Singularity", {"NumberOfProcessors": "4", "ContainerBin": "/opt/apptainer"})

    assert (chosen["NumberOfProcessors"], chosen["ContainerBin"]) == (4, "/opt/apptainer")
    assert chosen["ContainerRoot"] == "/cvmfs/cernvm-prod.cern.ch/cvm4"


def test_variables_of_a_job_have_no_effect_on_the_runtime(
    program: Callable[[str], str], image: Path, tmp_path: Path
) -> None:
    seen = tmp_path / "seen"
    fake = program(PLAYS.format(seen=seen, called=tmp_path / "called"))
    ce = create("Pool/Singularity", {"ContainerBin": fake, "ContainerRoot": str(image)}, tmp_path / "pool")
    evil = {"LD_PRELOAD": "./evil.so", "APPTAINER_BIND": "/root", "MINE": "1"}
    subject = Subject(lambda: ce, tmp_path, 20)
    with subject.ce() as trial:
        task_id, status = trial.ran('echo "$MINE $APPTAINER_BIND"', environment=evil)
        out = (trial.fetched(task_id) / "stdout").read_text()

    names = {line.partition("=")[0] for line in seen.read_text().splitlines()}
    assert (status.exit_code, out) == (0, "1 /root\n")
    assert not names & set(evil)


def test_container_that_did_not_start_is_no_result_of_the_payload(
    program: Callable[[str], str], image: Path, tmp_path: Path
) -> None:
    broken = tmp_path / "broken"
    text = PLAYS.format(seen="/dev/null", called="/dev/null").replace(
        "while", f'[ ! -e {broken} ] || {{ echo "FATAL: no" >&2; exit 255; }}\nwhile'
    )
    options: dict[str, OptionValue] = {"ContainerBin": program(text), "ContainerRoot": str(image)}
    ce = create("Pool/Singularity", options, tmp_path / "pool")
    assert isinstance(ce, CanTell)
    subject = Subject(lambda: ce, tmp_path, 20)
    assert ce.trouble() == ""
    broken.touch()
    with subject.ce() as trial:
        _, status = trial.ran(":\n")
        trouble = ce.trouble()

    assert (status.state, status.exit_code) == (TaskState.FAILED, None)
    assert status.reason == "the container did not start: FATAL: no"
    assert trouble == "Singularity: FATAL: no"  # it is tried again before the next job is asked for


def test_job_is_not_taken_where_no_container_can_be_started(
    program: Callable[[str], str], image: Path, pool: Callable[..., Pool]
) -> None:
    ce = pool(ContainerBin=program("#!/bin/sh\necho broken >&2; exit 3\n"), ContainerRoot=str(image))

    with pytest.raises(CEUnavailable, match="Singularity: broken"):
        ce.submit([task(":\n")])


@pytest.mark.parametrize("ce_type", ["Pool/Singularity", "Pool/Bubblewrap"])
@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda path: None, "(ContainerRoot) is not there"),
        (lambda path: path.mkdir(), "(ContainerRoot) has no /bin/sh: it is empty or damaged"),
    ],
    ids=["missing", "damaged"],
)
def test_wrong_image_is_named(
    make: Callable[[Path], None],
    sentence: str,
    ce_type: str,
    program: Callable[[str], str],
    pool: Callable[..., Pool],
    tmp_path: Path,
) -> None:
    root = tmp_path / "root"
    make(root)
    ce = pool(ce_type, ContainerBin=program("#!/bin/sh\n"), ContainerRoot=str(root))

    assert isinstance(ce, CanTell)
    assert ce.trouble() == f"{ce_type.partition('/')[2].replace('Bubblewrap', 'bubblewrap')}: image {root} {sentence}"


def test_missing_runtime_is_named(image: Path, pool: Callable[..., Pool], tmp_path: Path) -> None:
    ce = pool(ContainerBin=str(tmp_path / "none"), ContainerRoot=str(image))

    assert ce.trouble() == (
        f"Singularity: {tmp_path}/none is not there: install Apptainer, or name the program (ContainerBin)"
    )


def test_second_best_way_is_used_and_what_it_lacks_is_said(
    program: Callable[[str], str], image: Path, pool: Callable[..., Pool]
) -> None:
    without_pid = PLAYS.format(seen="/dev/null", called="/dev/null").replace(
        "while", 'case "$*" in *--pid*) echo "no --pid here" >&2; exit 1 ;; esac\nwhile'
    )
    ce = pool(ContainerBin=program(without_pid), ContainerRoot=str(image))

    assert ce.trouble() == ""
    assert ce.remark().endswith("payloads see, and may signal, other processes of this user (no --pid here)")


def test_runtime_that_hangs_is_given_up(program: Callable[[str], str], image: Path, tmp_path: Path) -> None:
    fake = program("#!/bin/sh\nexec sleep 600\n")
    options = validate("Singularity", {"ContainerBin": fake, "ContainerRoot": str(image)})
    containers = Containers(Singularity.from_options(options, {}), (), environ={"PATH": "/usr/bin:/bin"}, probe_s=0.2)

    assert containers.trouble(tmp_path) == "Singularity: it did not start a container within 0.2 s"


def test_failed_probe_is_not_repeated_at_once(program: Callable[[str], str], image: Path, tmp_path: Path) -> None:
    fake = program(f"#!/bin/sh\necho x >>{tmp_path}/calls\nexit 1\n")
    options = validate("Bubblewrap", {"ContainerBin": fake, "ContainerRoot": str(image)})
    now = [0.0]
    containers = Containers(
        Bubblewrap.from_options(options, {}), (), environ={"PATH": "/usr/bin:/bin"}, clock=lambda: now[0]
    )

    seen = []
    for now[0] in (0.0, 59.0, 61.0):
        containers.trouble(tmp_path)
        seen.append(len((tmp_path / "calls").read_text().split()))

    assert seen == [1, 1, 2]


# What a payload can do so that its container seems not to have started: then its wrapper would write down a reason.
PRETENCES = {
    "removes": "rm -rf ../entered ../reason; ln -s {victim} ../reason",
    "steals": "cat ../entered & sleep 0.1; kill $!; rm -f ../reason; ln -s {victim} ../reason",
    "another pipe": "rm -f ../entered ../reason; mkfifo ../entered; ln -s {victim} ../reason",
    "says that it is over": "echo over > ../entered; rm -f ../reason; ln -s {victim} ../reason",
    "every descriptor": "for fd in /proc/self/fd/*; do cat $fd & done; sleep 0.1; ln -sf {victim} ../reason",
}


@pytest.mark.parametrize("pretence", PRETENCES.values(), ids=PRETENCES)
def test_payload_cannot_pretend_that_its_container_did_not_start(
    program: Callable[[str], str], image: Path, tmp_path: Path, pretence: str
) -> None:
    fake = program(PLAYS.format(seen="/dev/null", called="/dev/null"))
    ce = create("Pool/Singularity", {"ContainerBin": fake, "ContainerRoot": str(image)}, tmp_path / "pool")
    victim = tmp_path / "victim"
    with Subject(lambda: ce, tmp_path, 20).ce() as trial:
        _, status = trial.ran(f"{{ {pretence.format(victim=victim)}; }} < /dev/null > /dev/null 2>&1\nexit 5\n")

    assert (status.state, status.exit_code) == (TaskState.DONE, 5)
    assert not victim.exists()


@pytest.mark.parametrize("level", list(Level))
@pytest.mark.parametrize("container", ["", "bubblewrap"])
def test_level_of_isolation_is_one_sentence(container: str, level: Level) -> None:
    said = isolation.sentence(container, level)

    assert said.startswith("isolation: none" if not container else "isolation: a payload sees what bubblewrap shows it")
    assert ("control group" in said) == (level is not Level.SESSION)


def test_root_that_may_not_make_containers_is_told_so(
    program: Callable[[str], str], image: Path, pool: Callable[..., Pool]
) -> None:
    refuses = program("#!/bin/sh\necho 'FATAL: namespace: Operation not permitted' >&2; exit 1\n")
    ce = pool(ContainerBin=refuses, ContainerRoot=str(image))

    assert ("the pilot is root: where root may not make containers" in ce.trouble()) == (payload_user() is not None)
