"""One file per verb: strings the pure core and the edge together and returns a value that a view shows."""
