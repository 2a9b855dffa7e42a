"""A number folded into a hash, for loops that look rows up or tell packets apart."""

from capture.arrays.jit import borrowing_loop as loop


@loop
def mix(value: int, more: int) -> int:
    """Fold one number into a hash (the multipliers are splitmix64's)."""
    value = (value ^ more) * -4658895280553007687
    value = (value ^ ((value >> 30) & 0x3FFFFFFFF)) * -7723592293110705685
    return value ^ ((value >> 31) & 0x1FFFFFFFF)
