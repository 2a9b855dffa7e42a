"""What deploy/ has for other programs, run by them: the chart by Helm, rules and queries by Prometheus."""
