"""USB devices of this computer as a profile names them: `VENDOR:PRODUCT`, or with the port of the
guest's controller that they sit in: `VENDOR:PRODUCT@PORT`."""

from collections.abc import Sequence
from typing import Annotated

from pydantic import StringConstraints

from workstation.model.scalars import in_words

PORTS = 4
"""What a qemu-xhci has; what else is plugged in lies behind a slow hub, which takes no stick."""

UsbText = Annotated[
    str,
    StringConstraints(pattern=rf"^[0-9a-f]{{4}}:[0-9a-f]{{4}}(@[1-{PORTS}])?$"),
    in_words("VENDOR:PRODUCT in lower case, as “workstation usb list” prints it: “046d:c52b”"),
]
"""A kind of USB device: its vendor's and its product's number, each 4 hexadecimal digits."""


def kind_of(text: str) -> str:
    """`VENDOR:PRODUCT`."""
    return text.partition("@")[0]


def port_of(text: str) -> str:
    """Empty where it is not chosen yet."""
    return text.partition("@")[2]


def in_ports(wanted: Sequence[str], *, tablet: bool, now: Sequence[str] = ()) -> tuple[str, ...]:
    """Each with its port: that which it sits in `now`, its own, or the first that is free.

    QEMU finds a device's state in a guest's memory by its port, and by itself it chooses another
    one whenever something was pulled out before. One that finds no port has none.
    """
    sits = {kind_of(one): one for one in (*wanted, *now) if port_of(one)}
    found = [sits.get(kind_of(one), one) for one in wanted]
    used = {port_of(one) for one in found}
    free = [str(port) for port in range(1 + tablet, PORTS + 1) if str(port) not in used]
    return tuple(one if port_of(one) or not free else f"{one}@{free.pop(0)}" for one in found)
