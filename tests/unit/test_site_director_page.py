"""The SiteDirector from outside: figures of its queues, its page, its metrics."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from agents.site_director import figures, metrics, page
from agents.site_director.command_line import main
from agents.site_director.ledger import NAME, PilotLedger
from agents.site_director.pilots import Pilot, PilotReport, State

NOW = 1_800_000_000.0
GOOD, BAD = "good.ce/long", 'bad"\\ce/<b>'


def pilot(number: int, queue: str, state: State, **more: object) -> Pilot:
    begun = {"decided_s": NOW - 5000, "submitted_s": NOW - 5000, "processors": 4}
    return Pilot(stamp=f"{number:032x}", queue=queue, state=state, **{**begun, **more})  # type: ignore[arg-type]


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[PilotLedger]:
    made = PilotLedger(tmp_path / NAME)
    ran = {"started_s": NOW - 4000, "ended_s": NOW - 400}
    made.save(
        [
            pilot(1, GOOD, State.DONE, jobs=3, **ran),
            pilot(2, GOOD, State.RUNNING, started_s=NOW - 3600),
            pilot(3, GOOD, State.WAITING),
            pilot(4, GOOD, State.ABORTED, ended_s=NOW - 10, why="no job needs it"),
            pilot(5, BAD, State.FAILED, why="<script>alert(1)</script>", **ran),
        ],
        [PilotReport(f"{1:032x}", "Done")],
    )
    plan = {"need": 8, "in_time": 4, "ready": 0, "lack": 4}
    made.note({"ces": {GOOD: "", BAD: "squeue failed"}, "prices": {GOOD: 2.0}, "plan": plan, "at_s": NOW})
    made.hold("held.ce/q", "by hand")
    yield made
    made.close()


def test_a_queue_is_told_by_waits_costs_and_what_ran_nothing(ledger: PilotLedger) -> None:
    by_name = {each.name: each for each in figures.of_queues(ledger, NOW)}
    good, bad = by_name[GOOD], by_name[BAD]

    assert set(by_name) == {GOOD, BAD, "held.ce/q"}
    assert (good.ended, good.ran_nothing, good.waits_s) == (1, 0, [1000.0, 1400.0])
    assert (good.processor_s, good.cost) == (4 * (3600.0 + 3600.0), 16.0)
    assert (bad.ended, bad.ran_nothing, bad.trouble, bad.price) == (1, 1, "squeue failed", 1.0)
    assert by_name["held.ce/q"].wait_s(0.5) is None


def test_metrics_are_what_prometheus_reads(ledger: PilotLedger) -> None:
    families = {each.name: each for each in text_string_to_metric_families(metrics.text(ledger, NOW) + "\n")}
    found = {(s.name, tuple(s.labels.values())): s.value for each in families.values() for s in each.samples}
    start = "gridpilot_site_director_"

    assert found[f"{start}pilots", (GOOD, "Running")] == 1
    assert found[f"{start}empty_pilots", (BAD,)] == 1
    assert found[f"{start}in_trouble", (BAD,)] == 1
    assert found[f"{start}wait_seconds", (GOOD, "0.95")] == 1400
    assert found[f"{start}cost", (GOOD,)] == 16
    assert found[f"{start}held", ("held.ce/q",)] == 1
    assert found[f"{start}unsent_reports", ()] == 1
    assert found[f"{start}processors", ("lacking",)] == 4
    assert found[f"{start}decided_time_seconds", ()] == NOW


def test_the_page_shows_each_queue_and_what_others_wrote_stays_text(ledger: PilotLedger) -> None:
    made = page.text(ledger, NOW)

    for said in ("good.ce/long", "squeue failed", "held by hand", "8 needed − 4 on their way − 0 ready = 4 lacking"):
        assert said in made
    assert "<script>" not in made
    assert "&lt;script&gt;" in made
    assert "bad&quot;\\ce/&lt;b&gt;" in made


def test_an_empty_ledger_has_a_page(tmp_path: Path) -> None:
    ledger = PilotLedger(tmp_path / NAME)

    assert "No queue has had a pilot yet." in page.text(ledger, NOW)
    assert "unsent_reports 0" in metrics.text(ledger, NOW)
    ledger.close()


@pytest.mark.parametrize(("word", "said"), [("page", "<!DOCTYPE html>"), ("metrics", "# TYPE gridpilot_site_director")])
def test_both_are_words_of_the_command(
    ledger: PilotLedger, tmp_path: Path, capsys: pytest.CaptureFixture[str], word: str, said: str
) -> None:
    assert ledger.counts()
    assert main([word, "--work-dir", str(tmp_path)]) == 0
    assert said in capsys.readouterr().out
