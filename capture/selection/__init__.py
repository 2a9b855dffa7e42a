"""Which pods of a node are meant: values and their rules, no look at the machine."""
