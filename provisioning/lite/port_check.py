"""Are the ports of a part free? Asked before it is started, so that the answer names who holds one."""

from __future__ import annotations

import errno
import socket

import psutil

from appliance.errors import Unavailable
from provisioning.lite.part import Part
from provisioning.lite.ports import Ports


def _free(port: int, kind: socket.SocketKind) -> bool:
    with socket.socket(socket.AF_INET, kind) as probe:
        if kind == socket.SOCK_STREAM:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                return False
            raise
    return True


def _holder(port: int) -> str:
    try:
        for connection in psutil.net_connections(kind="inet"):
            if connection.laddr and connection.laddr.port == port and connection.pid:
                name = psutil.Process(connection.pid).name()
                return f"{name} (process {connection.pid})"
    except psutil.Error:
        pass
    return "another program"


def port_free(port: int) -> bool:
    return _free(port, socket.SOCK_STREAM) and _free(port, socket.SOCK_DGRAM)


def require_free(ports: Ports, part: Part) -> None:
    """Raises Unavailable with who holds the port and what to do."""
    for name in part.listens:
        if not port_free(ports[name]):
            raise Unavailable(
                f"Port {ports[name]} of {part.name} is held by {_holder(ports[name])}.",
                remedy="End that program, or choose other ports by TRUNKLINE_PORT_BASE.",
            )
