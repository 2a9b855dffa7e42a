"""A hash and a number -> a hash, for loops that look rows up or fingerprint packets."""

from capture.arrays.jit import borrowing_loop as loop


@loop
def mix(value: int, more: int) -> int:
    """Return the hash `value` with `more` mixed in (the multipliers are splitmix64's)."""
    value = (value ^ more) * -4658895280553007687
    value = (value ^ ((value >> 30) & 0x3FFFFFFFF)) * -7723592293110705685
    return value ^ ((value >> 31) & 0x1FFFFFFFF)
