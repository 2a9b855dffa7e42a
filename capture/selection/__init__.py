"""The user's choice of pods -> values that decide for each pod if it is selected; the machine is not read."""
