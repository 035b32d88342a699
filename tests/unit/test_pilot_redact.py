import os

from pilot.log import Log
from pilot.node import wrapper_log


def test_a_secret_in_a_field_of_an_event_is_not_written():
    lines = []

    Log([lines.append]).info("x.y", why="no answer from https://u:hush@h/", token="hush")

    assert "hush" not in lines[0]


def test_the_wrapper_s_log_is_read_to_its_end():
    read_end, write_end = os.pipe()
    os.write(write_end, b"one\n\ntwo")
    os.close(write_end)

    assert list(wrapper_log.lines(read_end)) == ["one\n", "two\n"]
    os.close(read_end)


def test_a_pipe_that_nobody_closes_is_left_after_a_while():
    read_end, write_end = os.pipe()
    os.write(write_end, b"one\n")

    assert list(wrapper_log.lines(read_end, wait_s=0.05)) == ["one\n"]
    os.close(read_end)
    os.close(write_end)
