"""Make Rucio's tables and its root account, with Rucio's own code; half a minute."""

from pkgutil import resolve_name


def main() -> None:
    """Into the database that RUCIO_CONFIG names."""
    for step in ("build_database", "create_base_vo", "create_root_account"):
        resolve_name(f"rucio.db.sqla.util:{step}")()


if __name__ == "__main__":
    main()
