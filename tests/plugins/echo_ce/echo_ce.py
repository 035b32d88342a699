"""The example of a computing element in a distribution of its own, as it is installed: a type Echo."""

from ce_backends.cli.template_ce import TemplateCE as EchoCE

__all__ = ["EchoCE"]
