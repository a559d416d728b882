"""Network adapters, and what is at the other end of their cables, as QEMU's options."""

from collections.abc import Iterator

from workstation.model.profile import Forward, Network, Nic
from workstation.qemu.launch import Launch, boot_index, device
from workstation.qemu.options import as_json

_NICS = {
    Nic.VIRTIO: "virtio-net-pci",
    Nic.E1000E: "e1000e",
    Nic.E1000: "e1000",
    Nic.RTL8139: "rtl8139",
}


def networks(launch: Launch) -> Iterator[str]:
    adapters = zip(launch.profile.networks, launch.forwards, strict=True)
    for number, (network, forwards) in enumerate(adapters):
        name = f"net{number}"
        yield from ("-netdev", as_json(_netdev(launch, name, network, forwards)))
        index = boot_index(launch.profile, "network", number)
        yield from device(
            _NICS[network.model],
            id=f"{name}-device",
            netdev=name,
            mac=network.mac,
            bootindex=index,
            # The boot ROM costs time, and it is a file that other hosts may lack.
            romfile="" if index is None else None,
        )


def _netdev(
    launch: Launch, name: str, network: Network, forwards: tuple[Forward, ...]
) -> dict[str, object]:
    if network.mode == "none":
        # A socket to which nobody connects: the guest sees an adapter that nobody answers.
        address = {"type": "unix", "path": str(launch.paths.cable(name))}
        return {"type": "stream", "id": name, "server": True, "addr": address}
    if network.mode in ("private", "passt"):
        plug = {"type": "fd", "str": str(launch.listeners[name])}
        # A private network's hub comes to QEMU: it waits again where that was killed.
        waits = network.mode == "private"
        return {"type": "stream", "id": name, "server": waits, "addr": plug}
    if network.mode in ("bridge", "tap"):
        return {"type": "tap", "id": name, "fd": str(launch.listeners[name])}
    rules = [{"str": rule} for forward in forwards for rule in forward_rules(forward)]
    user: dict[str, object] = {"type": "user", "id": name, "restrict": network.restrict}
    return {**user, "hostfwd": rules} if rules else user


def forward_rules(forward: Forward) -> Iterator[str]:
    """A forward as QEMU takes it, a rule a port: only words and numbers of our own making."""
    for host, guest in forward.pairs():
        yield f"{forward.protocol}:{forward.address}:{host}-:{guest}"
