"""Our engines behind the base classes of livekit-agents."""
