"""Raw ring memory -> ordered pcapng blocks. Arrays in, arrays out; never a descriptor or a path."""
