"""Django looks here for the commands."""
