"""Raw ring memory -> ordered pcapng blocks. Functions take and return arrays, never a descriptor or a path."""
