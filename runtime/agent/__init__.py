"""The worker: answers calls in rooms, on livekit-agents (docs/architecture.md, Contracts 1 to 4)."""
