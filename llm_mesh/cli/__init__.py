"""The commands of `llm-mesh`, one module each."""
