"""`llm-mesh ledger`: the operations of the quota service."""
