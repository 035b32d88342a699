"""The policy package of the VOs of a Rucio for several: what Rucio has by itself for a single one.

Rucio's own default for several VOs takes everything up to the last slash of a name for its scope, and DIRAC's names are
paths: an installation with both has a package like this one.
"""
