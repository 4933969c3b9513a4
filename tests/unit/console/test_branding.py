"""Letters on an organization's colour can be read, whatever colour it chose."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from console.organization.branding import ink_on, luminance


@given(st.integers(0, 0xFFFFFF))
def test_the_letters_on_a_colour_have_the_contrast_of_wcag_aa(number: int) -> None:
    colour = f"{number:06x}"
    darker, lighter = sorted((luminance(colour), luminance(ink_on(colour)[1:])))
    assert (lighter + 0.05) / (darker + 0.05) >= 4.5


def test_known_luminances() -> None:
    assert luminance("ffffff") == 1
    assert luminance("000000") == 0
    assert abs(luminance("777777") - 0.184) < 0.001
