"""A package, because a library installs one of this name: ours must be found first."""
