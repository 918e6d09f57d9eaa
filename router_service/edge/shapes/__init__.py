"""The shapes of what the edge takes and gives: types for whoever writes them, and the schemas of /openapi.json."""
