"""Numbers, their place on disk and their picture."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import psutil

RESULTS = Path(__file__).parent / "results"


def spread(values: Sequence[float]) -> dict[str, float] | None:
    """p50, p95, p99, least, most and count; None without values."""
    if not values:
        return None
    p50, p95, p99 = (round(float(value), 1) for value in np.percentile(values, [50, 95, 99]))
    return {
        "n": len(values),
        "min": round(min(values), 1),
        "p50": p50,
        "p95": p95,
        "p99": p99,
        "max": round(max(values), 1),
    }


def machine() -> dict[str, Any]:
    """The machine in figures; nothing that names it."""
    model = "unknown"
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                model = line.partition(":")[2].strip()
                break
    except OSError:
        pass
    return {
        "cpu": model,
        "cores": os.cpu_count(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "load_average_before": [round(value, 2) for value in os.getloadavg()],
    }


def save(name: str, document: dict[str, Any]) -> Path:
    """`<date>-<name>.json` among the results."""
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{datetime.now(UTC):%Y-%m-%dT%H%M}-{name}.json"
    path.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    return path


def plot(path: Path, document: dict[str, Any]) -> Path:
    """Latency against the number of calls for each kind of engines, and the overhead beside it."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot

    figure, (left, right) = pyplot.subplots(1, 2, figsize=(11, 4.2), constrained_layout=True)
    for engines, colour in (("lite", "tab:blue"), ("fixed", "tab:orange")):
        runs = [run for run in document["runs"] if run["engines"] == engines and run["latency_ms"]]
        calls = [run["calls"] for run in runs]
        for figure_name, style in (("p50", "o-"), ("p95", "s--"), ("p99", "^:")):
            values = [run["latency_ms"][figure_name] for run in runs]
            left.plot(calls, values, style, color=colour, label=f"{engines} {figure_name}")
    left.set(title="Turn latency on the caller's RTP", xlabel="calls at once", ylabel="ms", ylim=(0, None))
    left.grid(alpha=0.3)
    left.legend(fontsize=8)
    runs = [run for run in document["runs"] if run.get("overhead_ms")]
    for figure_name, style in (("p50", "o-"), ("p95", "s--")):
        values = [run["overhead_ms"][figure_name] for run in runs]
        right.plot([run["calls"] for run in runs], values, style, label=f"overhead {figure_name}")
    right.axhline(150, color="tab:red", linewidth=0.8, label="aim for p95 at 10 calls")
    right.set(title="Platform overhead", xlabel="calls at once", ylabel="ms")
    right.grid(alpha=0.3)
    right.legend(fontsize=8)
    picture = path.with_suffix(".png")
    figure.savefig(picture, dpi=110)
    pyplot.close(figure)
    return picture
