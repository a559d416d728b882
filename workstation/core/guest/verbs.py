"""The verbs on what goes on inside guests, as the front-ends call them."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from workstation.core.guest import facts, files, hosts, ports, run, ssh, wait
from workstation.core.guest.agent import asking
from workstation.core.guest.copying import Copy
from workstation.core.guest.hosts import SUFFIX, Door
from workstation.core.library import names
from workstation.core.provision import firstboot
from workstation.core.provision.firstboot import FirstBoots
from workstation.errors import HostError, NotFoundError, UsageError, WorkstationError
from workstation.model.guest import GuestFacts, Ran
from workstation.model.machine import State

if TYPE_CHECKING:
    from workstation.core.workstation import Workstation


class Guests:
    """The verbs."""

    def __init__(self, station: "Workstation") -> None:
        self._station = station

    def first_boots(self, group: asyncio.TaskGroup) -> FirstBoots:
        """Whoever looks after them, for a front-end that stays."""
        return FirstBoots(self._station.front_end, group)

    async def reached(self) -> None:
        """A machine is reached in another way now: ssh's file says so, where there is one."""
        if self._station.paths.ssh_config.exists():
            await asyncio.to_thread(self.write_ssh_config)

    # -- its set-up -----------------------------------------------------------

    async def look(self, name: str) -> bool:
        """Whether its system is set up; what did that is taken away, if it is."""
        machine = self._station.machine(name)
        await machine.settled()
        return await firstboot.look(machine, self._station.front_end)

    async def forget_setup(self, name: str) -> None:
        """Take away what sets it up, whether or not that has been done."""
        machine = self._station.machine(name)
        if not machine.paths.seed.exists():
            raise NotFoundError(f"“{name}” has nothing to be set up by any more")
        await machine.settled()
        await firstboot.take_away(machine, self._station.front_end)

    # -- its agent --------------------------------------------------------------

    async def facts(self, name: str) -> GuestFacts:
        """What it says of itself; raises WaitTimeoutError where no agent answers."""
        machine = self._station.machine(name)
        async with asking(machine) as agent:
            machine.guest = await facts.facts(agent)
        machine.look()
        return machine.guest

    async def refresh(self, name: str) -> None:
        """Have the view say what the guest says of itself, where it has an agent that does."""
        with suppress(WorkstationError):  # nobody answers, or the machine has just gone
            view = self._station.view(name)
            if view.profile and view.profile.devices.agent and view.state is State.RUNNING:
                await self.facts(name)

    async def run(
        self,
        name: str,
        words: Sequence[str],
        *,
        given: bytes = b"",
        timeout: float | None = None,  # noqa: ASYNC109
    ) -> Ran:
        """Run a program there, and wait for its end."""
        return await run.run(self._station.machine(name), words, given=given, timeout=timeout)

    async def wait_for(
        self,
        name: str,
        what: str,
        *,
        timeout: float = 120.0,  # noqa: ASYNC109
    ) -> None:
        """Until `agent`, `setup`, `port:22`, `text:login:` has come."""
        machine = self._station.machine(name)
        if what == f"port:{ports.SSH}":
            await self._open(name)
        await wait.until(machine, what, timeout, self._station.front_end)

    async def copy(self, copy: Copy) -> None:
        """One file, through the agent."""
        machine = self._station.machine(copy.name)
        if copy.outside.is_dir() and copy.into_guest:
            raise UsageError(
                f"{copy.outside} is a directory: the agent copies files",
                hint=f"workstation ssh {copy.name} must work for that",
            )
        title = f"copy {copy.outside.name or copy.inside}"
        with self._station.working(title, unit="B") as progress:
            done = 0

            def told(count: int) -> None:
                nonlocal done
                done += count
                progress("", done, max(done, size))

            size = _size(copy)
            async with asking(machine) as agent:
                if copy.into_guest:
                    await files.copy_in(agent, copy.outside, copy.target_in, told)
                else:
                    await files.copy_out(agent, copy.inside, copy.target_out, told)

    # -- ssh --------------------------------------------------------------------

    async def door(self, name: str, user: str = "") -> Door:
        """The way in by ssh; a forward is added for it where there is none."""
        await self._open(name)
        return await ssh.door(self._station.machine(name), user)

    async def _open(self, name: str) -> None:
        """A port of this computer leads to the guest's port 22, from now on."""
        machine = self._station.machine(name)
        await machine.settled()
        network = ports.open_network(machine)
        if machine.pair() and network >= 0 and not ports.way_to(machine, ports.SSH):
            rule = f"{ports.free_port()}:{ports.SSH}"
            await self._station.changes.add_forward(name, rule, network)
            await self.reached()

    def forget_host_keys(self, name: str) -> None:
        """The next ones that answer, or that its agent says, are believed."""
        hosts.unpin(names.find(self._station.paths, name))

    async def ssh(
        self, name: str, command: Sequence[str] = (), *, user: str = "", terminal: bool = False
    ) -> int:
        """Run ssh in this terminal; returns its exit code, 255 for its own failures."""
        machine = self._station.machine(name)
        with ssh.options_file(machine, await self.door(name, user)) as config:
            return await _called(ssh.ssh_words(config, name, command, terminal=terminal))

    async def scp(self, copy: Copy, *, user: str = "", recursive: bool = False) -> int:
        """The same with scp."""
        machine = self._station.machine(copy.name)
        far = f"{copy.name}{SUFFIX}:{copy.inside}"
        # As an absolute path it has a “/” before any “:”, so that scp knows it for one of here.
        near = str(Path.cwd() / copy.outside)
        source, target = (near, far) if copy.into_guest else (far, near)
        with ssh.options_file(machine, await self.door(copy.name, user)) as config:
            return await _called(ssh.scp_words(config, source, target, recursive=recursive))

    def write_ssh_config(self) -> list[str]:
        """The file for `Include`; returns the machines that are in it."""
        paths = self._station.paths
        return ssh.write_config(paths, [name for name in names.names(paths) if self._runs(name)])

    def _runs(self, name: str) -> bool:
        try:
            return self._station.machine(name).pair() is not None
        except WorkstationError:
            return False


def _size(copy: Copy) -> int:
    if not copy.into_guest:
        return 0
    try:
        return Path(copy.outside).stat().st_size
    except OSError as error:
        raise HostError(f"{copy.outside} cannot be read: {error.strerror}") from error


async def _called(words: Sequence[str]) -> int:
    """In this terminal, to its end; what is typed there, ctrl+c too, is its own."""
    try:
        process = await asyncio.create_subprocess_exec(*words)
    except OSError as error:
        raise HostError(f"{words[0]} cannot be run: {error.strerror}") from error
    try:
        return await process.wait()
    except asyncio.CancelledError:
        process.terminate()
        await process.wait()
        raise
