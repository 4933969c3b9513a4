"""The lite profile: every part of the box as a process on one machine, under a supervisor."""
