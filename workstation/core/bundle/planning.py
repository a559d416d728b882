"""Which layers an export takes, and what is refused before anything is written."""

from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

from workstation.core.bundle import anew, arrive, source, target
from workstation.core.bundle.export import Plan, Wish, carried
from workstation.core.bundle.keys import Keys
from workstation.core.bundle.origin import may_load
from workstation.core.bundle.reader import Bundle, Known, open_bundle
from workstation.core.bundle.source import SourceLayer
from workstation.core.bundle.vault import Vault
from workstation.core.layers import digests, heads, moves
from workstation.core.layers.store import Store
from workstation.errors import InvalidError, UsageError
from workstation.model.layer import History, Layer
from workstation.model.machine import Definition
from workstation.qemu import qcow2


class Subject(NamedTuple):
    """The machine at the moment that is exported."""

    name: str
    definition: Definition
    history: History
    top: Layer
    resume: bool
    """Whether it would go on from the memory of that layer."""


def check_words(wish: Wish, store: Store, name: str, history: History) -> None:
    """Raise UsageError or NotFoundError where the words of an export do not go together."""
    if wish.flatten and wish.since:
        raise UsageError("--flatten stands on nothing, and --since on what was before")
    for tag in filter(None, (wish.tag, wish.since)):
        moves.find_layer(name, store, history, tag)


def to_add_to(
    path: Path, wish: Wish, keys: Keys, definition: Definition, known: Known
) -> Bundle | None:
    """The bundle that lies there; None for nothing. Raises UsageError where it is left alone."""
    target.check_directory(path)
    if not path.exists():
        return None
    try:
        bundle = open_bundle(path, wish.passphrase, known)
    except InvalidError as error:
        raise UsageError(
            f"there is a file {path}, and no bundle that could be added to: {error}",
            hint="choose another name, or delete it",
        ) from error
    machine = bundle.manifest.machine
    if machine.uuid != definition.uuid:
        raise UsageError(
            f"{path} holds another machine, “{machine.name}”", hint="choose another name"
        )
    if wish.flatten or wish.compress or wish.since or wish.tag:
        raise UsageError(
            f"{path} is there already: what the machine has and it lacks is added to it, as it is",
            hint="leave --flatten, --compress, --since and --tag out, or choose another name",
        )
    if wish.passphrase and not bundle.vault:
        raise UsageError(
            f"{path} is there already, and not encrypted: nor would be what is added",
            hint="choose another name",
        )
    if not keys.trusts(bundle.signer):
        raise UsageError(
            f"{path} was signed by {bundle.signer}, whom you do not trust, and your signature"
            " would stand for all that is in it",
            hint=f"choose another name, or: workstation trust add {path}",
        )
    return bundle


def whole(
    stack: ExitStack, store: Store, keys: Keys, subject: Subject, wish: Wish, onto: Bundle | None
) -> Plan:
    """A machine with its history, or one point of it; call it in a thread: it may have to read."""
    names = _names(subject, wish)
    with store.adding():  # nothing of it is collected until it is open
        wanted = source.ordered(store, [subject.top.id, *names.values()])
        there = anew.by_source(onto.manifest) if onto else {}
        for layer in wanted:
            if layer.id in there and there[layer.id].layer.id == layer.id:
                arrive.same_as_here(store, there[layer.id])
        base = _base(store, subject, wish)
        for below in base:
            digests.take(store, below)
        layers = tuple(
            source.hold(stack, store, layer, memory=wish.memory and may_load(store, keys, layer.id))
            for layer in wanted
            if layer.id not in there and layer.id not in base
        )
        needed = source.needed(store, [layer for layer in wanted if layer.id in base])
    plan = _plan(store, subject, names, layers, compress=wish.compress)
    if wish.compress or (onto and anew.is_packed(onto.manifest)):
        plan = anew.packed(plan, store, there)
    kept = tuple(there[layer.id] for layer in wanted if layer.id in there)
    if onto:
        plan = plan._replace(kept=kept, identity=onto.manifest.id, end=onto.end, vault=onto.vault)
    return _with_memory(plan._replace(needed=needed))


def flat(
    stack: ExitStack,
    store: Store,
    subject: Subject,
    layer: SourceLayer,
    directory: Path,
    wish: Wish,
) -> Plan:
    """One layer that was made for this, in a directory."""
    held = source.hold_directory(stack, layer.layer, directory)
    tag = wish.tag if wish.tag in subject.history.snapshots else "start"
    moved = subject._replace(top=layer.layer)
    return _with_memory(_plan(store, moved, {tag: layer.layer.id}, (held,), layer.left_out))


def _names(subject: Subject, wish: Wish) -> dict[str, str]:
    if wish.tag:
        return {wish.tag: subject.top.id} if wish.tag in subject.history.snapshots else {}
    return dict(subject.history.snapshots)


def _base(store: Store, subject: Subject, wish: Wish) -> set[str]:
    """The layers that whoever gets the bundle has already."""
    if not wish.since:
        return set()
    layer = moves.find_layer(subject.name, store, subject.history, wish.since)
    return store.reachable([layer.id])


def _plan(
    store: Store,
    subject: Subject,
    names: dict[str, str],
    layers: tuple[SourceLayer, ...],
    left_out: Iterable[str] = (),
    *,
    compress: bool = False,
) -> Plan:
    machine, of_the_machine = carried(subject, names, _sizes(store, subject))
    of_the_layers = [text for layer in layers for text in layer.left_out]
    everything = dict.fromkeys([*of_the_machine, *of_the_layers, *left_out])
    return Plan(machine=machine, layers=layers, left_out=tuple(everything), compress=compress)


def _sizes(store: Store, subject: Subject) -> dict[str, int]:
    """The virtual size of each drive, in bytes."""
    found = {}
    for drive in heads.drive_ids(subject.definition.profile):
        chain = store.disk_files(subject.history.head.layer, drive)
        if chain:
            found[drive] = qcow2.virtual_size(chain[0], chain[0].format)
    return found


def _with_memory(plan: Plan) -> Plan:
    """The machine goes on from memory only where its top layer has some in the bundle."""
    layers = [*(one.layer for one in plan.layers), *(one.layer for one in plan.kept)]
    with_memory = {layer.id for layer in layers if layer.memory}
    resume = plan.machine.resume and plan.machine.top in with_memory
    return plan._replace(machine=plan.machine.model_copy(update={"resume": resume}))


def locked(plan: Plan, wish: Wish) -> Plan:
    """With a passphrase, a new bundle has a key of its own; call it in a thread: scrypt is slow."""
    if not wish.passphrase or plan.end:
        return plan
    vault = Vault.new()
    return plan._replace(vault=vault, lock=vault.locked(wish.passphrase))
