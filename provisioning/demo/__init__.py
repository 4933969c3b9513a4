"""`appliance demo`: starts the box, places real calls into it, and shows what came of them."""

from provisioning.demo.run import run

__all__ = ["run"]
