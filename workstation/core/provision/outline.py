"""What a machine keeps of its profile's `provision`, and what it gets for it."""

from zlib import crc32

from workstation.errors import InvalidError
from workstation.model.profile import Cdrom, Forward, Network, Profile
from workstation.model.provision import Provision

SSH = 22

FIRST_PORT, PORTS = 22_000, 1000
"""Of this computer, to lead to a guest's port 22: each machine has its own there, by its name, so
that two that start at once do not want the same one, and it is the same the next time."""


def kept(profile: Profile, name: str) -> Profile:
    """The machine's own profile: who logs in, a drive for the disc, a way in for ssh.

    The drive stays when its disc is gone: a guest that is frozen before can go on after.
    """
    provision = profile.provision
    if not provision.asked:
        return profile
    changes: dict[str, object] = {"provision": Provision(user=provision.user)}
    if provision.needs_disc:
        if not profile.room_for_disc:
            raise InvalidError(
                "the disc that sets the system up needs a CD drive, and there is no room for one",
                hint="take away a CD drive or a sata disk of the profile",
            )
        changes["cdroms"] = (*profile.cdroms, Cdrom())
    if provision.answers is None:
        changes["networks"] = with_ssh(profile.networks, name)
    return profile.model_copy(update=changes)


def with_ssh(networks: tuple[Network, ...], name: str) -> tuple[Network, ...]:
    """A port of this computer leads to the guest's port 22, where the profile names none."""
    rules = [rule for network in networks for rule in network.forwards]
    open_ones = [n for n, one in enumerate(networks) if one.mode in ("user", "passt")]
    tcp = {there for rule in rules if rule.protocol == "tcp" for _, there in rule.pairs()}
    if not open_ones or SSH in tcp:
        return networks
    taken = {here for rule in rules for here, _ in rule.pairs()}
    wanted = FIRST_PORT + crc32(name.encode()) % PORTS
    port = next(port for port in range(wanted, 65536) if port not in taken)
    first = networks[open_ones[0]]
    forwards = (*first.forwards, Forward(host=port, guest=SSH))
    changed = first.model_copy(update={"forwards": forwards})
    return tuple(changed if one is first else one for one in networks)
