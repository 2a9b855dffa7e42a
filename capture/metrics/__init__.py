"""Accounts of a running capture -> numbers for Prometheus, over HTTP.

Labels are bounded: interfaces up to INTERFACES_MAX, directions, samplers, reasons; never an address or a port. This
room names numbers; counting belongs elsewhere. Needs prometheus-client.
"""
