"""The one place that sends HTTP requests."""
