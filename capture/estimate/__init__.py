"""The load of interfaces and a request -> the size and cost of a capture, and warnings if the disk is too small."""
