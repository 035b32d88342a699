"""How tests wait themselves."""

import subprocess

import pytest

from tests import waiting


class Clock:
    """Time that passes by sleeping, and by a look that takes some."""

    def __init__(self, look_s: float) -> None:
        self.now_s = 0.0
        self.looks = 0
        self._look_s = look_s

    def monotonic(self) -> float:
        return self.now_s

    def sleep(self, seconds: float) -> None:
        self.now_s += seconds

    def look(self) -> bool:
        self.looks += 1
        self.now_s += self._look_s
        return False


@pytest.mark.parametrize(("look_s", "most"), [(0.0, 60), (0.01, 60), (0.2, 10)])
def test_looking_leaves_the_machine_to_what_is_waited_for(
    monkeypatch: pytest.MonkeyPatch, look_s: float, most: int
) -> None:
    clock = Clock(look_s)
    monkeypatch.setattr(waiting, "time", clock)
    monkeypatch.setattr(waiting, "_that_want_to_run", lambda: 1)

    assert not waiting.within(10.0, clock.look, pause_s=0.05)

    assert 5 < clock.looks <= most + 30  # the first second by pauses of 50 ms
    assert clock.looks * look_s <= clock.now_s / 5 + look_s
    assert clock.now_s < 12.0


def test_a_process_that_does_not_end_is_told_and_gone() -> None:
    process = subprocess.Popen(["sleep", "1000"])

    with pytest.raises(AssertionError, match=r"end of \['sleep', '1000'\]: not within 0.1 s"):
        waiting.ended(process, 0.1)

    assert process.returncode == -9


def test_a_process_that_ends_is_told_by_its_exit_code() -> None:
    assert waiting.ended(subprocess.Popen(["sh", "-c", "exit 3"])) == 3
