"""What a running session tells machines: metrics for Prometheus, health, structured logs."""
