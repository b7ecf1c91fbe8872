"""Two visitors: what one may do to the other, on Gradio alone and behind our walls."""

import pytest

from server.attacks import ATTACKS
from server.conftest import Visitor

# What Gradio 6.31 refuses by itself; our walls must not be the ones to open it.
REFUSED_BY_GRADIO = {"have_the_server_fetch_an_address"}


@pytest.mark.parametrize("name", ATTACKS)
def test_it_works_on_gradio_alone(bare_site, name):
    """So that the refusals below mean something."""
    if name in REFUSED_BY_GRADIO:
        pytest.skip("Gradio refuses this by itself")
    with Visitor(bare_site) as anna, Visitor(bare_site) as mallory:
        assert ATTACKS[name](anna, mallory)


@pytest.mark.parametrize("name", ATTACKS)
def test_it_fails_in_open_mode(site, name):
    with Visitor(site) as anna, Visitor(site) as mallory:
        assert not ATTACKS[name](anna, mallory)


@pytest.mark.parametrize("name", ATTACKS)
def test_it_fails_between_signed_in_users(signed_site, name):
    with Visitor(signed_site, "anna") as anna, Visitor(signed_site, "mallory") as mallory:
        assert not ATTACKS[name](anna, mallory)
