"""Is a part ready? Each probe asks the part over its own protocol, once, within two seconds.

A probe returns quietly when the part is ready and raises NotReady with the reason when it is not.
"""

from __future__ import annotations

import socket
from collections.abc import Callable

import grpc
import httpx
import psycopg

PROBE_TIMEOUT_SECONDS = 2.0


class NotReady(Exception):  # noqa: N818
    """The part runs perhaps, and does not serve yet; the text says what was seen."""


def http(url: str, *, auth: tuple[str, str] | None = None) -> Callable[[], None]:
    """Ready when GET answers 2xx."""

    def probe() -> None:
        try:
            answer = httpx.get(url, auth=auth, timeout=PROBE_TIMEOUT_SECONDS, trust_env=False)
        except httpx.HTTPError as error:
            raise NotReady(f"{url}: {error or type(error).__name__}") from error
        if not answer.is_success:
            raise NotReady(f"{url}: {answer.status_code} {answer.text[:300]}")

    return probe


def redis(host: str, port: int, password: str) -> Callable[[], None]:
    """Ready when PING is answered, with the password."""

    def probe() -> None:
        try:
            with socket.create_connection((host, port), timeout=PROBE_TIMEOUT_SECONDS) as connection:
                connection.sendall(f"AUTH {password}\r\nPING\r\n".encode())
                answer = b""
                while answer.count(b"\r\n") < 2:
                    part = connection.recv(200)
                    if not part:
                        break
                    answer += part
        except OSError as error:
            raise NotReady(str(error)) from error
        if b"+PONG" not in answer:
            raise NotReady(answer.decode(errors="replace").strip())

    return probe


def postgres(host: str, port: int, user: str, password: str) -> Callable[[], None]:
    """Ready when a query is answered."""

    def probe() -> None:
        try:
            with psycopg.connect(
                host=host,
                port=port,
                user=user,
                password=password,
                dbname="postgres",
                connect_timeout=int(PROBE_TIMEOUT_SECONDS),
            ) as connection:
                connection.execute("SELECT 1")
        except psycopg.Error as error:
            raise NotReady(str(error).strip()) from error

    return probe


def kserve(address: str, *models: str) -> Callable[[], None]:
    """Ready when ModelReady says so of every model.

    The request is `{1: name}` and the answer `{1: true}`: written by hand, so that the stack starts without a
    client library of the inference server.
    """

    def probe() -> None:
        options = [("grpc.enable_http_proxy", 0)]
        with grpc.insecure_channel(address, options=options) as channel:
            call = channel.unary_unary("/inference.GRPCInferenceService/ModelReady")
            for model in models:
                name = model.encode()
                try:
                    answer = call(b"\x0a" + bytes([len(name)]) + name, timeout=PROBE_TIMEOUT_SECONDS)
                except grpc.RpcError as error:
                    raise NotReady(f"{model}: {error}") from error
                if answer != b"\x08\x01":
                    raise NotReady(f"{model} is not loaded yet")

    return probe
