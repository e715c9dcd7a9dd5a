"""`Capture` to a mesh of the air in the room."""
