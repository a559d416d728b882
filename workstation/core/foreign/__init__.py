"""Other programs' formats: machines and disks that come from them, and that go to them.

    verbs.py        the verbs, as the front-ends call them
    recognise.py    what a file is, by its content
    piece.py        a stretch of a stranger's file, opened once
    headers.py, vmdk.py, whole.py    disk images: harmless? whole?
    package.py, tar.py, manifest.py  OVA and OVF: their files, and whether they are whole
    ovf_read.py, ovf_words.py, libvirt_read.py, quickemu.py    descriptions, to a Described
    described.py, sources.py, unpack.py, limits.py, adopt.py    from that to a machine
    boots.py        how a bare disk boots
    look.py         the same without making anything
    ovf_write.py, libvirt_write.py, send.py, ova.py, landing.py    the other way

Nothing here is imported before it is needed: XML and header libraries take a tenth of a second.
"""
