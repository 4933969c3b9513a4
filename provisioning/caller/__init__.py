"""A small SIP telephone for tests, demo and benchmarks."""

from provisioning.caller.capture import Capture, Packet, Span
from provisioning.caller.leg import CallFailed, Leg
from provisioning.caller.user_agent import SipCaller

__all__ = ["CallFailed", "Capture", "Leg", "Packet", "SipCaller", "Span"]
