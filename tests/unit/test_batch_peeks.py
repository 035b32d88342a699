"""A look at a task's file may be a command on another machine: there is one in an interval at most."""

from ce_backends.batch.peeks import Peeks


def test_a_file_is_looked_at_once_in_an_interval() -> None:
    now = [100.0]
    looks: list[float] = []
    peeks = Peeks(30, clock=lambda: now[0])

    def look() -> bytes:
        looks.append(now[0])
        return str(len(looks)).encode()

    seen = []
    for now[0] in (100.0, 101.0, 129.0, 131.0, 160.0, 161.5):
        seen.append(peeks.at("a", look))

    assert seen == [b"1", b"1", b"1", b"2", b"2", b"3"]
    assert looks == [100.0, 131.0, 161.5]


def test_files_are_told_apart_and_forgotten_when_too_old() -> None:
    now = [0.0]
    peeks = Peeks(1, clock=lambda: now[0])

    assert [peeks.at(name, name.encode) for name in ("a", "b")] == [b"a", b"b"]
    for now[0] in range(10, 1000):
        peeks.at(now[0], bytes)
    assert len(peeks._seen) == 1
