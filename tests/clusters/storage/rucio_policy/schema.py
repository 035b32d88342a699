"""What names look like: as Rucio's for a single VO."""

from pkgutil import resolve_name

globals().update(vars(resolve_name("rucio.common.schema.generic")))
