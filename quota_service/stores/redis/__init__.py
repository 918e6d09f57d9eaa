"""The ledger in Redis or Valkey: one script decides, several quota services ask it."""
