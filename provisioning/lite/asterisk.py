"""Asterisk of the lite profile: the SIP gateway, in its own root filesystem.

Several Asterisks share one root. Each has its own folder (`etc run log spool db tls moh`), which its process
sees as `/srv/trunkline`: the command makes a mount namespace of its own, binds the folders there and becomes
Asterisk, so the mounts vanish with the process whatever ends it. Only the standard library is imported at the
top: set-up calls `install_root` before the Python environment exists.
"""

from __future__ import annotations

import base64
import json
import os
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path

from provisioning.lite.asterisk_root import install_root, user_ids

__all__ = ["INSIDE", "Asterisk", "command", "install_root", "is_ready", "write_config"]

INSIDE = "/srv/trunkline"
"""Where an Asterisk sees its own folder."""

_FOLDERS = ("etc", "run", "log", "spool", "db", "keys", "tls", "moh")
# One line: supervisord's configuration holds no other.
_START = " && ".join(
    (
        'mount -t proc proc "$1/proc"',
        'mount --rbind /dev "$1/dev"',
        'mount --bind "$2" "$1/srv/trunkline"',
        'mount --bind "$3" "$1/srv/trunkline/trunks"',
        'mount --bind "$4" "$1/srv/trunkline/sentences"',
        'exec chroot "$1" /usr/sbin/asterisk -f -U asterisk -G asterisk -C /srv/trunkline/etc/asterisk.conf',
    )
)


@dataclass(frozen=True, kw_only=True)
class Asterisk:
    """One Asterisk: its root, its folders, its ports, and who may drive it by ARI (on loopback)."""

    root: Path
    directory: Path
    trunks_dir: Path
    """The bridge writes `pjsip_trunks.conf` and `extensions_trunks.conf` here."""
    sentences_dir: Path
    sip_port: int
    tls_port: int
    ari_port: int
    rtp_first: int
    rtp_last: int
    ari_user: str
    ari_password: str
    ari_app: str
    bind_address: str = "127.0.0.1"
    external_address: str = "127.0.0.1"
    language: str = "en"

    def make_folders(self) -> None:
        """Makes the folders that the process needs; those it writes to belong to its user."""
        uid, gid = user_ids(self.root)
        for name in _FOLDERS:
            folder = self.directory / name
            folder.mkdir(parents=True, exist_ok=True)
            os.chown(folder, uid if name in {"run", "log", "spool", "db"} else 0, gid)
            folder.chmod(0o2750)
        for name in ("trunks", "sentences"):
            (self.directory / name).mkdir(exist_ok=True)
        self.directory.chmod(0o755)
        self.sentences_dir.mkdir(parents=True, exist_ok=True)
        # The set-group-id bit gives what the bridge writes to the group by which Asterisk reads.
        self.trunks_dir.mkdir(parents=True, exist_ok=True)
        os.chown(self.trunks_dir, -1, gid)
        self.trunks_dir.chmod(0o2750)


def command(asterisk: Asterisk) -> list[str]:
    """The command that becomes this Asterisk, in the foreground under the same process id. Root only."""
    folders = (asterisk.root, asterisk.directory, asterisk.trunks_dir, asterisk.sentences_dir)
    unshare = ["unshare", "--mount", "--propagation", "private"]
    return [*unshare, "sh", "-c", _START, "asterisk", *(str(folder.resolve()) for folder in folders)]


def is_ready(asterisk: Asterisk) -> bool:
    """Whether ARI answers, asked once within 2 s; never raises."""
    login = base64.b64encode(f"{asterisk.ari_user}:{asterisk.ari_password}".encode()).decode()
    request = urllib.request.Request(
        f"http://127.0.0.1:{asterisk.ari_port}/ari/asterisk/info?only=status",
        headers={"Authorization": f"Basic {login}"},
    )
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=2) as answer:
            return "status" in json.load(answer)
    except (OSError, ValueError, urllib.error.URLError):
        return False


def write_config(asterisk: Asterisk) -> None:
    """Writes the whole static configuration; safe to repeat, also while this Asterisk runs."""
    from provisioning.lite.asterisk_config import write_files

    write_files(asterisk)
