"""`graphcore cache`: what the persistent store holds, whether it is whole, and emptying it."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path

import click

from graphcore.cache.store import DiskStore, StoreInfo
from graphcore.cache.tiers import open_store
from graphcore.cli.data_folder import data_folder, data_option
from graphcore.cli.failures import telling_errors
from graphcore.cli.options import installed_nodes, json_option
from graphcore.settings import Settings


@click.group()
def cache() -> None:
    """Look at the results that are kept between runs, check them, clear them."""


def _store(data_dir: Path | None) -> DiskStore:
    return open_store(installed_nodes(), replace(Settings(), data_dir=data_folder(data_dir)))


@cache.command()
@data_option
@json_option
@telling_errors
def info(*, data_dir: Path | None, as_json: bool) -> None:
    """Show where the store is, how full it is, and the seconds that its results stand for."""
    store = _store(data_dir)
    try:
        found = store.info()
    finally:
        store.close()
    if as_json:
        click.echo(json.dumps(asdict(found), indent=2))
    else:
        click.echo("\n".join(_lines(found)))


def _lines(found: StoreInfo) -> list[str]:
    lines = [
        f"folder   {found.path}",
        f"entries  {found.entries}",
        f"size     {found.size / 1e6:.1f} MB of {found.budget / 1e9:.1f} GB",
    ]
    for name, entries, size, seconds in found.types:
        lines.append(f"  {name or '(unknown)':<28} {entries:>6}  {size / 1e6:>9.1f} MB  {seconds:>9.1f} s")
    return lines


@cache.command()
@data_option
@json_option
@telling_errors
def clear(*, data_dir: Path | None, as_json: bool) -> None:
    """Remove every kept result. What earlier runs cost is remembered."""
    store = _store(data_dir)
    try:
        before = store.info()
        store.clear()
    finally:
        store.close()
    if as_json:
        click.echo(json.dumps({"entries": before.entries, "bytes": before.size}))
    else:
        click.echo(f"removed {before.entries} results, {before.size / 1e6:.1f} MB")


@cache.command()
@data_option
@json_option
@telling_errors
def verify(*, data_dir: Path | None, as_json: bool) -> int:
    """Read every kept result and check its digest; damaged ones are removed. Exit code 1 if there were any."""
    store = _store(data_dir)
    try:
        check = store.verify()
    finally:
        store.close()
    if as_json:
        click.echo(json.dumps(asdict(check), indent=2))
    else:
        click.echo(
            f"{check.good} good, {len(check.damaged)} damaged (removed), "
            f"{check.unlisted} unlisted (listed again), {check.missing} missing (forgotten)"
        )
    return 1 if check.damaged else 0
