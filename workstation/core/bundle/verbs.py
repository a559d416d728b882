"""The verbs that carry machines in one file, as the front-ends call them."""

import asyncio
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from workstation.core.bundle import (
    export,
    inspection,
    planning,
    reader,
    receive,
    renew,
    target,
    verify,
)
from workstation.core.bundle.export import Exported, Plan, Wish
from workstation.core.bundle.flatten import flatten
from workstation.core.bundle.importing import AS_IT_IS, Imported, Words, take
from workstation.core.bundle.inspection import Closed, Report
from workstation.core.bundle.keys import Keys
from workstation.core.bundle.origin import may_load
from workstation.core.bundle.planning import Subject
from workstation.core.bundle.reader import Bundle, open_bundle
from workstation.core.bundle.receive import WHAT_CAME
from workstation.core.bundle.work import in_thread
from workstation.core.host import media
from workstation.core.layers.moves import find_layer
from workstation.core.library import library
from workstation.errors import InvalidError
from workstation.model.machine import Definition

if TYPE_CHECKING:
    from workstation.core.workstation import Workstation


class Carry:
    """What can be done with bundles."""

    def __init__(self, station: "Workstation") -> None:
        self._station = station
        self._store = station.layers.store
        self.keys = Keys(station.paths)

    # -- export ---------------------------------------------------------------

    async def export(self, name: str, path: Path, wish: Wish | None = None) -> Exported:
        """A machine into a bundle file, or onto the one that is there: then only what it lacks.

        In a directory the file is the machine's. A running guest is frozen first and goes on in
        milliseconds. At the return the file lasts.
        """
        path = await asyncio.to_thread(target.within, path, name)
        wish = wish or Wish()
        onto = await asyncio.to_thread(
            planning.to_add_to, path, wish, self.keys, self._definition(name),
            self._store.keyring.vault,
        )  # fmt: skip
        with ExitStack() as stack:
            plan = await self._plan(stack, name, wish, onto)
            await asyncio.to_thread(export.check_target, plan, path)
            writing = partial(export.write, plan, path, self.keys.own())
            with self._station.working(f"export {name}", unit="B") as progress:
                if onto is None:
                    work = stack.enter_context(self._store.making())
                    library.note_elsewhere(work, [target.unfinished(path)])
                written, size = await in_thread(writing, progress, plan.size)
        await self._station.digest()
        medium = await asyncio.to_thread(media.medium_of, path)
        return self._exported(plan, path, written, size, medium)

    async def stream(self, name: str, descriptor: int, wish: Wish | None = None) -> Exported:
        """A machine into a pipe."""
        export.check_pipe(descriptor)
        with ExitStack() as stack:
            plan = await self._plan(stack, name, wish or Wish(), None)
            writing = partial(export.stream, plan, descriptor, self.keys.own())
            with self._station.working(f"export {name}", unit="B") as progress:
                written = await in_thread(writing, progress, plan.size)
        await self._station.digest()
        return self._exported(plan, None, written, written, None)

    def _exported(
        self, plan: Plan, path: Path | None, written: int, size: int, medium: media.Medium | None
    ) -> Exported:
        return Exported(
            file=path,
            written=written,
            size=size,
            layers=len(plan.kept) + len(plan.layers),
            added=len(plan.layers),
            memory=plan.machine.resume,
            left_out=plan.left_out,
            fingerprint=self.keys.own_fingerprint(),
            medium=medium.name if medium and medium.removable else "",
        )

    def _definition(self, name: str) -> Definition:
        definition = self._station.machine(name).definition
        if not definition:
            raise InvalidError(
                f"the file of “{name}” has problems", hint=f"workstation edit {name}"
            )
        return definition

    async def _plan(self, stack: ExitStack, name: str, wish: Wish, onto: Bundle | None) -> Plan:
        station, store = self._station, self._store
        planning.check_words(wish, store, name, station.layers.names_of(name))
        subject = await self._subject(name, wish)
        if not wish.flatten:
            plan = await asyncio.to_thread(
                planning.whole, stack, store, self.keys, subject, wish, onto
            )
            return await asyncio.to_thread(planning.locked, plan, wish)
        directory = stack.enter_context(store.making())
        memory = wish.memory and subject.resume and may_load(store, self.keys, subject.top.id)
        facts = await station.host_facts()
        with station.working(f"flatten {name}", unit="B") as progress, store.adding():
            layer = await flatten(
                store, facts, subject.top, directory, progress,
                memory=memory, compress=wish.compress,
            )  # fmt: skip
        plan = planning.flat(stack, store, subject, layer, directory, wish)
        return await asyncio.to_thread(planning.locked, plan, wish)

    async def _subject(self, name: str, wish: Wish) -> Subject:
        """The machine at the moment that is exported; a running one is frozen for it."""
        station = self._station
        machine, definition = station.machine(name), self._definition(name)
        if wish.tag:
            history = station.layers.names_of(name)
            top = find_layer(name, self._store, history, wish.tag)
            profile = top.profile.model_copy(update={"name": name})
            definition = definition.model_copy(update={"profile": profile})
            return Subject(name, definition, history, top, True)
        await machine.settled()
        running = machine.pair() is not None
        top = await station.layers.present(name, "exported", memory=wish.memory)
        history = station.layers.names_of(name)
        return Subject(name, definition, history, top, running or bool(history.head.resume))

    # -- looking --------------------------------------------------------------

    async def inspect(
        self, path: Path, *, verify_all: bool = False, passphrase: str = ""
    ) -> Report:
        """What is in a bundle, from whom, and whether it goes on here.

        With `verify_all` every byte is read; raises InvalidError where one is not as it was.
        """
        station = self._station
        bundle = await asyncio.to_thread(self.bundle, path, passphrase)
        await asyncio.to_thread(verify.check_structure, bundle)
        if verify_all:
            with station.working(f"verify {path.name}", unit="B") as progress:
                await in_thread(partial(verify.check_all, bundle), progress, bundle.end)
        facts = await station.host_facts()
        choice = station.accelerator(bundle.manifest.machine.profile, facts)
        found = await inspection.findings(bundle, self._store, self.keys, facts, choice.accelerator)
        return Report(
            path=path,
            size=(await asyncio.to_thread(path.stat)).st_size,
            manifest=bundle.manifest,
            signer=bundle.signer,
            signer_name=self.keys.name_of(bundle.signer),
            trusted=self.keys.trusts(bundle.signer),
            cut_off=bundle.cut_off,
            verified=verify_all,
            in_place=inspection.in_place(bundle.manifest),
            new=inspection.new_bytes(bundle.manifest, self._store),
            findings=tuple(found),
            updates=await asyncio.to_thread(renew.same_machine, station.paths, bundle),
        )

    def closed(self, path: Path) -> Closed:
        """What an encrypted bundle says to whoever has no passphrase; call it in a thread.

        Raises InvalidError where it is no bundle, or a changed one.
        """
        signer = reader.signer_of(path)
        return Closed(
            path=path,
            size=path.stat().st_size,
            identity=reader.id_of(path),
            signer=signer,
            signer_name=self.keys.name_of(signer),
            trusted=self.keys.trusts(signer),
        )

    def bundle(self, path: Path, passphrase: str = "") -> Bundle:
        """A bundle, opened; call it in a thread.

        Raises LockedError for an encrypted one whose key is not at hand (core/bundle/unlocked.py).
        """
        return open_bundle(path, passphrase, self._store.keyring.vault)

    def unlock(self, path: Path, passphrase: str) -> Bundle:
        """The same, and its key is at hand from now on; raises UsageError for another one."""
        bundle = self.bundle(path, passphrase)
        if bundle.vault:
            self._store.keyring.keep(bundle.manifest.id, bundle.vault)
        return bundle

    # -- import ---------------------------------------------------------------

    async def import_file(
        self, path: Path, words: Words = AS_IT_IS, *, passphrase: str = ""
    ) -> Imported:
        """A bundle's machine into the library, each chunk verified as it is copied.

        What holds only what is new brings the machine up to date that has the rest, if that is
        here and no `name` is given; so does any bundle for the machine `into`. Raises UsageError,
        with the amount, where that loses work and `discard` is not said.
        """
        bundle = await asyncio.to_thread(self.bundle, path, passphrase)
        return await take(self._station, bundle, words)

    async def import_stream(
        self, descriptor: int, words: Words = AS_IT_IS, *, passphrase: str = ""
    ) -> Imported:
        """The same from a pipe; of one that is cut off or changed nothing is left."""
        station = self._station
        with library.workplace(station.paths, f"stream-{os.getpid()}") as directory:
            with station.working("receive a bundle", unit="B") as progress:
                receiving = partial(receive.receive, descriptor, directory, passphrase)
                with _of_a_stream():
                    came = await in_thread(receiving, progress)
            with _of_a_stream():
                bundle = await asyncio.to_thread(open_bundle, came.path, passphrase)
            bundle = replace(bundle, called=str(WHAT_CAME))
            return await take(station, bundle, words, came)


@contextmanager
def _of_a_stream() -> Iterator[None]:
    """What is not whole is said of what was sent: nobody has that as a file."""
    try:
        yield
    except InvalidError as error:
        raise InvalidError(
            "what came is no whole bundle: nothing of it is kept",
            hint="send it again; the other end may have said why it stopped",
            details=str(error),
        ) from error
