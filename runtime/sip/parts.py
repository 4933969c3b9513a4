"""What all calls of one bridge share."""

from __future__ import annotations

from dataclasses import dataclass

from appliance.clients.rooms import RoomServer
from appliance.clients.tool_api import ToolApiClient
from appliance.settings import Settings
from runtime.sip.ari import AriClient
from runtime.sip.audiosocket import AudioSocketServer
from runtime.sip.channels import Channels
from runtime.sip.reports import EndedReports, ProgressReports
from runtime.sip.sdk_audio import SdkAudio
from runtime.sip.sounds import Sentences


@dataclass(frozen=True, slots=True)
class Parts:
    """Made once at the start of the bridge."""

    settings: Settings
    ari: AriClient
    rooms: RoomServer
    api: ToolApiClient
    audiosocket: AudioSocketServer
    sdk_audio: SdkAudio
    channels: Channels
    sentences: Sentences
    ended: EndedReports
    progress: ProgressReports
