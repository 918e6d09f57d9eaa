"""A fake internet of vendors over real HTTP: an independent witness that shares no code with the dialects."""
