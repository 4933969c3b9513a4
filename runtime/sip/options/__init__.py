"""The OPTIONS test of a trunk: one question to each of its addresses.

Why one of our own: docs/adr/0196-options-of-our-own.md.
"""

from runtime.sip.options.desk import TestDesk

__all__ = ["TestDesk"]
