"""Mobile numbers of Ethiopia."""

import re

MOBILE = r"^(\+251|00251|0)[ .-]?[79]([ .-]?[0-9]){8}$"
"""As people write them."""


def dialled(number: str) -> str:
    """A number that MOBILE fits, as it is dialled there and as Chapa takes it: 09 or 07 and eight digits."""
    return re.sub(r"^(\+|00)251", "0", re.sub(r"[ .-]", "", number))
