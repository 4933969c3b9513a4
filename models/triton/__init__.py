"""Triton as a part of the box: its model repository, and the server's start and stop."""
