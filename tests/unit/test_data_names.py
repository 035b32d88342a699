"""What is a name of a file for the catalogue, and what is a checksum."""

import zlib
from pathlib import Path

import pytest

from agents.data import checksum
from agents.data.lfn import BadLfn, is_lfn, lfn_of
from tests.unit.elements_scene import LFN

# ---- names ----


@pytest.mark.parametrize("text", [f"LFN:{LFN}", f"lfn:{LFN}", LFN])
def test_an_lfn_is_an_absolute_path_of_the_vo(text: str) -> None:
    assert lfn_of(text, "labvo") == LFN
    assert is_lfn(text) is (text != LFN)


@pytest.mark.parametrize("name", ["L", "FN:", "NFL:LFN", "LLL"])
def test_letters_of_the_prefix_stay_in_a_name(name: str) -> None:
    assert lfn_of(f"LFN:/labvo/{name}", "labvo") == f"/labvo/{name}"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "is no LFN"),
        ("LFN:", "is no LFN"),
        ("a/b", "is no LFN"),
        ("/labvo", "is no LFN"),
        ("LFN:LFN:/labvo/a", "is no LFN"),
        ("/other/a", "is not of labvo"),
        ("/labvo/../a", "an empty part"),
        ("/labvo//a", "an empty part"),
        ("/labvo/a/", "an empty part"),
        ("/labvo/./a", "an empty part"),
        ("/labvo/a\nb", "nobody can see"),
        ("/labvo/a\x00", "nobody can see"),
        ("/labvo/\u202ea", "nobody can see"),
        ("/labvo/" + "a" * 129, "too long"),
        ("/labvo/" + "a/" * 600 + "b", "too long"),
    ],
)
def test_what_is_no_lfn_says_why(text: str, words: str) -> None:
    with pytest.raises(BadLfn, match=words):
        lfn_of(text, "labvo")


# ---- checksums ----


@pytest.mark.parametrize("text", ["084b021f", "84b021f", "84B021F", " 084b021f\n", "0x84b021f"])
def test_leading_zeros_do_not_count(text: str) -> None:
    assert checksum.number_of(text) == 0x084B021F


@pytest.mark.parametrize("text", ["", "g", "1" * 9, "-1", "1_0", None, 5, "０", "+1"])
def test_what_is_no_checksum_is_none(text: object) -> None:
    assert checksum.number_of(text) is None


def test_the_checksum_of_a_file_is_zlibs(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"hello\n" * 500_000)
    assert checksum.adler32_of(tmp_path / "a") == zlib.adler32(b"hello\n" * 500_000)
    assert checksum.text_of(0x4B021F) == "004b021f"
