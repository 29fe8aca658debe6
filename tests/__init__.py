"""The tests of ddhelm; a package, so that `python -m tests.sandbox` works from the checkout."""
