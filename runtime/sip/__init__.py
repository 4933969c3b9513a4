"""The bridge between the SIP gateway and the room: it drives Asterisk by ARI and moves each call's audio."""
