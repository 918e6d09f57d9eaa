"""Programs that keep the project itself: set-up, reports, what the real tests need."""
