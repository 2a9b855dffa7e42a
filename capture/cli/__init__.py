"""Words on a command line -> a spec -> one call. No logic beyond that."""
