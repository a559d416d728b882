"""A Workstation without QEMU: its machines live in memory and do as they are told.

    workstation.py    the Workstation; one file each for what else it has: layers.py, carry.py …
    profiles.py, machines.py    what there is on it
    driving.py        the screens on it, driven by a test

`python -m tests.fakes [--machines N] [--empty] [--no-qemu]` opens the screens on it, with live
changes, to look at and to play with.
"""
