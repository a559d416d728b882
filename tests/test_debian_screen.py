"""What only a whole system can show of screen and console: USB, a hardware pointer, the agent."""

import pytest

from tests.test_console_program import window
from tests.test_debian_guest import PATIENCE, Root, debian
from tests.test_screen import ABSOLUTE, KEY, LEFT_BUTTON, Watched, listen, until_event
from workstation.core.guest.agent import talking
from workstation.core.workstation import Workstation
from workstation.ui.screen.pointer import Pointer

pytestmark = [
    pytest.mark.qemu,
    pytest.mark.long,
    pytest.mark.timeout(900),
    pytest.mark.usefixtures("with_debian"),
]

POINTER = """
import ctypes, fcntl, mmap, os, struct, time
card = os.open("/dev/dri/card0", os.O_RDWR)

def call(number, form, *values):
    size = struct.calcsize(form)
    data = bytearray(struct.pack(form, *values))
    fcntl.ioctl(card, 3 << 30 | size << 16 | 0x64 << 8 | number, data)
    return struct.unpack(form, data)

found = (ctypes.c_uint32 * 8)()
address = ctypes.addressof(found)
call(0xA0, "=4Q8I", 0, address, 0, 0, 0, 8, 0, 0, 0, 0, 0, 0)
*_, handle, pitch, size = call(0xB2, "=6IQ", 64, 64, 32, 0, 0, 0, 0)
offset = call(0xB3, "=IIQ", handle, 0, 0)[2]
pixels = mmap.mmap(card, size, offset=offset)
for y in range(64):
    for x in range(64):
        pixels[y * pitch + 4 * x:y * pitch + 4 * x + 4] = (
            bytes((0, 0, 255, 255)) if x < 16 and y < 16 else bytes(4))
call(0xBB, "=IIiiIIIii", 1, found[0], 0, 0, 64, 64, handle, 2, 3)
time.sleep(600)
"""
"""A red square of 16 pixels, its tip at 2, 3, by the kernel's DRM (drm.h and drm_mode.h): what a
desktop does for its pointer."""


WAITING = (
    """sh -c 'trap "echo to""ld" WINCH; echo wai""ting;"""
    """ until [ "$(stty size)" = "19 60" ]; do sleep 0.1; done; echo chan""ged'\r"""
)
"""A program in front, as vi is one: the kernel tells it."""


async def test_a_tablet_on_usb_a_hardware_pointer_and_a_size_that_is_followed(
    station: Workstation, environ: dict[str, str]
) -> None:
    await station.create("one", debian(display={"adapter": "virtio"}))
    await station.start("one")
    await station.wait_ready("one", timeout=PATIENCE)
    async with Root.on(station, "one") as shell, Watched.on(station, "one") as watched:
        assert isinstance(shell, Root)
        await shell.log_in()
        await shell.run("systemctl is-system-running --wait", PATIENCE)
        look = watched.look
        await watched.until(lambda: look.canvas)

        # The tablet is told where, not how far.
        device = await shell.run(
            "cd /sys/class/input; grep -l 'USB Tablet' event*/device/name | cut -d/ -f1"
        )
        assert device.startswith("event")
        await listen(shell, device, "/run/moves")
        look.point(1, 1, 0)
        await watched.until(lambda: look.absolute)
        canvas = look.canvas
        assert canvas
        for x, y, buttons in (
            (canvas.width // 2, canvas.height // 4, 0),
            (canvas.width // 2, canvas.height // 4, 1),
            (canvas.width // 2, canvas.height // 4, 0),
            (canvas.width - 1, canvas.height - 1, 4),
        ):
            look.point(x, y, buttons)
        events = await until_event(shell, "/run/moves", (KEY, LEFT_BUTTON + 1, 1))
        across = [value for kind, axis, value in events if (kind, axis) == (ABSOLUTE, 0)]
        down = [value for kind, axis, value in events if (kind, axis) == (ABSOLUTE, 1)]
        assert across[-2:] == [pytest.approx(0x7FFF / 2, abs=100), pytest.approx(0x7FFF, abs=100)]
        assert down[-2:] == [pytest.approx(0x7FFF / 4, abs=100), pytest.approx(0x7FFF, abs=100)]
        clicks = [value for kind, code, value in events if (kind, code) == (KEY, LEFT_BUTTON)]
        assert clicks == [1, 0]

        # The adapter shows the pointer above the picture; so do we.
        async with talking(station.paths.machine("one")) as agent:
            await agent.execute("guest-exec", path="/usr/bin/python3", arg=["-c", POINTER])
        await watched.until(lambda: look.cursor and look.cursor.width == 64)
        cursor = look.cursor
        assert cursor
        assert (cursor.hot_x, cursor.hot_y) == (2, 3)
        assert cursor.pixels[:4] == bytes((255, 0, 0, 255))
        assert not any(cursor.pixels[4 * 16 : 4 * 64])
        canvas = look.canvas
        assert canvas
        look.point(100, 80, 0)
        below = canvas.pixel(98, 77)
        with Pointer().on(look):
            assert canvas.pixel(98, 77) == canvas.pixel(113, 92) == (255, 0, 0)
            assert canvas.pixel(97, 76) != (255, 0, 0) != canvas.pixel(114, 93)
        assert canvas.pixel(98, 77) == below != (255, 0, 0)

    # In the program: the agent is told the console's size, also when the window changes.
    async with window(environ) as shown:
        shown.press("\r")
        await shown.sees("# ")
        shown.press('until [ "$(stty size)" = "29 90" ]; do sleep 0.1; done; echo kno""wn\r')
        await shown.sees("known")
        shown.press(WAITING)
        await shown.sees("waiting")
        shown.resize(60, 20)
        await shown.sees("told", "changed")
