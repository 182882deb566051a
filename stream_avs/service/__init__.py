"""Being run by a service manager: readiness, watchdog, and an orderly end."""
