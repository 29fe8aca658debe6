"""The conversation of a command: an action's answer, a view, a question, an exit code."""
