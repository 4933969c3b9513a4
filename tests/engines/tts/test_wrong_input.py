"""What cannot be meant is refused in words, and the voice goes on speaking."""

from __future__ import annotations

import struct

import grpc
import pytest

from appliance.clients import kserve
from appliance.errors import InvalidInput
from tests.engines.tts.voice_server import VoiceServer

_BOMB = (
    '<?xml version="1.0"?><!DOCTYPE s [<!ENTITY a "ha">'
    + "".join(f'<!ENTITY {chr(98 + n)} "{f"&{chr(97 + n)};" * 20}">' for n in range(9))
    + "]><speak>&j;</speak>"
)


@pytest.mark.parametrize(
    "wrong",
    [
        {"voice": "nobody"},
        {"voice": "../../etc/passwd"},
        {"language": "zz"},
        {"language": "zh"},
        {"speed": 0.1},
        {"speed": 50.0},
    ],
)
async def test_a_voice_language_or_speed_that_it_has_not(server: VoiceServer, wrong: dict[str, str | float]):
    with pytest.raises(InvalidInput):
        await server.say("Good morning.", **wrong)  # pyright: ignore[reportArgumentType]
    assert await server.say("Good morning.")


@pytest.mark.parametrize(
    "text",
    [
        "x" * 5_001,
        "<speak>never closed",
        "<speak>" + "<p>" * 2_000 + "</p>" * 2_000 + "</speak>"[:0],
        _BOMB,
        '<?xml version="1.0"?><!DOCTYPE s SYSTEM "file:///etc/passwd"><speak>hello</speak>',
        "<speak><break time='an hour'/></speak>",
    ],
)
async def test_a_text_that_is_too_long_or_markup_that_is_broken(server: VoiceServer, text: str):
    with pytest.raises(InvalidInput):
        await server.say(text[:8_000])


async def test_a_text_of_another_language_is_spoken_or_refused_but_never_hangs(server: VoiceServer):
    for text in ("Guten Tag, hier ist die Anmeldung.", "Добрый день", "你好", "שלום"):
        try:
            said = str(len(await server.say(text, language="en")))
        except InvalidInput as error:
            said = str(error)
        assert said != "0"
        assert said.isdigit() or "no sound" in said


def _bytes(name: str, raw: bytes) -> kserve.Tensor:
    return kserve.Tensor(name, "BYTES", (1,), struct.pack("<I", len(raw)) + raw)


@pytest.mark.parametrize(
    "inputs",
    [
        [_bytes("TEXT", b"\xff\xfe\xfd")],
        [kserve.Tensor("TEXT", "BYTES", (1,), b"\x00")],
        [kserve.Tensor("TEXT", "FP32", (1,), b"\x00\x00\x00\x00")],
        [kserve.Tensor.of_text("TEXT", "hello"), kserve.Tensor.of_float("SPEED", float("nan"))],
        [kserve.Tensor.of_text("TEXT", "hello"), kserve.Tensor.of_text("COLOUR", "red")],
        [kserve.Tensor.of_text("TEXT", "hello"), kserve.Tensor.of_text("CONTROL", "[1]")],
        [kserve.Tensor.of_text("TEXT", "hello"), kserve.Tensor.of_text("CONTROL", '{"lexicon": {"a": 1}}')],
    ],
)
async def test_tensors_of_a_wrong_form(server: VoiceServer, inputs: list[kserve.Tensor]):
    assert await _code(server, kserve.infer_request("tts", inputs)) is grpc.StatusCode.INVALID_ARGUMENT


async def test_another_model_and_no_contents(server: VoiceServer):
    other = kserve.infer_request("stt", [kserve.Tensor.of_text("TEXT", "hello")])
    assert await _code(server, other) is grpc.StatusCode.INVALID_ARGUMENT
    empty = kserve.infer_request("tts", [kserve.Tensor.of_text("TEXT", "hello")])
    del empty.raw_input_contents[:]
    assert await _code(server, empty) is grpc.StatusCode.INVALID_ARGUMENT


async def _code(server: VoiceServer, request: object) -> grpc.StatusCode:
    async with grpc.aio.insecure_channel(server.address) as channel:
        call = kserve.services.GRPCInferenceServiceStub(channel).ModelStreamInfer(iter([request]), timeout=60)
        try:
            async for _ in call:
                pass
        except grpc.aio.AioRpcError as error:
            return error.code()
    return grpc.StatusCode.OK
