"""Create the databases from the .sql files in the DIRAC wheel; those that exist are kept."""

import re
import subprocess
from importlib.metadata import distribution
from pathlib import Path

import stack

DATABASES = {
    "JobDB": "WorkloadManagementSystem",
    "JobLoggingDB": "WorkloadManagementSystem",
    "TaskQueueDB": "WorkloadManagementSystem",
    "PilotAgentsDB": "WorkloadManagementSystem",
    "SandboxMetadataDB": "WorkloadManagementSystem",
    "ProxyDB": "FrameworkSystem",
    "ResourceStatusDB": "ResourceStatusSystem",
    "ReqDB": "RequestManagementSystem",
    "AccountingDB": "AccountingSystem",
    "FileCatalogDB": "DataManagementSystem",
}
# what the files say about databases and users is for a database server that others share
FOREIGN = re.compile(r"^\s*(grant|flush|create database|drop database|use)\b[^;]*;", re.IGNORECASE | re.MULTILINE)
# triggers and functions of the files need this while a binary log could exist
PREPARE = """
CREATE USER IF NOT EXISTS 'Dirac'@'localhost' IDENTIFIED BY 'Dirac';
CREATE USER IF NOT EXISTS 'Dirac'@'127.0.0.1' IDENTIFIED BY 'Dirac';
SET GLOBAL log_bin_trust_function_creators = 1;
"""


def sql(text: str, *database: str) -> str:
    """Run statements as the database's root, over its socket."""
    socket = stack.home() / "run" / "mysqld.sock"
    argv = ["mariadb", "--no-defaults", f"--socket={socket}", "--batch", "--skip-column-names", *database]
    return subprocess.run(argv, input=text, text=True, check=True, stdout=subprocess.PIPE).stdout


def create(name: str, system: str) -> None:
    """One database with its tables, all rights on it for DIRAC's user."""
    sql(f"CREATE DATABASE `{name}`")
    for host in ("localhost", "127.0.0.1"):
        sql(f"GRANT ALL ON `{name}`.* TO 'Dirac'@'{host}'")
    tables = Path(str(distribution("DIRAC").locate_file(f"DIRAC/{system}/DB/{name}.sql")))
    sql(FOREIGN.sub("", tables.read_text(encoding="utf-8")), name)


def main() -> None:
    """Make what is missing."""
    there = sql("SHOW DATABASES").split()
    missing = [name for name in DATABASES if name not in there]
    if missing:
        sql(PREPARE)
    for name in missing:
        create(name, DATABASES[name])


if __name__ == "__main__":
    main()
