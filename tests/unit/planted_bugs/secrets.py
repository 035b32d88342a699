"""Bugs of credentials and secrets."""

import os
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

from ce_backends import TaskSpec
from ce_backends.cli.template_ce import TemplateCE
from tests.unit.planted_bugs.marks import Changed, caught_by


@caught_by("credential_is_delivered")
class CredentialForgotten(Changed):
    def changed_task(self, task: TaskSpec) -> TaskSpec:
        return replace(task, credential=None)


class CredentialChanged(TemplateCE):
    def _start(self, task: TaskSpec, directory: Any) -> None:
        if task.credential:
            self.changed_credential(directory.path / "credential")
        super()._start(task, directory)

    def changed_credential(self, path: Path) -> None:
        pass


@caught_by("credential_is_delivered")
class CredentialReadableByAll(CredentialChanged):
    def changed_credential(self, path: Path) -> None:
        path.chmod(0o644)


@caught_by("credential_is_delivered")
class CredentialCut(CredentialChanged):
    def changed_credential(self, path: Path) -> None:
        os.truncate(path, 1024)


@caught_by("credential_is_delivered")
class CredentialAmongTheFiles(CredentialChanged):
    def changed_credential(self, path: Path) -> None:
        shutil.copy(path, path.parent / "work/x509up")


@caught_by("secrets_are_delivered_and_stay")
class SecretsForgotten(Changed):
    def changed_task(self, task: TaskSpec) -> TaskSpec:
        return replace(task, secrets=())


@caught_by("secrets_are_delivered_and_stay")
class OneSecretOnly(Changed):
    def changed_task(self, task: TaskSpec) -> TaskSpec:
        return replace(task, secrets=task.secrets[:1])


@caught_by("secrets_are_delivered_and_stay")
class SecretsInAVariable(Changed):
    def changed_task(self, task: TaskSpec) -> TaskSpec:
        told = " ".join(path.read_bytes().decode("ascii", "ignore").replace("\0", "") for path in task.secrets)
        return replace(task, environment={**task.environment, "SECRETS": told}) if task.secrets else task


class SecretsChanged(TemplateCE):
    def _start(self, task: TaskSpec, directory: Any) -> None:
        for path in (directory.path / "secrets").glob("*"):
            self.changed_secret(path)
        super()._start(task, directory)

    def changed_secret(self, path: Path) -> None:
        pass


@caught_by("secrets_are_delivered_and_stay")
class SecretsReadableByAll(SecretsChanged):
    def changed_secret(self, path: Path) -> None:
        path.chmod(0o644)


@caught_by("secrets_are_delivered_and_stay")
class SecretsAmongTheFiles(SecretsChanged):
    def changed_secret(self, path: Path) -> None:
        shutil.copy(path, path.parents[1] / "work" / path.name)
