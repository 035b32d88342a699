"""Make VOs in the database of a Rucio for several, by its own code: `rucio_make_vos.py VO...`.

What is there already is left.
"""

import sys
from pkgutil import resolve_name
from typing import Any


def main(*vos: str) -> None:
    """The root of each VO has the identities of super_root, as Rucio makes it."""
    session_of = resolve_name("rucio.db.sqla.session:db_session")
    kinds = resolve_name("rucio.db.sqla.constants:DatabaseOperationType")
    super_root: Any = resolve_name("rucio.common.types:InternalAccount")("super_root", vo="def")
    with session_of(kinds.READ) as session:
        is_made = resolve_name("rucio.core.account:account_exists")(super_root, session=session)
    if not is_made:
        resolve_name("rucio.db.sqla.util:create_root_account")()
    for vo in vos:
        with session_of(kinds.WRITE) as session:
            if not resolve_name("rucio.core.vo:vo_exists")(vo, session=session):
                resolve_name("rucio.core.vo:add_vo")(
                    vo, f"{vo} of the tests", "nobody@example.invalid", session=session
                )


if __name__ == "__main__":
    main(*sys.argv[1:])
