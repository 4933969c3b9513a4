"""The widget for web sites: its pages in the console, and what visitors' browsers talk to."""
