"""The notebook's names for models, and the fixed choice."""

from __future__ import annotations

import pytest

from orch_nb.catalog import models
from orch_nb.catalog.models import ModelBook
from orch_nb.catalog.offers import Offer
from orch_nb.catalog.priced_request import PricedRequest
from orch_nb.errors import BadName, BadOption, ModelNotInstalled, NoOffer, UnknownModel, UnknownPrice
from orch_nb.routing.fixed import fixed_route
from orch_nb.schema.messages import Message, ModelRequest

REQUEST = ModelRequest("", (Message("user", "hello"),), max_tokens=100)


@pytest.fixture
def book() -> ModelBook:
    """A book without keys or local model."""
    return ModelBook(environ={})


def test_small_is_the_local_model_when_it_is_there(book):
    """Without it echo answers and says so; installing it takes effect at once."""
    assert book.resolve("small").provider == "echo"
    assert "not installed" in book.resolve("small").note
    book.is_local_installed = lambda: True
    assert (book.resolve("small").model, book.resolve("small").family) == ("smollm2", "smollm2-135m")


def test_names_stand_for_models_and_for_names(book):
    """`set` takes provider/model, another name, or an offer; the notebook's own name is kept."""
    book.set(big="openai/gpt-4o-mini", best="big")
    assert (book.resolve("best").name, book.resolve("best").model) == ("best", "gpt-4o-mini")
    book.set(mine=Offer("x", "m1", "my-server"))
    assert (book.resolve("mine").name, book.resolve("mine").provider) == ("mine", "my-server")
    assert book.names() == ["small", "best", "big", "mine", "smollm2", "echo"]
    assert [offer.name for offer in book.offers()] == book.names()


def test_a_price_follows_its_model_through_an_alias(book):
    """A price set with `add` holds for the names that stand for that name."""
    book.add("mine", "m1", "my-server", price={"input": 1, "output": 2})
    book.set(alias="mine")
    assert book.prices.price(book.resolve("alias")) == book.prices.price(book.resolve("mine"))
    assert book.prices.price(book.resolve("my-server/m1")) is None


def test_a_new_meaning_does_not_inherit_the_old_price(book):
    """A name's own price was of the model that it stood for: another model under this name has its own price or none, also
    through a name that stands for it; the same model named again keeps it."""
    book.add("mine", "m1", "my-server", price={"input": 1, "output": 2})
    book.set(alias="mine")
    book.add("mine", "m1", "my-server", context_tokens=8_000)
    assert book.prices.price(book.resolve("mine")).tiers[0].output == 2
    book.add("mine", "m2", "my-server")
    assert [book.prices.price(book.resolve(name)) for name in ("mine", "alias")] == [None, None]

    book.prices.set("mine", input=3, output=4)
    book.set(mine="openai/gpt-4o-mini")
    assert book.prices.price(book.resolve("mine")).tiers == book.prices.find("openai", "gpt-4o-mini").tiers
    book.add("mine", "m3", "my-server", price={"input": 5, "output": 6})
    assert book.prices.price(book.resolve("mine")).tiers[0].output == 6


def test_a_price_said_before_its_name_holds_for_it(book):
    """A price may be set for a name that comes later; a name that is refused keeps meaning and price."""
    book.prices.set("later", input=1, output=2)
    book.add("later", "m1", "my-server")
    assert book.prices.price(book.resolve("later")).tiers[0].output == 2
    with pytest.raises(UnknownModel):
        book.set(later="opnai/gpt-4o")
    assert book.prices.price(book.resolve("later")).tiers[0].output == 2


def test_unknown_names_get_the_nearest(book):
    """A misspelt name or provider is answered with the one that was meant."""
    with pytest.raises(UnknownModel) as caught:
        book.resolve("smal")
    assert "`small`" in caught.value.hint
    with pytest.raises(UnknownModel) as caught:
        book.set(big="opnai/gpt-4o")
    assert "openai/gpt-4o" in caught.value.hint
    assert "big" not in book.names()


def test_names_in_a_circle_are_refused_and_the_old_meaning_kept(book):
    """A name cannot stand for itself, however long the way round."""
    book.set(a="echo", b="a")
    with pytest.raises(UnknownModel, match="refer to each other"):
        book.set(a="b")
    assert book.resolve("a").provider == "echo"


def test_names_are_identifiers(book):
    """A model's name is checked like every other name."""
    with pytest.raises(BadName):
        book.add("a b", "m", "openai")
    with pytest.raises(BadOption):
        book.add("a", "", "openai")


def test_keys_are_found_by_name_only():
    """Of keys in the environment only the variable's name is told."""
    book = ModelBook(environ={"OPENAI_API_KEY": "sk-secret", "GROQ_API_KEY": ""})
    assert book.keys_found() == {"openai": "OPENAI_API_KEY"}
    assert "sk-secret" not in repr(book.keys_found())


def test_a_new_provider_can_be_named(book):
    """A provider of the user's own takes part in provider/model."""
    with pytest.raises(UnknownModel):
        book.resolve("scripted/x")
    book.know_provider("scripted")
    assert book.resolve("scripted/x").is_free


def test_the_current_book_can_be_replaced(book):
    """Definitions are resolved by the book of the runtime in force."""
    before = models.current()
    try:
        models.use(book)
        assert models.current() is book
    finally:
        models.use(before)


def route_of(book, name, request=REQUEST, **options):
    """The fixed route of a request to the model of this name."""
    offer = book.resolve(name)
    return fixed_route(PricedRequest.of(request, offer, book.prices.price(offer)), **options)


def test_the_fixed_route_says_why_and_what_it_expects(book):
    """The named offer is taken; the route keeps reason, candidates and expected cost."""
    book.set(big="openai/gpt-4o-mini")
    route = route_of(book, "big", has_budget=True)
    data = route.as_data()
    assert data["because"] == "`big` is named by the agent"
    assert data["candidates"][0]["refused"] == ""
    assert 0 < route.expected_usd < 1
    assert data["expected_usd"] == str(route.expected_usd)


def test_an_unknown_price_is_refused_under_a_budget_with_the_way_out(book):
    """Unknown is not free: with a budget it is refused, without one the expectation is None."""
    book.add("mine", "m1", "my-server")
    assert route_of(book, "mine").expected_usd is None
    with pytest.raises(UnknownPrice, match="`mine`") as caught:
        route_of(book, "mine", has_budget=True)
    assert "input=" in caught.value.hint
    book.prices.set("mine", input=0, output=0)
    assert route_of(book, "mine", has_budget=True).expected_usd == 0


def test_an_answer_that_fills_the_window_is_refused(book):
    """`max_tokens` as large as the context leaves no room for a prompt."""
    book.is_local_installed = lambda: True
    with pytest.raises(NoOffer, match="4,096"):
        route_of(book, "small", ModelRequest("", REQUEST.messages, max_tokens=4096))


def test_a_gguf_file_by_its_path_is_a_free_model_of_this_machine(book, tmp_path):
    """The name stands for the file; plans keep the file's name, the path stays with this process; it costs 0."""
    file = tmp_path / "qwen-0.5b.gguf"
    file.write_bytes(b"GGUF")
    book.set(mine=str(file))
    offer = book.resolve("mine")
    assert (offer.provider, offer.model, offer.is_free) == ("local:qwen-0.5b", "qwen-0.5b", True)
    assert str(tmp_path) not in repr(offer.definition())
    assert book.file_of("local:qwen-0.5b") == file
    assert book.prices.price(offer).per_call == 0


def test_a_provider_is_of_this_machine_or_free_by_its_whole_name_never_by_how_it_begins():
    """`local-gateway` and `ollama:hosted` bill like any other."""
    for name in ("local-gateway", "localhost", "ollama:hosted", "echo:far", "vllm2"):
        offer = Offer("m", "m", name)
        assert not offer.is_free
        assert not offer.is_local
    assert Offer("m", "m", "local:mine").is_local
    assert Offer("m", "m", "ollama").is_free


def test_a_gguf_file_that_is_not_there_is_said_at_once(book, tmp_path):
    """Naming a file that does not exist is refused when it is named, and the old meaning of the name stays."""
    book.set(mine="echo")
    with pytest.raises(ModelNotInstalled, match=r"nothing\.gguf` is not there"):
        book.set(mine=str(tmp_path / "nothing.gguf"))
    assert book.resolve("mine").provider == "echo"


@pytest.mark.parametrize("server", ["ollama", "vllm", "llamacpp"])
def test_servers_of_ones_own_cost_nothing_and_need_no_key(book, server):
    """Ollama, vLLM and llama.cpp are known by name, at a price of 0 that needs no declaration, without a key."""
    book.set(mine=f"{server}/some-model")
    assert book.prices.price(book.resolve("mine")).per_call == 0
    assert book.providers()[server] == ""
