"""The command line: `app` has the commands, the other modules what a command needs."""
