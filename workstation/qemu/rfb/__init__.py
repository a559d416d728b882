"""A client of QEMU's VNC server: what the guest's screen shows, keys and pointer for the guest.

The protocol is RFB 3.8 (RFC 6143) with the extensions that QEMU speaks. The server is not
trusted: a broken or hostile one ends in a MonitorError, in bounded memory and time.
"""
