"""Looks at the machine before anything is changed.

Standard library only: it runs before anything is installed.
"""
