"""The second chat wire of its vendor: content blocks, a plan before tool calls, citations with their places."""
