"""The controller's HTTP servers against whatever clients do: generated requests, and thousands of connections."""
