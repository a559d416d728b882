"""What a machine is, in lines: what needs attention first, then how to reach it, then the rest."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

from textual.content import Content
from textual.style import Style

from workstation.model.text import safe, safe_line
from workstation.model.units import format_size
from workstation.model.usb import kind_of

if TYPE_CHECKING:
    from workstation.model.machine import Holder, MachineView
    from workstation.model.profile import Drive, Forward, Network, Profile

LABEL = 10
"""Cells of the column of labels."""
SCHEMES = {80: "http", 443: "https", 3000: "http", 8000: "http", 8080: "http", 8443: "https"}
"""What usually answers at a guest's port."""


def facts(view: MachineView, width: int, history: Content | None = None) -> list[Content]:
    """The lines, each at most `width` cells; `history` is its line about the layers."""
    lines: list[Content] = []
    for label, value in _facts(view, history):
        lines += entry_lines(label, value, width)
    return lines


def entry_lines(label: str, value: Content, width: int) -> list[Content]:
    wrapped = value.wrap(max(10, width - LABEL)) if value else [value]
    labels = [label] + [""] * (len(wrapped) - 1)
    return [
        Content.assemble((f"{text:<{LABEL}}", "$text-muted"), line)
        for text, line in zip(labels, wrapped, strict=True)
    ]


def _facts(view: MachineView, history: Content | None) -> Iterator[tuple[str, Content]]:
    yield from _attention(view)
    if history:
        yield "history", history
    profile = view.profile
    yield from _reach(view)
    yield from _guest(view)
    if profile:
        if profile.description:
            yield "about", Content(safe_line(profile.description))
        yield "hardware", Content(_hardware(view, profile))
        for number, drive in enumerate(profile.drives):
            yield "" if number else "drives", Content(_drive(drive))
        for number, network in enumerate(profile.networks):
            yield "" if number else "network", Content(_network(network))
        for share in profile.shares:
            access = "writable" if share.writable else "read only"
            yield "share", Content(safe_line(f"{share.path} as {share.tag}, {access}"))
        for one in profile.usb:
            yield "USB", Content(kind_of(one))
        if profile.tags:
            yield "tags", Content(safe_line(" ".join(f"#{tag}" for tag in profile.tags)))
    if view.based_on:
        yield "made from", Content(safe_line(view.based_on))
    if profile and profile.notes:
        yield "notes", Content(safe(profile.notes.strip()))


def _attention(view: MachineView) -> Iterator[tuple[str, Content]]:
    if view.reason:
        style = "$text-error" if view.panicked or view.state == "crashed" else ""
        yield "why", Content.styled(safe(view.reason.strip(), limit=600), style)
    if view.reads:
        yield "reads in", Content(safe_line(view.reads, limit=200))
    if view.alarm:
        yield "alarm", Content.styled(safe(view.alarm, limit=1000), "bold $text-error")
    if view.problem:
        yield "problem", Content.styled(safe(view.problem.strip(), limit=1000), "$text-warning")
        yield "", Content.assemble(("E", "bold $footer-key-foreground"), " edits its file")
    if view.holder:
        yield "in use", Content.styled(_held(view.holder), "$text-accent")


def _held(holder: Holder) -> str:
    since = time.strftime("%H:%M:%S", time.localtime(holder.since))
    return safe_line(f"{holder.verb} by {holder.front_end} (pid {holder.pid}) since {since}")


def _reach(view: MachineView) -> Iterator[tuple[str, Content]]:
    for number, forward in enumerate(view.forwards):
        yield "" if number else "open", address(forward, view.name)
    if not view.forwards and view.profile:
        planned = [forward for network in view.profile.networks for forward in network.forwards]
        for number, forward in enumerate(planned):
            label = "" if number else "opens"
            yield label, Content.styled(address(forward, view.name).plain, "$text-muted")


def _guest(view: MachineView) -> Iterator[tuple[str, Content]]:
    """What the guest says of itself."""
    if view.unfinished:
        yield "set-up", Content("its first boot has not finished" if view.pid else "when it boots")
    if said := view.guest:
        parts = [said.host_name, said.system, *said.addresses]
        yield "guest", Content(safe_line(" · ".join(part for part in parts if part)))


def address(forward: Forward, name: str) -> Content:
    """How to reach a machine's port from this computer: `http://127.0.0.1:8080 → 80`."""
    place = f"127.0.0.1:{forward.host}"
    shown, link = place, None
    if forward.count > 1:
        shown = f"{forward.protocol} {place}-{forward.host + forward.count - 1}"
    elif forward.protocol == "udp":
        shown = f"udp {place}"
    elif forward.guest == 22:
        shown = f"workstation ssh {name}"
    elif scheme := SCHEMES.get(forward.guest):
        shown = link = f"{scheme}://{place}"
    note = "" if forward.address == "127.0.0.1" else "  ⚠ open to everybody on the network"
    return Content.assemble(
        (shown, Style(link=link, underline=bool(link) or None)),
        (f"  →  {_guest_ports(forward)}", "$text-muted"),
        (note, "$text-warning"),
    )


def _guest_ports(forward: Forward) -> str:
    last = f"-{forward.guest + forward.count - 1}" if forward.count > 1 else ""
    return f"{forward.guest}{last}"


def _hardware(view: MachineView, profile: Profile) -> str:
    count = profile.cpu.count
    accelerator = view.accelerator or profile.machine.accelerator
    parts = [
        f"{count} CPU" + "s" * (count > 1),
        format_size(profile.memory),
        profile.machine.type,
        profile.boot.firmware,
        {"auto": ""}.get(accelerator, accelerator),
        "TPM" if profile.devices.tpm else "",
    ]
    return " · ".join(part for part in parts if part)


def _drive(drive: Drive) -> str:
    size = format_size(drive.size) if drive.size else ""
    parts = [size, drive.bus, f"on {drive.image}" if drive.image else "blank"]
    return safe_line(" · ".join(part for part in parts if part))


def _network(network: Network) -> str:
    ways = {
        "none": "unplugged",
        "private": f"private network {network.name}",
        "bridge": f"on the bridge {network.name}",
        "tap": f"on {network.name}",
        "passt": "through this computer, by passt",
        "user": "cut off from the outside" if network.restrict else "through this computer",
    }
    return safe_line(f"{ways[network.mode]} · {network.model}")
