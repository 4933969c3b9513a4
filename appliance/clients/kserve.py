"""KServe v2 inference protocol over gRPC: the messages that Triton and the lite speech server exchange.

Source: https://github.com/kserve/open-inference-protocol (grpc), and Triton's extensions for sequences
(`sequence_id`, `sequence_start`, `sequence_end`) and decoupled models (`triton_final_response`).
The generated messages are those of `tritonclient`; nothing else of it is used, because its asyncio wrapper
hides the call that must be cancelled.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tritonclient.grpc import service_pb2, service_pb2_grpc

from appliance.errors import AtCapacity, InvalidInput, TrunklineError, Unavailable

messages: Any = service_pb2
"""The generated messages; untyped, because the package ships no stubs."""
services: Any = service_pb2_grpc

FINAL_RESPONSE = "triton_final_response"
GRPC_ERRORS = (("triton_grpc_error", "true"),)
"""Metadata that makes Triton end a stream with a gRPC status instead of an error text in a message."""

AT_CAPACITY = "at capacity"
"""In the text of a refusal: everything works and is busy."""

INVALID = "invalid input: "
"""What the text of a refusal begins with when the request was wrong."""

MAX_MESSAGE_BYTES = 16 * 1024 * 1024

_DTYPES: Mapping[str, np.dtype[Any]] = {
    "INT16": np.dtype("<i2"),
    "FP32": np.dtype("<f4"),
    "UINT64": np.dtype("<u8"),
    "BOOL": np.dtype("?"),
}


@dataclass(frozen=True, slots=True)
class Tensor:
    """A named one-dimensional tensor: `data` as on the wire, `datatype` in KServe's words."""

    name: str
    datatype: str
    shape: tuple[int, ...]
    data: bytes

    @classmethod
    def of_pcm(cls, name: str, pcm: bytes) -> Tensor:
        """Signed 16-bit little-endian mono samples."""
        return cls(name, "INT16", (len(pcm) // 2,), pcm)

    @classmethod
    def of_text(cls, name: str, text: str) -> Tensor:
        raw = text.encode("utf-8", "replace")
        return cls(name, "BYTES", (1,), struct.pack("<I", len(raw)) + raw)

    @classmethod
    def of_float(cls, name: str, value: float) -> Tensor:
        return cls(name, "FP32", (1,), struct.pack("<f", value))

    def text(self) -> str:
        """The one string in a BYTES tensor. InvalidInput when it is not one UTF-8 string."""
        if self.datatype != "BYTES" or self.shape != (1,) or len(self.data) < 4:
            raise InvalidInput(f"{self.name} must be BYTES [1].", field=self.name)
        (length,) = struct.unpack_from("<I", self.data)
        if len(self.data) != 4 + length:
            raise InvalidInput(f"{self.name} says {length} bytes and has others.", field=self.name)
        try:
            return self.data[4:].decode("utf-8")
        except UnicodeDecodeError as error:
            raise InvalidInput(f"{self.name} is not UTF-8.", field=self.name) from error

    def number(self) -> float:
        """The one value in an FP32 tensor, finite."""
        values = self.array("FP32")
        if values.shape != (1,) or not np.isfinite(values[0]):
            raise InvalidInput(f"{self.name} must be one finite FP32.", field=self.name)
        return float(values[0])

    def array(self, datatype: str) -> NDArray[Any]:
        """The values, checked against datatype, shape and size."""
        if self.datatype != datatype:
            raise InvalidInput(f"{self.name} must be {datatype}, not {self.datatype}.", field=self.name)
        dtype = _DTYPES[datatype]
        if len(self.shape) != 1 or self.shape[0] < 0:
            raise InvalidInput(f"{self.name} must have one dimension.", field=self.name)
        if self.shape[0] * dtype.itemsize != len(self.data):
            raise InvalidInput(f"{self.name} has {len(self.data)} bytes for {self.shape}.", field=self.name)
        return np.frombuffer(self.data, dtype)


def infer_request(
    model: str, inputs: Sequence[Tensor], parameters: Mapping[str, bool | int | str] | None = None
) -> Any:
    """A ModelInferRequest with raw contents."""
    request = messages.ModelInferRequest(model_name=model)
    for tensor in inputs:
        request.inputs.add(name=tensor.name, datatype=tensor.datatype, shape=tensor.shape)
        request.raw_input_contents.append(tensor.data)
    _set_parameters(request, parameters or {})
    return request


def infer_response(
    model: str, outputs: Sequence[Tensor], parameters: Mapping[str, bool | int | str] | None = None
) -> Any:
    """A ModelStreamInferResponse with raw contents."""
    response = messages.ModelStreamInferResponse()
    inner = response.infer_response
    inner.model_name = model
    inner.model_version = "1"
    for tensor in outputs:
        inner.outputs.add(name=tensor.name, datatype=tensor.datatype, shape=tensor.shape)
        inner.raw_output_contents.append(tensor.data)
    _set_parameters(inner, parameters or {})
    return response


def _set_parameters(message: Any, parameters: Mapping[str, bool | int | str]) -> None:
    for name, value in parameters.items():
        if isinstance(value, bool):
            message.parameters[name].bool_param = value
        elif isinstance(value, int):
            message.parameters[name].int64_param = value
        else:
            message.parameters[name].string_param = value


def input_tensors(request: Any) -> dict[str, Tensor]:
    """The inputs of a ModelInferRequest by name; InvalidInput when raw contents are missing."""
    return _tensors(request.inputs, request.raw_input_contents)


def output_tensors(response: Any) -> dict[str, Tensor]:
    """The outputs of a ModelInferResponse by name."""
    return _tensors(response.outputs, response.raw_output_contents)


def _tensors(described: Any, raw: Any) -> dict[str, Tensor]:
    if len(described) != len(raw):
        raise InvalidInput("Each tensor needs its raw contents.", field="raw_contents")
    return {
        item.name: Tensor(item.name, item.datatype, tuple(item.shape), bytes(data))
        for item, data in zip(described, raw, strict=True)
    }


def parameter(message: Any, name: str) -> bool | int | str | None:
    """One parameter of a request or response, whatever its type; None when absent."""
    if name not in message.parameters:
        return None
    value = message.parameters[name]
    kind = value.WhichOneof("parameter_choice")
    return None if kind is None else getattr(value, kind)


def error_of(status: Any, details: str, *, what: str) -> TrunklineError:
    """The appliance's error for a gRPC status (`grpc.StatusCode`) of a speech server."""
    name = getattr(status, "name", str(status))
    # A model of Triton's python backend cannot answer RESOURCE_EXHAUSTED: it says so in words.
    if name == "RESOURCE_EXHAUSTED" or "maximum queue size" in details or AT_CAPACITY in details:
        return AtCapacity(f"{what} is at capacity.", remedy="Try again in a moment.")
    if name in {"INVALID_ARGUMENT", "OUT_OF_RANGE"}:
        return InvalidInput(f"{what} refused its input: {details}", field="input")
    return Unavailable(f"{what} does not answer ({name}).", remedy="See that the speech server runs.")


def refusal_text(status: Any, words: str) -> str:
    """How a refusal with this gRPC status is told in a message of the stream; see `error_of_message`."""
    name = getattr(status, "name", str(status))
    beginnings = {"RESOURCE_EXHAUSTED": f"{AT_CAPACITY}: ", "INVALID_ARGUMENT": INVALID}
    return f"{beginnings.get(name, '')}{words}"


def error_of_message(text: str, *, what: str) -> TrunklineError:
    """The appliance's error for a refusal that Triton tells in a message of the stream, without a code."""
    if AT_CAPACITY in text or "maximum queue size" in text:
        return AtCapacity(f"{what} is at capacity.", remedy="Try again in a moment.")
    if text.startswith(INVALID) or "inference input" in text:
        return InvalidInput(f"{what} refused its input: {text.removeprefix(INVALID)}", field="input")
    return Unavailable(f"{what} failed: {text}", remedy="See that the speech server runs.")
