"""The static configuration of the gateway: what does not follow trunks and numbers.

The bridge writes `pjsip_trunks.conf` and `extensions_trunks.conf` beside it (`runtime/sip/gateway`); the
files here include them. Templates lie in `asterisk_files/`; `$NAME` in them is filled from the plan.
"""

from __future__ import annotations

import os
from pathlib import Path
from string import Template

from provisioning.lite.asterisk import INSIDE, Asterisk
from provisioning.lite.asterisk_certificates import make_certificates
from provisioning.lite.asterisk_root import user_ids
from provisioning.lite.hold_music import write_hold_music

_TEMPLATES = Path(__file__).with_name("asterisk_files")


def write_files(asterisk: Asterisk) -> None:
    """Writes every file that has changed, makes the certificate authority once, and removes nothing.

    Raises OSError, and RootInstallError when the root is not an installed one.
    """
    asterisk.make_folders()
    make_certificates(asterisk.directory / "tls", asterisk.bind_address, asterisk.external_address)
    write_hold_music(asterisk.directory / "moh" / "hold.sln16")
    values = _values(asterisk)
    for template in sorted(_TEMPLATES.glob("*.conf")):
        text = Template(template.read_text(encoding="utf-8")).substitute(values)
        _write(asterisk.directory / "etc" / template.name, text)
    for folder in ("etc", "tls", "moh"):
        _share_with_group(asterisk.directory / folder, user_ids(asterisk.root)[1])


def _values(asterisk: Asterisk) -> dict[str, str]:
    modules = next((asterisk.root / "usr/lib").glob("*/asterisk/modules"))
    outside = asterisk.external_address
    external = ""
    if outside not in {asterisk.bind_address, "127.0.0.1", ""}:
        external = f"external_media_address = {outside}\nexternal_signaling_address = {outside}\n"
    return {
        "INSIDE": INSIDE,
        "MODULES": f"/{modules.relative_to(asterisk.root)}",
        "BIND": asterisk.bind_address,
        "EXTERNAL": external,
        "SIP_PORT": str(asterisk.sip_port),
        "TLS_PORT": str(asterisk.tls_port),
        "ARI_PORT": str(asterisk.ari_port),
        "RTP_FIRST": str(asterisk.rtp_first),
        "RTP_LAST": str(asterisk.rtp_last),
        "ARI_USER": asterisk.ari_user,
        "ARI_PASSWORD": asterisk.ari_password,
        "LANGUAGE": asterisk.language,
    }


def _write(path: Path, text: str) -> None:
    if path.exists() and path.read_text(encoding="utf-8") == text:
        return
    fresh = path.with_name(f".{path.name}.new")
    fresh.unlink(missing_ok=True)
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o640)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
    fresh.replace(path)


def _share_with_group(folder: Path, gid: int) -> None:
    """Asterisk's user reads its configuration and its key by group, and writes neither."""
    for path in folder.iterdir():
        if path.is_file():
            os.chown(path, -1, gid)
            path.chmod(0o640)
