"""One number for all that an answer from memory rests on."""


class Generation:
    """Grows whenever something becomes known that could turn an answer into another.

    What was found in one generation holds to its end, for as long as its times last: so whoever remembers the number
    beside an answer need not look at each part again. The parts that can change are made with it, and end it in the
    one method of theirs that changes them. For the loop's thread.
    """

    __slots__ = ("number",)

    def __init__(self) -> None:
        self.number = 0

    def end(self) -> None:
        """Something has changed."""
        self.number += 1
