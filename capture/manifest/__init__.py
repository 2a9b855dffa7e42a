"""A file that says what to capture (rules, our PacketCapture, Antrea's) -> what is asked for; and our schema."""
