"""The machines of this host together: their directories, names, index and events."""
