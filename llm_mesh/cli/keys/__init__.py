"""`llm-mesh keys`: the keys of callers."""
