"""The doctor where the VO has DiracX, and where it has none."""

import pytest

from pilot.doctor.finding import OK, WARNING
from tests.unit.doctor_scene import Site, bad, configuration, containment, keys, real_site, site
from tests.unit.pilot_scene import error, ok, packed

__all__ = ["containment", "keys", "real_site", "site"]

TOKEN = {"access_token": "a.b.c", "refresh_token": "d.e.f", "expires_in": 1200, "token_type": "Bearer"}


def with_diracx(*gone, exchanged=None):
    """A site whose VO has DiracX, at the same door; these services are published no more."""

    def spoil(site):
        def text(url):
            whole = configuration(url) + f"DiracX\n{{\n  URL = {url}\n}}\n"
            manager = f"  Framework\n  {{\n    URLs\n    {{\n      ProxyManager = {url}/F/P\n    }}\n  }}\n"
            lines = whole.replace("Systems\n{\n", f"Systems\n{{\n{manager}", 1).splitlines(keepends=True)
            return "".join(line for line in lines if not line.split()[:1] or line.split()[0] not in gone)

        site.text = text
        site.exchanged = exchanged or ok(TOKEN)

    return spoil


class Joined(Site):
    """A site that answers an exchange too."""

    def _answer(self, path, method, *_):
        return self.exchanged if method == "exchangeProxyForToken" else ok(packed(self.text(self.url)))


@pytest.fixture
def joined(keys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return Joined(keys, tmp_path)


def about_diracx(found):
    return [each for each in found if each.step == "DiracX"]


def test_without_diracx_that_is_said(site):
    (finding,) = about_diracx(site.examined())

    assert (finding.severity, finding.says) == (OK, "the VO has none: everything is asked of DIRAC")


def test_diracx_is_reached_and_asked_for_a_token_and_the_ways_are_told(joined):
    with_diracx()(joined)

    found = about_diracx(joined.examined())

    assert {each.severity for each in found} == {OK}
    said = " | ".join(each.says for each in found)
    assert "our proxy is exchanged for a token" in said
    assert "reports go by JobStateUpdate, by DiracX while that is away" in said
    assert "pilots are told to the PilotManager" in said
    assert "a.b.c" not in said


def test_what_diracx_does_instead_is_no_fault(joined):
    with_diracx("JobStateUpdate", "SandboxStore")(joined)

    found = joined.examined()

    assert bad(found) == []
    said = " | ".join(each.says for each in about_diracx(found))
    assert "reports go by DiracX (no JobStateUpdate is published)" in said
    assert "sandboxes are in S3 (no SandboxStore is published)" in said


@pytest.mark.parametrize("exchanged", [error("Error getting token from DiracX: 403"), (500, b""), ok("nonsense")])
def test_a_token_that_is_not_given_is_a_warning_that_says_what_it_costs(joined, exchanged):
    with_diracx(exchanged=exchanged)(joined)

    (finding,) = [each for each in about_diracx(joined.examined()) if each.severity == WARNING]

    assert "token" in finding.says
    assert "no job gets its files from DiracX" in finding.remedy


def test_a_vo_that_is_disabled_has_no_diracx(joined):
    with_diracx()(joined)
    whole = joined.text
    joined.text = lambda url: whole(url).replace("DiracX\n{\n", "DiracX\n{\n  DisabledVOs = other, vo\n", 1)

    assert [each.says for each in about_diracx(joined.examined())] == ["the VO has none: everything is asked of DIRAC"]
