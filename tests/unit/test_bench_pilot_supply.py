"""The simulation of the law next to its peers': traces that are read, verdict, plot; and many pilots at once."""

import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from agents.site_director.asking import rest_after
from bench import director_scale
from bench.pilot_supply import plot, workloads
from bench.pilot_supply.__main__ import LAWS, OURS, is_worse_in_both, means, scenarios, table

TRACES = {title: scenario for title, scenario in scenarios() if title.startswith("trace")}


@pytest.mark.parametrize(("name", "jobs", "largest"), [("hpc2n-2002", 174, 24), ("wagap-2013", 103, 24)])
def test_an_excerpt_of_a_trace_is_jobs_that_a_pilot_can_run(name: str, jobs: int, largest: int) -> None:
    made = workloads.trace(workloads.TRACES / f"{name}.txt", largest=24)

    assert (len(made), max(job.processors for job in made)) == (jobs, largest)
    assert all(0 < job.run_s <= job.asked_s <= 43200 for job in made)
    assert min(job.arrival for job in made) == 60.0


def test_a_whole_trace_has_more_fields_and_jobs_that_are_left_out(tmp_path: Path) -> None:
    path = tmp_path / "a.swf"
    line = "{} {} 5 {} {} 9 -1 {} 7200 -1 1 1 1 -1 -1 1 -1 -1"
    rows = [(1, 1000, 90, 2, 2), (2, 1010, -1, 2, 2), (3, 1020, 90, 64, 64), (4, 1000 + 5 * 86400, 90, 1, 1)]
    path.write_text("; a comment\n" + "\n".join(line.format(*row) for row in rows), encoding="utf-8")

    made = workloads.trace(path, largest=8, days=2)

    assert [(job.arrival, job.run_s, job.processors, job.asked_s) for job in made] == [(60.0, 90.0, 2, 7200.0)]


@pytest.mark.parametrize("title", TRACES)
def test_our_law_is_not_worse_than_diracs_in_both_on_a_real_trace(title: str) -> None:
    theirs, ours = (means(LAWS[place], TRACES[title], 1) for place in (0, 4))

    assert (ours["not_started"], LAWS[4]().name) == (0, OURS)
    assert not is_worse_in_both(ours, theirs)
    assert is_worse_in_both({"mean": 2.0, "idle_h": 2.0}, {"mean": 1.0, "idle_h": 1.0})


def test_the_plot_has_a_point_for_each_law_and_workload() -> None:
    row = {"mean": 10.0, "p95": 20.0, "empty": 1.0, "idle_h": 5.0, "not_started": 0.0}
    results: plot.Results = {title: {make().name: row for make in LAWS} for title in ("a <b>", "c")}

    drawing = ET.fromstring(plot.drawn(results, OURS))

    points = [each for each in drawing.iter("{http://www.w3.org/2000/svg}circle") if len(each)]
    assert len(points) == 2 * 4
    assert "in 0 of 2 workloads" in table(results)


def test_many_pilots_are_asked_about_more_rarely() -> None:
    assert (rest_after(5.0, 0.001), rest_after(5.0, 0.1), rest_after(5.0, 9.0)) == (5.0, pytest.approx(25.0), 60.0)
    assert rest_after(120.0, 9.0) == 120.0


def test_a_director_with_doubles_keeps_as_many_pilots_as_there_are_jobs(tmp_path: Path) -> None:
    """The scene of `make bench-site-director-scale`, for some hours with few pilots."""
    scene = director_scale.Scene(tmp_path, 40, 4)

    scene.run(8 * 3600.0, director_scale.DAY_STEP_S)

    assert scene.wms.registrations > 50, "pilots have ended, and others came"
    assert 36 <= scene.at_once <= 44
    assert len(scene.wms.numbers) <= scene.at_once + 40, "what has ended is forgotten"
    scene.ledger.close()
