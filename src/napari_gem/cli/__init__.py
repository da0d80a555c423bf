"""The command line: `app` has the commands, the other modules what a command needs."""

STOPPED = 130
"""Exit status after Ctrl-C, as shells and typer have it."""
