"""`python3 -m provisioning.setup`: everything that the box and its tests need, from a bare machine.

Standard library only: it runs before anything is installed.
"""
