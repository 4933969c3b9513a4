"""`appliance models`: what can be served, what was added, and what fits where."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn
from rich.table import Table

from appliance.errors import IntegrityError, InvalidInput
from models import manifest as manifests
from models.inventory import load_inventory, read_inventory
from models.placement import Plan, Refusal
from models.placement import plan as make_plan
from models.selftest.command import selftest

app = typer.Typer(no_args_is_help=True, help="Weights and engines: list, verify, add, plan, selftest.")
app.command("selftest")(selftest)
_DEFAULT_MANIFEST = Path("var/models/manifest.yaml")

ManifestOption = Annotated[Path, typer.Option("--manifest", help="The site's manifest of added models.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def _bytes_of(path: Path) -> int:
    if path.is_file():
        return path.stat().st_size
    return sum(file.stat().st_size for file in path.iterdir() if file.is_file()) if path.is_dir() else 0


def _progress() -> Progress:
    return Progress(
        TextColumn("{task.description}"), BarColumn(), DownloadColumn(), console=Console(stderr=True)
    )


@app.command("list")
def list_models(manifest: ManifestOption = _DEFAULT_MANIFEST, as_json: JsonOption = False) -> None:
    """Shows the catalogue, and which of its models the site has added."""
    catalog = manifests.load_catalog()
    added = manifests.load_manifest(manifest)
    rows = [
        {
            "profile": profile.name,
            "role": profile.role,
            "engine": profile.engine,
            "licence": profile.licence.id,
            "commercial": profile.licence.commercial,
            "memory_mib": profile.memory_mib(1),
            "added_as": [model.name for model in added.models if model.profile == profile.name],
        }
        for profile in catalog.values()
    ]
    if as_json:
        typer.echo(json.dumps(rows, indent=2))
        return
    table = Table("model", "role", "engine", "licence", "commercial", "GiB for one call", "added as")
    for row in rows:
        table.add_row(
            str(row["profile"]),
            str(row["role"]),
            str(row["engine"]),
            str(row["licence"]),
            "yes" if row["commercial"] else "no",
            f"{int(str(row['memory_mib'])) / 1024:.1f}",
            ", ".join(map(str, row["added_as"])) or "-",  # pyright: ignore[reportArgumentType]
        )
    Console().print(table)


@app.command()
def add(
    profile: Annotated[str, typer.Argument(help="A name of `appliance models list`.")],
    path: Annotated[Path, typer.Argument(help="File or folder of the weights, on this box.")],
    name: Annotated[str | None, typer.Option(help="Under which name; the profile's, if left out.")] = None,
    allow_non_commercial: Annotated[
        bool, typer.Option("--allow-non-commercial", help="The site answers for the licence.")
    ] = False,
    manifest: ManifestOption = _DEFAULT_MANIFEST,
) -> None:
    """Checks and hashes weights and writes them into the site's manifest. Copies and fetches nothing."""
    catalog = manifests.load_catalog()
    if profile not in catalog:
        raise InvalidInput(f"There is no profile {profile}.", remedy=f"Known: {', '.join(catalog)}.")
    with _progress() as progress:
        task = progress.add_task(f"hashing {path.name}", total=_bytes_of(path))
        changed = manifests.add(
            manifests.load_manifest(manifest),
            catalog[profile],
            path,
            name=name,
            allow_non_commercial=allow_non_commercial,
            on_bytes=lambda count: progress.advance(task, count),
        )
    manifests.save_manifest(manifest, changed)
    added = changed.models[-1]
    typer.echo(f"{added.name}: {len(added.files)} files, {sum(f.size_bytes for f in added.files)} bytes.")


@app.command()
def verify(
    name: Annotated[str | None, typer.Argument(help="One model; all, if left out.")] = None,
    manifest: ManifestOption = _DEFAULT_MANIFEST,
) -> None:
    """Proves that every file is the one that was added. Exit code 1 when one is not."""
    added = manifests.load_manifest(manifest)
    models = [added.named(name)] if name else list(added.models)
    wrong = 0
    with _progress() as progress:
        for model in models:
            task = progress.add_task(model.name, total=sum(file.size_bytes for file in model.files))
            try:
                manifests.verify(model, lambda count, task=task: progress.advance(task, count))
                typer.echo(f"{model.name}: as added")
            except IntegrityError as error:
                wrong += 1
                typer.echo(str(error))
    if not models:
        typer.echo("No model was added yet.")
    raise typer.Exit(1 if wrong else 0)


@app.command()
def measured(
    name: Annotated[str, typer.Argument(help="An added model.")],
    streams: Annotated[int, typer.Option(help="Calls at once that it carried within the budget.", min=1)],
    device: Annotated[str, typer.Option(help="On what, such as 'NVIDIA L4 24 GB'.")],
    memory_mib: Annotated[int, typer.Option(help="What it held on the device then.", min=0)],
    manifest: ManifestOption = _DEFAULT_MANIFEST,
) -> None:
    """Notes in the manifest what a benchmark found (`python -m benchmarks.engines`)."""
    capacity = manifests.Capacity(
        streams=streams, device=device, memory_mib=memory_mib, measured_at=datetime.now(UTC)
    )
    manifests.save_manifest(
        manifest, manifests.with_capacity(manifests.load_manifest(manifest), name, capacity)
    )
    typer.echo(f"{name}: {streams} calls at once on {device}, {memory_mib} MiB.")


@app.command()
def plan(
    models: Annotated[list[str], typer.Argument(help="Profiles to place together.")],
    streams: Annotated[int, typer.Option(help="Calls at once.")] = 8,
    inventory: Annotated[
        Path | None, typer.Option(help="A declared box; this one's GPUs, if left out.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Shows which model would run on which GPU or MIG slice. Exit code 1 when they do not fit."""
    catalog = manifests.load_catalog()
    unknown = [name for name in models if name not in catalog]
    if unknown:
        raise InvalidInput(f"There is no profile {unknown[0]}.", remedy=f"Known: {', '.join(catalog)}.")
    box = load_inventory(inventory) if inventory else read_inventory()
    result = make_plan(box, [catalog[name] for name in models], streams, catalog=list(catalog.values()))
    if as_json:
        typer.echo(json.dumps(result.to_json(), indent=2))
    elif isinstance(result, Plan):
        typer.echo(f"{box.name}: {streams} calls at once fit.")
        _draw(result)
    else:
        typer.echo(f"{box.name}: {streams} calls at once do not fit. {result.sentence}")
        for remedy in result.remedies:
            typer.echo(f"  - {remedy}")
    raise typer.Exit(1 if isinstance(result, Refusal) else 0)


_WIDTH = 50


def _draw(result: Plan) -> None:
    """Each device as a bar: a letter for each model, dots for what is free."""
    for device in result.devices:
        here = [placed for placed in result.placed if placed.device == device.id]
        bar = ""
        for letter, placed in zip("ABCDEFGHIJ", here, strict=False):
            bar += letter * max(1, round(placed.memory_mib / device.usable_mib * _WIDTH))
        used = result.used_mib(device) / 1024
        typer.echo(f"{device.id} {device.name}")
        typer.echo(f"  [{bar[:_WIDTH].ljust(_WIDTH, '.')}] {used:.1f} of {device.usable_mib / 1024:.1f} GiB")
        for letter, placed in zip("ABCDEFGHIJ", here, strict=False):
            typer.echo(f"  {letter} {placed.profile} ({placed.role}) {placed.memory_mib / 1024:.1f} GiB")
