"""Why free processors had no job: what the agent notes, what the ledger keeps, and each core second by its reason."""

import sqlite3
from contextlib import closing
from itertools import groupby
from pathlib import Path

import pytest

from agents.errors import NoAnswer
from agents.jobs.ledger import _MOST_IDLE_NOTES, Ledger
from agents.observability import idleness, slot_report
from agents.observability.agent_run import AgentRun
from agents.observability.history import LEDGER, History, read
from agents.observability.slot_page import page
from agents.observability.summary import of
from agents.slot.idle import MEANINGS, Idle
from tests.unit.agent_scene import NO_MATCH, Scene, job, scene
from tests.unit.slot_scene import START_S, Course, busy, write

__all__ = ["scene"]


def noted(scene: Scene) -> list[Idle]:
    return [why for why, _ in groupby(scene.idle)]


def test_an_agent_without_a_job_notes_that_there_was_no_match(scene: Scene) -> None:
    scene.run()

    assert noted(scene)[-1] is Idle.NO_MATCH


def test_between_jobs_it_asks(scene: Scene) -> None:
    scene.matcher.answers = [job(1), job(2), NO_MATCH, job(3)]

    scene.run()

    assert noted(scene)[:3] == [Idle.ASKING, Idle.NO_MATCH, Idle.ASKING]


def test_no_answer_is_no_empty_one(scene: Scene) -> None:
    scene.matcher.answers = [NoAnswer("x"), NoAnswer("x"), NoAnswer("x")]

    scene.run()

    assert Idle.NO_ANSWER in noted(scene)
    assert Idle.UNFIT not in noted(scene)


def test_a_drained_slot_is_idle_for_that(scene: Scene) -> None:
    scene.processors = 2
    scene.matcher.answers = [job(1)]
    scene.matcher.before = (scene.work_dir / "drain").touch

    scene.run()

    assert noted(scene)[-1] is Idle.DRAINING


def test_a_slot_with_too_little_time_left(scene: Scene) -> None:
    scene.end_s = 100.0

    scene.run()

    assert noted(scene) == [Idle.LITTLE_LEFT]


def test_an_unfit_node_is_idle_for_that(scene: Scene) -> None:
    scene.troubles = lambda: ["no disk"]

    scene.run()

    assert noted(scene)[-1] is Idle.UNFIT


def test_an_in_process_ce_has_no_room_beside_its_job(scene: Scene) -> None:
    scene.ce_type, scene.processors = "InProcess", 4
    scene.matcher.answers = [job(1), job(2)]

    scene.run()

    assert Idle.NO_ROOM in noted(scene)


def test_a_change_of_the_reason_is_written_once_and_the_first_one_goes_without_saying(tmp_path: Path) -> None:
    with closing(Ledger(tmp_path / LEDGER)) as ledger:
        life = AgentRun(ledger, {})
        for why in (Idle.ASKING, Idle.ASKING, Idle.NO_MATCH, Idle.NO_MATCH, Idle.ASKING):
            life.idles(why)

    assert [why for _, why in read(tmp_path).idle or ()] == ["no match", "asking"]


def test_the_ledger_keeps_so_many_notes_and_no_more(tmp_path: Path) -> None:
    with closing(Ledger(tmp_path / LEDGER)) as ledger:
        ledger._db.execute(
            "INSERT INTO idle (number, at_s, why) VALUES (1, 0.0, 'x'), (?, 0.0, 'y')", (_MOST_IDLE_NOTES,)
        )
        ledger._db.commit()
        ledger.idles("z")
        kept = [why for (why,) in ledger._db.execute("SELECT why FROM idle ORDER BY number")]

    assert kept == ["y", "z"]


def found(folder: Path) -> tuple[History, dict[str, float]]:
    history = read(folder)
    return history, idleness.by_reason(history, len(of(history).processor_ids))


def test_each_core_second_without_a_job_has_one_reason(tmp_path: Path) -> None:
    course = Course(7, (0,), 10.0, 12.0, 50.0, 51.0, 52.0)
    write(tmp_path, [course], processors=2, end_s=100.0, reason="x", idle=[(20.0, "no match"), (60.0, "draining")])

    _, split = found(tmp_path)

    assert split == {"draining": 80.0, "no match": 30.0 + 2 * 10.0, "asking": 2 * 10.0 + 10.0}


@pytest.mark.parametrize("jobs", [0, 1, 300])
def test_the_reasons_sum_up_to_the_idle_time(tmp_path: Path, jobs: int) -> None:
    courses = busy(jobs, 8)
    end_s = max((one.end_s or 0.0 for one in courses), default=900.0) + 33
    idle = [(0.25 * end_s, "no match"), (0.5 * end_s, "asking"), (0.9 * end_s, "unfit")]
    write(tmp_path, courses, processors=8, end_s=end_s, reason="x", idle=idle)

    history, split = found(tmp_path)

    assert sum(split.values()) == pytest.approx(of(history).core_time.idle, rel=1e-6)
    assert all(core_s >= 0 for core_s in split.values())


def test_between_two_agents_there_is_none(tmp_path: Path) -> None:
    write(tmp_path, [], processors=2, end_s=60.0, reason=None, idle=[(10.0, "no match")])
    with closing(sqlite3.connect(tmp_path / LEDGER)) as db, db:
        (body,) = db.execute("SELECT body FROM life").fetchone()
        row = (START_S + 80, START_S + 100, "x", body)
        db.execute("INSERT INTO life (started_s, seen_s, reason, body) VALUES (?, ?, ?, ?)", row)

    _, split = found(tmp_path)

    assert split == {"no match": 2 * 50.0, "no agent": 2 * 20.0, "asking": 2 * 10.0 + 2 * 20.0}


def test_a_ledger_of_an_earlier_version_has_no_reasons(tmp_path: Path) -> None:
    write(tmp_path, [], processors=2, end_s=60.0, reason="x")
    with closing(sqlite3.connect(tmp_path / LEDGER)) as db, db:
        db.execute("DROP TABLE idle")

    history, split = found(tmp_path)

    assert split == {}
    assert "This version of the agent noted no reasons." in page(history, of(history), {})


def test_the_page_and_programs_are_told_every_reason(tmp_path: Path) -> None:
    idle = [(10.0 * place, str(why)) for place, why in enumerate(Idle, 1)]
    write(tmp_path, [], processors=2, end_s=200.0, reason="x", idle=[*idle, (150.0, "<b>new</b>")])

    history, split = found(tmp_path)
    text = page(history, of(history), {})

    assert set(split) == {*map(str, Idle), "<b>new</b>"}
    assert [why for why in MEANINGS.values() if why.partition("'")[0] not in text] == []
    assert "&lt;b&gt;new&lt;/b&gt;" in text
    assert '"idle_s": {' in slot_report.as_json(tmp_path)


def test_a_jobs_name_is_kept_and_is_one_line(tmp_path: Path, scene: Scene) -> None:
    scene.matcher.answers = [job(1, 'JobName = "my\\u001b[2Jfit";')]
    scene.run()

    (one,) = read(tmp_path).jobs

    assert one.job.name.startswith("my")
    assert one.job.name.isprintable()
