"""The generate-content wire."""
