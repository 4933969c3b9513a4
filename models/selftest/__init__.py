"""A known sentence is recognised, spoken and answered by the running engines, as was stored."""
