"""What the mesh knows about vendors, as data, and the typed loader of that data."""
