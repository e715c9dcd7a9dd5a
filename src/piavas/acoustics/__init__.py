"""`Scene`, source and listeners to impulse responses."""
