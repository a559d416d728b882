"""A new machine's system is set up: what its profile's `provision` says becomes a disc or a file.

outline.py    what of it the machine keeps
supply.py     everything that is read and made when the machine is made
cloud.py      cloud-init's words        disc.py    the disc that they come on
passwords.py  keys.py
seed.py       what lies in the machine's `seed/` until the first boot has finished
firstboot.py  when that is, and that it goes then
"""
