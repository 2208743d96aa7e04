"""Types for the parameters cell of a notebook; `int | None`, `list[float]`, `Literal[...]`, `bool` work beside them.

A notebook's cell tagged `parameters` holds annotated assignments only; their values are the laptop's:

    from kinks.pipeline.parameters import Count, Fraction
    inits: Count = 1000
    confidence: Fraction = 0.95

Count is a whole number from 1, Number one from 0; Positive is above 0, Fraction between 0 and 1.
"""

from typing import Annotated

from pydantic import Field

Count = Annotated[int, Field(ge=1)]
Number = Annotated[int, Field(ge=0)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Fraction = Annotated[float, Field(ge=0, le=1)]

__all__ = ["Count", "Fraction", "Number", "Positive"]
