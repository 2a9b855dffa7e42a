"""What passes the interfaces, and what is asked -> what a capture would write and cost, and if the disk holds it."""
