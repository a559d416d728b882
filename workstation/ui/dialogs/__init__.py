"""Questions and answers: each a `ModalScreen`, which Escape dismisses with a value."""
