"""Deleting the layers that no machine leads to."""

import shutil
from contextlib import suppress

from workstation.core.inplace import links
from workstation.core.layers import heads
from workstation.core.layers.store import Store
from workstation.core.library import names
from workstation.errors import WorkstationError
from workstation.paths import Paths


def collect(paths: Paths, store: Store, *, dry_run: bool = False, wait: bool = True) -> int:
    """Delete the layers that no machine's history leads to; returns bytes freed.

    Raises InvalidError or NotFoundError, and deletes nothing, where a history or a layer that is
    needed cannot be read: what it leads to is not known then. May take as long as the disk does.
    """
    with store.alone(wait=wait):
        rubbish = _rubbish(paths, store)
        freed = sum(store.taken(layer) for layer in rubbish)
        graves = [] if dry_run else [store.bury(layer) for layer in rubbish]
        if not dry_run:
            links.forget_unused(paths.bundles, paths.layers)
    for grave in graves:
        shutil.rmtree(grave, ignore_errors=True)
    return freed


def _rubbish(paths: Paths, store: Store) -> list[str]:
    roots = [
        root
        for name in names.names(paths)
        for root in heads.roots(heads.read_history(paths.machine(name)))
    ]
    kept = {layer.id for root in roots for layer in store.chain(root)}
    return [layer for layer in store.ids() if layer not in kept]


def collect_quietly(paths: Paths, store: Store) -> None:
    """The same after a move that was cut off: not now, if that cannot be now."""
    with suppress(WorkstationError, OSError):
        collect(paths, store, wait=False)
