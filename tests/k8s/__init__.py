"""A package, so that its fixtures end with it: a namespace that nobody asks any more only costs CPU."""
