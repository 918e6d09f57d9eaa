"""What `llm-mesh vendors check` and `llm-mesh bench` ask through the mesh, and how they judge what comes back."""
