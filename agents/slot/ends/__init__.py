"""When the slot ends: what the batch system, the site's features and the queue say. One module per source."""

from agents.slot.ends.source import Node, SlotEnd, Source
from agents.slot.ends.survey import SOURCES, read_again, survey, waits_for_commands

__all__ = ["SOURCES", "Node", "SlotEnd", "Source", "read_again", "survey", "waits_for_commands"]
