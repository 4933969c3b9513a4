"""How a support bundle is written: a .tar.gz with a manifest. Whatever goes in passes the redactor.

What could not be read is named in the manifest with the reason; nothing makes the whole fail. The size is
bounded: LOG_BYTES of each log, MOST_LOGS logs.
"""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path
from typing import IO, Any

import yaml

from appliance.box import support_facts
from appliance.box.redaction import Redactor, secret_values
from appliance.errors import TrunklineError
from appliance.settings import Settings, load_settings

FORMAT = 1
_ABOUT = """\
Support bundle of a Trunkline box, made {at} by {by}.

manifest.json   every file with its SHA-256, and what could not be read, with the reason
versions.json   of every part
health.json     of every part, as the console's Box page shows it
settings.json   every secret is replaced by [secret]; of a secret's file: its place, and whether it is there
database.json   revision of the schema, tables with their number of rows; no rows
machine.json    disk, memory, load
log/            the last {kib} KiB of each part's log; cut at whole lines
and, when it was made on the command line, doctor.json: what `appliance doctor` says.

The logs of a box hold no personal data by design: identifiers, states and times, no telephone numbers, names
or words of callers. As a second guard, what looks like a telephone number or an e-mail address was replaced,
and so was every secret of the box, wherever it stood. The settings tell addresses and names of machines of
your network: look through the files before you pass them on.
"""


@dataclass(frozen=True)
class Sources:
    """Where to look. `settings` None: they could not be read, for the `problem`; then `tree` is what YAML
    made of the file, if anything. `further` are documents that only the asker can make."""

    settings: Settings | None
    made_by: str
    problem: str = ""
    tree: Any = None
    log_dirs: Sequence[Path] = ()
    further_logs: Sequence[Path] = ()
    secret_dirs: Sequence[Path] = ()
    further: Mapping[str, Callable[[], Any]] = field(default_factory=dict[str, Callable[[], Any]])

    @classmethod
    def of(cls, settings: Settings, made_by: str) -> Sources:
        """Of a running part, which can reach what its settings name."""
        logs = settings.telemetry.log_dir
        return cls(settings, made_by, log_dirs=() if logs is None else (logs,))

    @classmethod
    def of_file(cls, file: Path, made_by: str, **more: Any) -> Sources:
        """Of a settings file, whole or not."""
        try:
            return cls(load_settings(file), made_by, **more)
        except TrunklineError as error:
            problem = str(error)
        try:
            tree = yaml.safe_load(file.read_text(encoding="utf-8"))
        except (OSError, ValueError, yaml.YAMLError):
            tree = None
        return cls(None, made_by, problem, tree, **more)


@dataclass(frozen=True)
class Listed:
    """A file of the bundle, in the manifest."""

    name: str
    bytes: int
    sha256: str
    cut: bool = False


@dataclass(frozen=True)
class Manifest:
    format: int
    made_at: str
    made_by: str
    files: list[Listed]
    not_read: dict[str, str]


@dataclass
class Collected:
    """What was asked of the parts: documents by their name, and what did not answer, with the reason."""

    documents: dict[str, Any] = field(default_factory=dict[str, Any])
    not_read: dict[str, str] = field(default_factory=dict[str, str])

    def refuse(self, name: str, error: Exception) -> None:
        told = isinstance(error, TrunklineError) or not str(error)
        self.not_read[name] = (
            str(error) or type(error).__name__ if told else f"{type(error).__name__}: {error}"
        )


def file_name(at: datetime) -> str:
    return f"trunkline-support-{at:%Y%m%dT%H%M%SZ}.tar.gz"


def write(sources: Sources, collected: Collected, target: IO[bytes], at: datetime) -> Manifest:
    tree = sources.tree if sources.settings is None else sources.settings.model_dump(mode="json")
    secrets, unread = secret_values(tree, folders=sources.secret_dirs)
    redactor = Redactor(secrets)
    documents: dict[str, Callable[[], Any]] = {
        name: (lambda content=content: content) for name, content in collected.documents.items()
    }
    documents["machine.json"] = lambda: support_facts.machine(sources.settings)
    documents |= sources.further
    files: list[Listed] = []
    folder = file_name(at).removesuffix(".tar.gz")
    with tarfile.open(fileobj=target, mode="w:gz") as archive:

        def add(name: str, text: str, *, cut: bool = False) -> None:
            data = text.encode("utf-8", "replace")
            member = tarfile.TarInfo(f"{folder}/{name}")
            member.size, member.mode, member.mtime = len(data), 0o600, int(at.timestamp())
            archive.addfile(member, io.BytesIO(data))
            files.append(Listed(name, len(data), hashlib.sha256(data).hexdigest(), cut))

        kib = support_facts.LOG_BYTES // 1024
        add(
            "README.txt",
            _ABOUT.format(at=f"{at:%Y-%m-%d %H:%M:%S} UTC", by=sources.made_by, kib=kib),
        )
        for name, content in documents.items():
            try:
                add(name, _json(redactor.document(content())))
            except Exception as error:  # as above
                collected.refuse(name, error)
        if sources.problem:
            collected.not_read["settings.json"] = sources.problem
        if tree is not None:
            add("settings.json", _json(redactor.tree(tree)))
        for file, reason in unread.items():
            collected.not_read[f"the secret {file}"] = f"{reason}; it was not looked for by its value"
        if sources.settings is None and not secrets:
            collected.not_read["log/"] = "without its secrets nobody can say that the logs hold none"
        else:
            _add_logs(sources, redactor, collected, add)
        not_read = {name: redactor.of_log(reason) for name, reason in collected.not_read.items()}
        manifest = Manifest(FORMAT, at.isoformat(timespec="seconds"), sources.made_by, [*files], not_read)
        add("manifest.json", _json(asdict(manifest)))
    return manifest


def _add_logs(sources: Sources, redactor: Redactor, collected: Collected, add: Callable[..., None]) -> None:
    if not sources.log_dirs:
        collected.not_read["log/"] = "the settings name no folder of logs (telemetry.log_dir)"
    logs: list[Path] = []
    for place in sources.log_dirs:
        try:
            logs += support_facts.logs_of(place)
        except OSError as error:
            collected.refuse(f"log/ of {place}", error)
    logs += [log for log in sources.further_logs if log.is_file()]
    for number, log in enumerate(dict.fromkeys(logs)):
        name = f"log/{log.name}"
        if number >= support_facts.MOST_LOGS:
            collected.not_read[name] = f"there are more than {support_facts.MOST_LOGS} logs"
            continue
        try:
            text, cut = support_facts.ending(log)
            add(name, redactor.of_log(text), cut=cut)
        except OSError as error:
            collected.refuse(name, error)


def _json(content: Any) -> str:
    return json.dumps(content, indent=2, ensure_ascii=False, default=str) + "\n"
