"""A machine's definition and the host's facts -> QEMU's command line. Pure: no file is touched.

Every option is a fixed word, JSON, or a string of our own making; `docs/profiles.md` says which
key of a profile becomes which of them.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from workstation.errors import HostError
from workstation.model.profile import (
    Accelerator,
    Bus,
    Cache,
    Clock,
    Cpu,
    Display,
    Profile,
    Share,
)
from workstation.model.usb import kind_of, port_of
from workstation.paths import MONITORS
from workstation.qemu import line_log
from workstation.qemu.blockdev import chain
from workstation.qemu.launch import Launch as Launch
from workstation.qemu.launch import boot_index, device
from workstation.qemu.netdev import networks
from workstation.qemu.options import as_json, quoted, switch
from workstation.qemu.secrets import objects

SANDBOX = "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny"

PORTABLE_CPU = "Nehalem-v1"
"""The oldest model of level x86-64-v2, which today's systems ask for: QEMU has no model of that
name, and a newer one would not resume on an older laptop. Without its version it depends on the
machine type: in a microvm it would be the newest, which has features that TCG lacks."""

HYPERV = (
    "hv-relaxed,hv-vapic,hv-spinlocks=0x1fff,hv-vpindex,hv-runtime,hv-synic,hv-stimer,"
    "hv-frequencies,hv-time"
)
"""Enlightenments that all Windows versions since 7 take (QEMU's docs/system/i386/hyperv.rst)."""


def command_line(launch: Launch) -> list[str]:
    """QEMU's argv, the program first."""
    parts = (
        _machine,
        _secrets,
        _firmware,
        _boot,
        _monitors,
        _slots,
        _drives,
        _cdroms,
        networks,
        _shares,
        _display,
        _devices,
        _usb,
        _tpm,
        _debug,
        _incoming,
    )
    return [launch.facts.qemu, *(word for part in parts for word in part(launch))]


def _machine(launch: Launch) -> Iterator[str]:
    profile = launch.profile
    yield from ("-name", f"guest={quoted(launch.paths.name)}")
    yield from ("-nodefaults", "-no-user-config", "-sandbox", SANDBOX, "-msg", "timestamp=on")
    yield from ("-uuid", str(launch.definition.uuid))
    yield from ("-machine", ",".join(_machine_words(launch)), "-accel", launch.accelerator)
    yield from ("-cpu", _cpu_words(profile, launch.accelerator))
    cpu = profile.cpu
    most = "" if cpu.most is None else f"maxcpus={cpu.most},"
    topology = f"sockets={cpu.sockets},cores={cpu.most or cpu.cores},threads={cpu.threads}"
    yield from ("-smp", f"cpus={cpu.count},{most}{topology}")
    yield from ("-m", f"size={profile.memory // 2**20}M")
    if _shared_memory(profile):
        memory = {"qom-type": "memory-backend-memfd", "id": "ram", "share": True}
        yield from ("-object", as_json({**memory, "size": profile.memory}))
    base = "localtime" if profile.clock is Clock.LOCALTIME else "utc"
    yield from ("-rtc", f"base={base}")
    yield from ("-action", "reboot=reset,shutdown=poweroff,panic=pause,watchdog=reset")


def _machine_words(launch: Launch) -> Iterator[str]:
    yield launch.profile.machine.type
    if launch.microvm:
        yield "pcie=on"
        yield "rtc=on"
    else:
        yield "vmport=off"
        secure = launch.firmware is not None and launch.firmware.secure
        yield f"smm={switch(secure)}"
    if launch.firmware:
        yield "pflash0=firmware"
        yield "pflash1=nvram"
    if _shared_memory(launch.profile):
        yield "memory-backend=ram"


def _cpu_words(profile: Profile, accelerator: Accelerator) -> str:
    model = PORTABLE_CPU if profile.cpu.model == Cpu().model else profile.cpu.model
    if model == "host" and accelerator is Accelerator.TCG:
        model = "max"
    enlightened = profile.machine.hyperv and accelerator is Accelerator.KVM
    return f"{model},{HYPERV}" if enlightened else model


def _shared_memory(profile: Profile) -> bool:
    """virtiofsd reads the guest's memory, so it must be shared with it."""
    return any(share.mode == "virtiofs" for share in profile.shares)


def _secrets(launch: Launch) -> Iterator[str]:
    yield from objects(launch.secrets)


def _firmware(launch: Launch) -> Iterator[str]:
    firmware = launch.firmware
    if not firmware:
        return
    code = {"driver": firmware.code_format, "node-name": "firmware", "read-only": True}
    yield from ("-blockdev", as_json({**code, "file": _file(firmware.code)}))
    yield from chain("nvram", launch.nvram, cache=Cache.WRITEBACK, discard=False)
    if firmware.secure:
        # Only code in system management mode may write the variables.
        yield from ("-global", "driver=cfi.pflash01,property=secure,value=on")


def _file(path: str | Path) -> dict[str, object]:
    return {"driver": "file", "filename": str(path), "read-only": True}


def _boot(launch: Launch) -> Iterator[str]:
    boot = launch.profile.boot
    yield from ("-boot", f"menu={switch(boot.menu)},strict=on")
    if launch.kernel:
        yield from ("-kernel", str(launch.kernel))
        if launch.initrd:
            yield from ("-initrd", str(launch.initrd))
        yield from ("-append", boot.command_line)
    if launch.ignition:
        # By this name Ignition looks for it (its “Supported Platforms”, QEMU).
        yield from ("-fw_cfg", f"name=opt/com.coreos/config,file={quoted(launch.ignition)}")


def _listener(launch: Launch, name: str, *words: str) -> tuple[str, str]:
    """A chardev on a socket that listens already, so that clients may connect at once."""
    options = (f"id={name}", f"fd={launch.listeners[name]}", "server=on", "wait=off", *words)
    return "-chardev", ",".join(("socket", *options))


def _monitors(launch: Launch) -> Iterator[str]:
    for number in range(MONITORS):
        name = f"monitor{number}"
        yield from _listener(launch, name)
        yield from _monitor(launch, name)
    if launch.profile.devices.serial:
        log = (f"logfile=/dev/fd/{line_log.DESCRIPTOR}", "logappend=on")
        yield from _listener(launch, "serial", *log)
        if launch.profile.devices.console == "serial":
            yield from ("-serial", "chardev:serial")


def _monitor(launch: Launch, name: str) -> tuple[str, str]:
    if "monitor-qmp" in launch.facts.qemu_knows:
        return "-object", as_json({"qom-type": "monitor-qmp", "id": name, "chardev": name})
    return "-mon", f"chardev={name},mode=control"


def _controllers(profile: Profile) -> Iterator[str]:
    buses = {drive.bus for drive in profile.drives}
    if Bus.SCSI in buses:
        yield from device("virtio-scsi-pci", id="scsi", **queues(profile, "num_queues"))
    if Bus.SATA in buses or profile.cdroms:
        yield from device("ich9-ahci", id="sata")


def _slots(launch: Launch) -> Iterator[str]:
    """A pc can take devices on its one bus; a q35 in ports of their own."""
    if launch.profile.machine.chipset == "q35":
        for number in range(launch.profile.machine.slots):
            place = {"chassis": number + 1, "slot": number + 1}
            yield from device("pcie-root-port", id=f"slot{number}", **place)


def _drives(launch: Launch) -> Iterator[str]:
    profile = launch.profile
    yield from _controllers(profile)
    ports = dict.fromkeys(Bus, 0)
    for number, (drive, files) in enumerate(zip(profile.drives, launch.drives, strict=True)):
        name = f"drive{number}"
        yield from chain(name, files, cache=drive.cache, discard=drive.discard)
        common = disk_properties(profile, number)
        common["bootindex"] = boot_index(profile, "disk", number)
        yield from _disk(drive.bus, ports[drive.bus], name, common)
        ports[drive.bus] += 1


def queues(profile: Profile, key: str) -> dict[str, Any]:
    """By itself QEMU gives a disk a queue for each CPU that is there when it is plugged in: after
    one more CPU its memory would not load into a QEMU that begins with all of them."""
    return {key: profile.cpu.most} if profile.cpu.most else {}


def disk_properties(profile: Profile, number: int) -> dict[str, Any]:
    """What a disk's device has wherever it sits, plugged in before the start or after."""
    drive, name = profile.drives[number], f"drive{number}"
    properties: dict[str, Any] = {
        "id": f"{name}-device",
        "drive": name,
        "write-cache": switch(drive.cache is not Cache.WRITETHROUGH),
    }
    if drive.bus is not Bus.NVME:
        # A full host disk pauses the guest instead of failing its writes.
        properties |= {"werror": "stop", "rerror": "stop"}
    if drive.bus is Bus.VIRTIO:
        properties |= queues(profile, "num-queues")
    if drive.slot is not None:
        properties |= slot_place(profile.machine.chipset, drive.slot)
    return properties


def slot_place(chipset: str, slot: int) -> dict[str, object]:
    """Where a slot is. On a pc, far behind what QEMU places by itself."""
    if chipset == "pc":
        return {"bus": "pci.0", "addr": f"{_FIRST_PC_SLOT + slot:#x}"}
    return {"bus": f"slot{slot}"}


_FIRST_PC_SLOT = 0x18


def _disk(bus: Bus, port: int, name: str, common: dict[str, object]) -> tuple[str, str]:
    placed: dict[Bus, dict[str, Any]] = {
        Bus.VIRTIO: {"driver": "virtio-blk-pci"},
        Bus.SCSI: {"driver": "scsi-hd", "bus": "scsi.0", "lun": port},
        Bus.SATA: {"driver": "ide-hd", "bus": f"sata.{port}"},
        Bus.IDE: {"driver": "ide-hd", "bus": f"ide.{port // 2}", "unit": port % 2},
        Bus.NVME: {"driver": "nvme", "serial": name},
    }
    return device(**{**placed[bus], **common})


def _cdroms(launch: Launch) -> Iterator[str]:
    profile = launch.profile
    first = sum(drive.bus is Bus.SATA for drive in profile.drives)
    for number, disc in enumerate(launch.discs):
        name = f"cdrom{number}"
        if disc:
            yield from ("-blockdev", as_json(disc_node(name, disc)))
        yield from device(
            "ide-cd",
            id=f"{name}-device",
            bus=f"sata.{first + number}",
            drive=name if disc else None,
            bootindex=boot_index(profile, "cdrom", number),
        )


def disc_node(name: str, disc: Path) -> dict[str, Any]:
    """A CD's image as a block node."""
    return {"driver": "raw", "node-name": name, "read-only": True, "file": _file(disc)}


def _shares(launch: Launch) -> Iterator[str]:
    shares = zip(launch.profile.shares, launch.shares, strict=True)
    for number, (share, directory) in enumerate(shares):
        name = f"share{number}"
        if share.mode == "virtiofs":
            socket = quoted(launch.paths.share_socket(name))
            yield from ("-chardev", f"socket,id={name},path={socket}")
            yield from device("vhost-user-fs-pci", chardev=name, tag=share.tag)
        else:
            yield from ("-fsdev", _fsdev(name, share, directory))
            yield from device("virtio-9p-pci", fsdev=name, mount_tag=share.tag)


def _fsdev(name: str, share: Share, directory: Path) -> str:
    # mapped-xattr keeps the guest's owners and modes in attributes, never on the host's files.
    readonly = switch(not share.writable)
    return (
        f"local,id={name},path={quoted(directory)},security_model=mapped-xattr,readonly={readonly}"
    )


def _display(launch: Launch) -> Iterator[str]:
    display = launch.profile.display
    if display.adapter == "none":
        yield from ("-display", "none")
        return
    driver = "VGA" if display.adapter == "std" else "virtio-vga"
    size = {"xres": display.width, "yres": display.height}
    memory = {"vgamem_mb": _video_memory(display)} if display.adapter == "std" else {}
    yield from device(driver, id="video", **size, **memory)
    # “vnc=” is said because a path may hold “=”, which would make its beginning a key.
    # By itself QEMU waits 10 ms after each key, and drops what exceeds 1024 events of its queue,
    # three a key: a text of 200 letters came out as rubbish.
    yield from ("-vnc", f"vnc=unix:{quoted(launch.paths.vnc)},key-delay-ms=2")


def _video_memory(display: Display) -> int:
    """MiB: a power of two (VGA asks for that), 16 at least, with room for the whole screen."""
    needed = display.width * display.height * 4
    return max(16, 1 << ((needed - 1) >> 20).bit_length())


def _devices(launch: Launch) -> Iterator[str]:
    devices = launch.profile.devices
    if devices.usb_tablet or launch.profile.usb:
        yield from device("qemu-xhci", id="usb")
    if devices.usb_tablet:
        yield from device("usb-tablet", id="tablet", bus="usb.0")
    if devices.sound == "hda":
        yield from ("-audiodev", f"{launch.facts.audio},id=audio")
        yield from device("ich9-intel-hda", id="sound")
        yield from device("hda-duplex", audiodev="audio", bus="sound.0")
    if devices.rng:
        source = {"qom-type": "rng-random", "id": "entropy", "filename": "/dev/urandom"}
        yield from ("-object", as_json(source))
        yield from device("virtio-rng-pci", id="rng", rng="entropy")
    with_console = devices.serial and devices.console == "virtio"
    if devices.agent:
        yield from _listener(launch, "agent")
    if devices.agent or with_console:
        yield from device("virtio-serial-pci", id="ports")
    if with_console:
        # Port 0 is the one that a guest takes for a console before it knows the others.
        yield from device("virtconsole", id="console", chardev="serial", nr=0)
    if devices.agent:
        port = "org.qemu.guest_agent.0"
        yield from device("virtserialport", id="agent-port", chardev="agent", name=port)
    if devices.balloon:
        reporting = {"free-page-reporting": True}
        yield from device("virtio-balloon-pci", id="balloon", **reporting)
    if devices.panic:
        yield from device("pvpanic-pci" if launch.microvm else "pvpanic", id="panic")


def _usb(launch: Launch) -> Iterator[str]:
    for one in launch.profile.usb:
        yield from device("usb-host", **usb_properties(one))


def usb_properties(one: str) -> dict[str, Any]:
    """A device of the host, `VENDOR:PRODUCT@PORT`; QEMU takes it whenever it is there."""
    vendor, product = (int(part, 16) for part in kind_of(one).split(":"))
    return {
        "id": f"usb-{vendor:04x}-{product:04x}",
        "bus": "usb.0",
        "port": port_of(one),
        "vendorid": vendor,
        "productid": product,
    }


def _tpm(launch: Launch) -> Iterator[str]:
    if not launch.profile.devices.tpm:
        return
    if not launch.facts.swtpm:
        raise HostError(
            f"“{launch.paths.name}” has a TPM, and swtpm is not installed",
            hint="install the package swtpm, or set devices.tpm to false",
        )
    yield from ("-chardev", f"socket,id=tpm-control,fd={launch.listeners['tpm']}")
    yield from ("-tpmdev", "emulator,id=tpm,chardev=tpm-control")
    yield from device("tpm-crb", tpmdev="tpm")


def _debug(launch: Launch) -> Iterator[str]:
    if launch.profile.machine.gdb:
        path = quoted(launch.paths.gdb)
        yield from ("-chardev", f"socket,id=gdb,path={path},server=on,wait=off")
        yield from ("-gdb", "chardev:gdb")


def _incoming(launch: Launch) -> Iterator[str]:
    if launch.incoming is None:
        return
    yield "-S"
    if "mapped-ram" in launch.facts.qemu_knows:
        yield from ("-add-fd", f"fd={launch.incoming},set=1", "-incoming", "file:/dev/fdset/1")
    else:
        yield from ("-incoming", f"fd:{launch.incoming}")
