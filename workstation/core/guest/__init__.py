"""What is done in a running guest: through its agent, and through ssh.

verbs.py     the verbs, as the front-ends call them
facts.py     what the guest says of itself        run.py    commands
files.py     files in and out                      wait.py   until it can be worked with
still.py     its file systems, for a snapshot of the disks
hosts.py     its host keys, and ssh's own files     ports.py  the way in
"""
