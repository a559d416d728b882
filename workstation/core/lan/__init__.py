"""Private networks between machines: a hub that lives as long as a cable is in it."""
