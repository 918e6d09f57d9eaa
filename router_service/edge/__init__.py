"""The HTTP face of the router: speaks the chat-completions dialect people's tools already know."""
