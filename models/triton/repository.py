"""Triton's model repository, written anew at each start from the manifest: nothing in it is kept by hand."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path

from models.opened import OpenedModel
from models.triton.environments import Environments

MODEL = "stt"
DRAIN_FILE = "draining"
"""In the repository's folder, once the server is about to stop: Triton itself waits for open streams, and
tells its models nothing before."""
_SOURCE = Path(__file__).resolve().parents[2]

_CANDIDATES = 4_096
"""Sequences that Triton lets through to the model, which admits or refuses each at once. Were it the limit
of streams, Triton would let the others wait without an answer."""


@dataclass(frozen=True)
class Limits:
    """What the recogniser may take."""

    max_streams: int
    idle_seconds: float = 12.0
    """A stream without any request for so long has lost its client; clients say something every
    second."""
    threads: int = 1
    """Of the processor, for one pass of the model."""


def facts_of(opened: OpenedModel, environments: Environments) -> dict[str, str]:
    """What reports show of the engine: parameter TRUNKLINE of Triton's ModelConfig."""
    return {
        "engine": "nemo",
        "version": environments.version_of("nemo-toolkit"),
        "model": opened.name,
        "sha256": opened.sha256,
    }


def write_repository(
    folder: Path,
    *,
    opened: OpenedModel,
    manifest: Path,
    device: str,
    limits: Limits,
    environments: Environments,
) -> None:
    """Writes `<folder>/models/stt` and `<folder>/backends/python`; what was there before is replaced."""
    shutil.rmtree(folder, ignore_errors=True)
    version = folder / "models" / MODEL / "1"
    version.mkdir(parents=True)
    parameters = {
        "MANIFEST": str(manifest),
        "MODEL": opened.name,
        "DEVICE": device,
        "MAX_STREAMS": str(limits.max_streams),
        "IDLE_SECONDS": str(limits.idle_seconds),
        "THREADS": str(limits.threads),
        "DRAIN_FILE": str(folder / DRAIN_FILE),
        "TRUNKLINE": json.dumps(facts_of(opened, environments)),
    }
    config = version.parent / "config.pbtxt"
    config.write_text(config_text(parameters, idle_seconds=limits.idle_seconds), encoding="utf-8")
    (version / "model.py").write_text(_model_text(environments.speech_packages), encoding="utf-8")
    backend = folder / "backends" / "python"
    backend.mkdir(parents=True)
    for file in environments.python_backend.iterdir():
        if file.is_file() and file.name != environments.stub.name:
            shutil.copy(file, backend)
    shutil.copy(environments.stub, backend)


def config_text(parameters: dict[str, str], *, idle_seconds: float) -> str:
    """The model's configuration in protobuf's text format."""
    idle = round(idle_seconds * 1e6)
    controls = "\n".join(
        f'    {{ name: "{name}" control {{ kind: {kind} {values} }} }}' + ("," if name != "CORRID" else "")
        for name, kind, values in (
            ("START", "CONTROL_SEQUENCE_START", "int32_false_true: [ 0, 1 ]"),
            ("END", "CONTROL_SEQUENCE_END", "int32_false_true: [ 0, 1 ]"),
            ("READY", "CONTROL_SEQUENCE_READY", "int32_false_true: [ 0, 1 ]"),
            ("CORRID", "CONTROL_SEQUENCE_CORRID", "data_type: TYPE_UINT64"),
        )
    )
    stated = "\n".join(
        f"parameters {{ key: {json.dumps(name)} value {{ string_value: {json.dumps(value)} }} }}"
        for name, value in parameters.items()
    )
    return f"""name: "{MODEL}"
backend: "python"
max_batch_size: 0
input [
  {{ name: "AUDIO" data_type: TYPE_INT16 dims: [ -1 ] optional: true }},
  {{ name: "CONTROL" data_type: TYPE_STRING dims: [ 1 ] optional: true }}
]
output [ {{ name: "RESULT" data_type: TYPE_STRING dims: [ 1 ] }} ]
model_transaction_policy {{ decoupled: true }}
sequence_batching {{
  max_sequence_idle_microseconds: {idle}
  oldest {{ max_candidate_sequences: {_CANDIDATES} max_queue_delay_microseconds: 0 }}
  control_input [
{controls}
  ]
}}
instance_group [ {{ count: 1 kind: KIND_CPU }} ]
{stated}
"""


def _model_text(speech_packages: Path) -> str:
    return f'''"""Written by models/triton/repository.py: leads to models/stt/triton_model.py.

The interpreter of the backend is an isolated one and sees the packages of the Python that it was built for,
so the paths are set here; a PYTHONPATH for the whole server would clash with its own packages.
"""

import site
import sys

sys.path = [path for path in sys.path if not path.endswith(("site-packages", "dist-packages"))]
site.addsitedir({str(speech_packages)!r})
sys.path.insert(0, {str(_SOURCE)!r})

from models.stt.triton_model import TritonPythonModel  # noqa: E402, F401
'''
