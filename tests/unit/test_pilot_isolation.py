"""The pilot's log says in a sentence what keeps payloads apart."""

import pytest

from pilot.node.isolation import sentence


@pytest.mark.parametrize(
    ("ce_type", "is_root", "said"),
    [
        ("Pool/Bubblewrap", True, "another account's processes in containers"),
        ("Singularity", False, "processes of the pilot's account in containers"),
        ("Pool", True, "root's plain processes, which may do all that root may"),
        ("InProcess", False, "plain processes of the pilot's account"),
        ("SSH", True, "run where SSH starts them"),
    ],
)
def test_isolation_is_told_by_type_of_ce_and_account(ce_type, is_root, said):
    assert said in sentence(ce_type, is_root=is_root)
