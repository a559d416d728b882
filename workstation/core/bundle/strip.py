"""What a profile has of its host stays there: a bundle names no file, no share, no open door."""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from workstation.model.profile import Boot, Cdrom, Drive, Network, Profile
from workstation.model.provision import Provision
from workstation.model.usb import kind_of

KERNEL = "carried/vmlinuz"
"""What a profile says of a kernel that travels with its layer."""

INITRD = "carried/initrd"
SMALLEST = 2**20

_OF_THE_HOST = ("private", "bridge", "tap")
"""Networks that lead to other machines of a host."""


class Stripped(NamedTuple):
    profile: Profile
    left_out: tuple[str, ...]
    """What was taken away, in a person's words and without any path."""
    memory: bool
    """Whether the guest's memory can go along."""


def stripped(
    profile: Profile, sizes: Mapping[str, int] | None = None, *, memory: bool = False
) -> Stripped:
    """The profile without what belongs to a host; `sizes` are those of drives without their own,
    in bytes, by drive id.

    `memory`: the guest's is to go along. It goes on only with the devices that it was saved with,
    so it stays where one of those does.
    """
    changed = profile.model_copy(
        update={
            "shares": (),
            "usb": (),
            "boot": _boot(profile.boot),
            "drives": tuple(
                _drive(drive, (sizes or {}).get(f"drive{number}", SMALLEST))
                for number, drive in enumerate(profile.drives)
            ),
            "cdroms": tuple(Cdrom() for _ in profile.cdroms),
            "networks": tuple(_network(network) for network in profile.networks),
            "machine": profile.machine.model_copy(update={"gdb": False}),
            "provision": Provision(user=profile.provision.user),
        }
    )
    plugged = tuple(_plugged(profile))
    left_out = [*plugged, *_of_the_host(profile)]
    if memory and plugged:
        left_out.append(f"its memory, which goes on only with {' and '.join(plugged)}: it boots")
    return Stripped(changed, tuple(left_out), memory and not plugged)


def _plugged(profile: Profile) -> Iterator[str]:
    """Devices of the guest that are gone with what they are of the host."""
    yield from (f"the share “{share.tag}”" for share in profile.shares)
    yield from (f"the USB device {kind_of(one)}" for one in profile.usb)


def _of_the_host(profile: Profile) -> Iterator[str]:
    for number, cdrom in enumerate(profile.cdroms, 1):
        if cdrom.image:
            yield f"the disc in CD drive {number}"
    for forward in (one for network in profile.networks for one in network.forwards):
        if forward.address != "127.0.0.1":
            yield f"that other computers reach port {forward.host}: this one does"
    for network in profile.networks:
        if network.mode in _OF_THE_HOST:
            yield f"that it is on the {network.mode} network “{network.name}”: unplugged"
    if profile.machine.gdb:
        yield "the gdb stub"
    if profile.provision.beyond_user:
        yield "what its system was to be set up with"


def _boot(boot: Boot) -> Boot:
    files = {
        "kernel": KERNEL if boot.kernel else None,
        "initrd": INITRD if boot.initrd else None,
    }
    return boot.model_copy(update=files)


def _drive(drive: Drive, size: int) -> Drive:
    return drive.model_copy(update={"image": None, "size": drive.size or size})


def _network(network: Network) -> Network:
    forwards = tuple(
        forward.model_copy(update={"address": "127.0.0.1"}) for forward in network.forwards
    )
    changed = network.model_copy(update={"forwards": forwards})
    if network.mode in _OF_THE_HOST:
        changed = changed.model_copy(update={"mode": "none", "name": None})
    return changed
