"""The command line: starts the mesh, asks it, explains it."""
