"""A WMS in one process, for one machine, demos and tests: DIRAC's services over HTTPS, and no more than is needed.

It shares no code with the client (`agents.wms`), so that both cannot agree on a mistake.
"""
