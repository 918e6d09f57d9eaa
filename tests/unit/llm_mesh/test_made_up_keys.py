"""Keys of the sandbox."""

import re

import pytest
from fixtures.shipped import shipped

from catalog.keys import check_key
from llm_mesh.made_up_keys import made_up_key

FORMS = [
    r"gsk_[A-Za-z0-9]{52}",
    r"AIza[0-9A-Za-z_-]{35}",
    r"sk-(proj-)?[A-Za-z0-9_-]{20,}",
    r"[0-9a-f]{32}",
    r"[0-9a-f]{32}\.[A-Za-z0-9]{16}",
    r"\S{20,}",
    r"[^\s]{8,}",
    r"(xai|pplx)-\w+",
    r"sk-ant-(?:api03|admin01)-[\w-]+AA",
    r"[A-Z]{4}\d{6}",
]


@pytest.mark.parametrize("form", FORMS)
def test_a_made_up_key_has_the_form_it_was_asked_for(form: str) -> None:
    assert re.fullmatch(form, made_up_key(form))


def test_a_form_no_text_is_made_for_is_refused() -> None:
    with pytest.raises(ValueError, match="no made-up key"):
        made_up_key(r"(?!x)x")


@pytest.mark.parametrize("vendor", shipped().vendors.values(), ids=lambda vendor: vendor.id)
def test_every_vendor_of_the_catalogue_gets_a_key_that_counts_as_well_formed(vendor: object) -> None:
    key = made_up_key(vendor.key_format)  # type: ignore[attr-defined]
    assert check_key(vendor, key).state == "ok"  # type: ignore[arg-type]
    assert "sandbox" in key
