"""The wire of the local model server."""
