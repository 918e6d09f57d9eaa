"""What people do with the clients they have for Python, unmodified but for base URL and key."""

import pytest
from fixtures.client_programs import scenarios

from tools.real_programs import find

# Each program, and the environment its client is in.
PROGRAMS = {
    "with_openai.py": "clients-python",
    "with_langchain.py": "clients-python",
    "with_pydantic_ai.py": "clients-python",
    "with_llama_index.py": "llama-index-python",
}
DONE = [(program, scenario) for program in PROGRAMS for scenario in scenarios(program)]
pytestmark = pytest.mark.real


def python_of(program):
    """Return the Python that has the client, or skip."""
    python = find(PROGRAMS[program])
    if not python:
        pytest.skip("the client is not installed: make test-real")
    return python


@pytest.mark.parametrize(("program", "scenario"), DONE)
def test_it_does(tell, program, scenario):
    told = tell(python_of(program), program)
    assert not told.wrong[scenario], told.wrong[scenario]


@pytest.mark.parametrize("program", PROGRAMS)
def test_every_reply_and_every_chunk_is_of_the_strict_types_and_has_no_field_they_do_not_know(tell, program):
    told = tell(python_of(program), program)
    assert told.misfits == {}
    assert told.replies > 20
