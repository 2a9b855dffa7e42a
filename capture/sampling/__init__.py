"""Which of the packets that matched are kept: values, the words for them, and their C."""
