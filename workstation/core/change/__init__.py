"""Changes of a machine's profile: what each does to a guest that runs, and what has to wait."""
