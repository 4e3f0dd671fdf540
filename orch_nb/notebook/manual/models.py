"""`%orch help models`: names of models, providers, keys and prices."""

from __future__ import annotations

from orch_nb.catalog.models import DEFAULT, ECHO, GGUF, LOCAL_CONTEXT_TOKENS, SMOLLM2
from orch_nb.catalog.vendors import VENDORS
from orch_nb.errors import AuthFailed, BadOption, ModelNotInstalled, RateLimited, UnknownModel, UnknownPrice
from orch_nb.notebook.manual import TOPICS
from orch_nb.notebook.manual.page import Page, Rule, Section
from orch_nb.notebook.settings_verbs import MODELS_ACTIONS, PRICES
from orch_nb.views.table import Column, Table

_ACTIONS = {
    "set": (
        "%orch models set NAME=MODEL …",
        "Lets a name stand for a model, for another name or for the path of a GGUF file. Cells and graphs keep the name.",
        "%orch models set big=openai/gpt-4o-mini small=echo",
    ),
    "add": (
        "%orch models add NAME PROVIDER/MODEL input=USD output=USD",
        ("Gives a name, with prices in dollars per million tokens, and `context_tokens=N`, the length of its context."),
        "%orch models add house ollama/llama3 input=0 output=0 context_tokens=8192",
    ),
    "price": (
        "%orch models price NAME input=USD output=USD",
        f"Sets the prices of a name: {', '.join(f'`{price}`' for price in PRICES)}.",
        (
            "%orch models set big=openai/gpt-4o-mini\n"
            "%orch models price big input=2 output=8 cached=0.5 cache_write=2.5 per_call=0.001 per_image=0.002 batch=0.5"
        ),
    ),
    "prices": ("%orch models prices", "Shows every price and where it is from.", "%orch models prices"),
}
"""Action of `%orch models` -> form, meaning and an example."""

_PRICES = {
    "input": "Dollars per million tokens of the prompt.",
    "output": "Dollars per million tokens of the answer.",
    "cached": "Dollars per million tokens of the prompt that the provider had in its cache.",
    "cache_write": "Dollars per million tokens that the provider puts into its cache.",
    "per_call": "Dollars of one call, beside its tokens.",
    "per_image": "Dollars of one image.",
    "batch": "Share of the price that is paid where the call goes through a batch interface, such as 0.5.",
}
"""Part of a price -> what it is."""


def page() -> Page:
    """The page."""
    names = (
        Rule(
            "PROVIDER/MODEL",
            "A model by the provider's own name for it: `model: openai/gpt-4o-mini` works without `set`.",
            "%orch models set big=anthropic/claude-sonnet-4-5",
        ),
        Rule(
            DEFAULT,
            f"What agents use that name no model: `{SMOLLM2.name}` where it is installed, else `{ECHO.name}`; `set` changes it.",
            f"%orch models set {DEFAULT}={ECHO.name}",
            (DEFAULT,),
        ),
        Rule(
            SMOLLM2.name,
            f"{SMOLLM2.note}: it labels and extracts. `orch models install {SMOLLM2.name}` in a terminal fetches it, once. Free, no key.",
            f"%orch models set tiny={SMOLLM2.name}",
            (SMOLLM2.name,),
        ),
        Rule(
            ECHO.name,
            "Answers with its prompt, or with the smallest value of the type. Free, no key: for trying out a graph.",
            f"%orch models set trial={ECHO.name}",
            (ECHO.name,),
        ),
        Rule(
            f"PATH{GGUF}",
            f"A chat model in a GGUF file, run on this machine with a context of {LOCAL_CONTEXT_TOKENS:,} tokens. `%orch models set "
            f"own=model{GGUF}` refuses a path without a file.",
            "",
            (GGUF,),
        ),
    )
    actions = tuple(Rule(*_ACTIONS[action], (action,)) for action in MODELS_ACTIONS)
    prices = tuple(Rule(f"{price}=", _PRICES[price], words=(price,)) for price in PRICES)
    sections = (
        Section("Names", names),
        Section("%orch models", actions),
        Section("Prices", prices),
        Section("Providers", table=_providers()),
        Section("Keys", (KEY_RULE, SERVER_RULE)),
    )
    lead = (
        "Cells, files and graphs say a name; `%orch models` says what it stands for today. A model whose price is unknown is not "
        "called under a budget: `%orch models price NAME input=… output=…` gives it one."
    )
    errors = (UnknownModel, ModelNotInstalled, UnknownPrice, AuthFailed, RateLimited, BadOption)
    return Page("models", TOPICS["models"], lead, sections, (), errors)


KEY_RULE = Rule(
    "keys",
    "A key is read from the environment variable in the table at each call. Names and cells never hold one: a key in `%orch models` is refused. "
    'In Python: `orch.OpenAIChat(name, url, key="env:NAME")` or `key="keyring:SERVICE/USER"`.',
)
SERVER_RULE = Rule(
    "ORCH_NAME_URL",
    "An environment variable that replaces the address of a provider, such as `ORCH_OLLAMA_URL`. `ORCH_OLLAMA_KEY` holds the key of a "
    "server of your own, where it needs one.",
)


def _providers() -> Table:
    table = Table([Column("provider"), Column("key"), Column("address", wrap=True)])
    for name, vendor in VENDORS.items():
        table.add(name, vendor.key or "none needed", vendor.url)
    return table
