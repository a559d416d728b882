"""Layers whose disks are packed for a bundle are other layers: their files hold other bytes.

So each gets an id of its own there, and the bundle remembers which it was made of. Nothing that a
bundle says of that is believed by whoever opens it: only the library that exports to it again goes
by it, and only where it trusts the signer.
"""

from collections.abc import Mapping

from workstation.core.bundle.export import Plan
from workstation.core.bundle.source import SourceLayer
from workstation.core.layers import heads
from workstation.core.layers.store import Store
from workstation.model.bundle import Manifest, StoredLayer


def by_source(manifest: Manifest) -> dict[str, StoredLayer]:
    """What a bundle has, by the ids of its layers and of those that they were made of."""
    made = {one.made_of: one for one in manifest.layers if one.made_of}
    return made | {one.layer.id: one for one in manifest.layers}


def is_packed(manifest: Manifest) -> bool:
    """Whether what is added to it is to be packed too."""
    return any(one.made_of for one in manifest.layers)


def packed(plan: Plan, store: Store, there: Mapping[str, StoredLayer]) -> Plan:
    """The plan with its layers as others, on what of them is in the bundle already."""
    known = {source: stored.layer.id for source, stored in there.items()}
    known |= {source.layer.id: heads.new_id() for source in plan.layers}
    machine = plan.machine.model_copy(
        update={
            "top": known.get(plan.machine.top, plan.machine.top),
            "snapshots": {
                tag: known.get(layer, layer) for tag, layer in plan.machine.snapshots.items()
            },
        }
    )
    layers = tuple(_other(source, store, known) for source in plan.layers)
    return plan._replace(machine=machine, layers=layers, compress=True, work=store.paths.making)


def _other(source: SourceLayer, store: Store, known: Mapping[str, str]) -> SourceLayer:
    old = source.layer
    layer = old.model_copy(
        update={"id": known[old.id], "parent": known.get(old.parent or "", old.parent)}
    )
    below = {drive for one in store.chain(old.parent) for drive in one.drives}
    return SourceLayer(
        layer, source.files, source.left_out, old.id, frozenset(set(old.drives) - below)
    )
