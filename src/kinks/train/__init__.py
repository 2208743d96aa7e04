"""Training loops whose every step is recorded."""
