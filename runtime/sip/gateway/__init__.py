"""The gateway's configuration: trunks and numbers become PJSIP objects and dialplan, and follow changes."""

from runtime.sip.gateway.follow import GatewayConfigurator, run
from runtime.sip.gateway.names import FALLBACK_CONTEXT, REFUSE_CONTEXT, context_name, endpoint_name

__all__ = [
    "FALLBACK_CONTEXT",
    "REFUSE_CONTEXT",
    "GatewayConfigurator",
    "context_name",
    "endpoint_name",
    "run",
]
