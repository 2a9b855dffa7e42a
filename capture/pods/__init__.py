"""Pod names, namespaces and labels -> network namespaces and interfaces, from the CRI."""
