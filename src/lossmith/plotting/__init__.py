"""Pictures of losses, on matplotlib axes and in the terminal."""
