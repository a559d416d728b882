"""What is asked of this computer: its media, its USB devices, room in memory, what it lacks."""
