"""What an agent is told when it is dispatched to a room: which call, and the token that is good for it."""

from __future__ import annotations

from uuid import UUID

from pydantic import Field, ValidationError

from appliance.calls.domain import Attempt
from appliance.errors import InvalidInput
from appliance.wire import WireModel


class DispatchMetadata(WireModel):
    """The metadata of a LiveKit agent dispatch; encoded and decoded here alone."""

    call_id: UUID
    organization_id: UUID
    call_token: str = Field(repr=False)
    attempt: Attempt = 1

    def encode(self) -> str:
        return self.model_dump_json()

    @classmethod
    def decode(cls, metadata: str | bytes) -> DispatchMetadata:
        """InvalidInput when the metadata is not ours; its content is not repeated, as it holds a token."""
        try:
            return cls.model_validate_json(metadata)
        except ValidationError as error:
            raise InvalidInput(
                "The dispatch does not carry a call.",
                remedy="Dispatch agents by the bridge, with the metadata of the admission.",
                field="metadata",
            ) from error
