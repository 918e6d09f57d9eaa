"""What people do with the openai client, unmodified but for base URL and key."""

import pytest
from fixtures.client_programs import scenarios

from tools.real_programs import find

PYTHON, PROGRAM = find("clients-python") or "", "with_openai.py"
pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(not PYTHON, reason="the client is not installed: make test-real"),
]


@pytest.mark.parametrize("scenario", scenarios(PROGRAM))
def test_it_does(tell, scenario):
    assert not tell(PYTHON, PROGRAM).wrong[scenario], tell(PYTHON, PROGRAM).wrong[scenario]


def test_every_reply_and_every_chunk_is_of_the_strict_types_and_has_no_field_they_do_not_know(tell):
    told = tell(PYTHON, PROGRAM)
    assert told.misfits == {}
    assert told.replies > 20
