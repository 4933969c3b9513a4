"""`python -m provisioning.identity apply [--directory DIR] [--json]`: the realm, once more.

Exit codes: 0 good, 2 used wrongly, 3 not possible now.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from appliance.cli import exit_code
from appliance.errors import TrunklineError
from provisioning.identity.apply import apply_to_site
from provisioning.lite.box import Box
from provisioning.lite.cache import BOX_DIRECTORY


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m provisioning.identity")
    parser.add_argument("what", choices=["apply"], help="bring Keycloak to the declaration")
    parser.add_argument("--directory", type=Path, default=BOX_DIRECTORY, help="the folder of the box")
    parser.add_argument("--json", action="store_true", help="for programs")
    arguments = parser.parse_args()
    try:
        changes = apply_to_site(Box.open(arguments.directory).site)
    except TrunklineError as error:
        sys.stderr.write(f"identity: {error}\n")
        return exit_code(error)
    if arguments.json:
        sys.stdout.write(json.dumps({"changed": changes}) + "\n")
    else:
        sys.stdout.write("".join(f"changed: {change}\n" for change in changes) or "Nothing to change.\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
