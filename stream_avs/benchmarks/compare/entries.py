"""What is compared: every architecture, and CCFormer without each of its parts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from stream_avs.errors import ConfigError, nearest
from stream_avs.models.ccformer.config import ContrastPartner, QueryGenerator

REFERENCE = "ccformer"
"""What the variants of CCFormer are compared with."""


class Group(StrEnum):
    """Which table an entry stands in."""

    NETWORK = "network"  # architectures side by side
    COMPONENT = "component"  # CCFormer with something off, or on


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One thing to train and score.

    Attributes:
        name: on the command line and in the results.
        group: its table.
        title: in the table.
        architecture: see `models.architectures`.
        model: network settings that differ from the architecture's small preset.
        loss: loss weights that differ from the common ones of `scale.MASK_LOSS` and the architecture's own.
        claim: the paper's change of J against the full network, in points on MS3 and S4; None where the
            paper has no such row.
        measured: its tagger's labels are likened to the scenes' classes by listening; see `scene_sounds`.
        on_request: trained only where it is named.
    """

    name: str
    group: Group
    title: str
    architecture: str = REFERENCE
    model: Mapping[str, Any] = field(default_factory=dict)
    loss: Mapping[str, float] = field(default_factory=dict)
    claim: tuple[float, float] | None = None
    measured: bool = False
    on_request: bool = False


def _without(
    name: str,
    title: str,
    claim: tuple[float, float] | None,
    loss: Mapping[str, float] | None = None,
    **model: Any,
) -> Entry:
    return Entry(
        name=f"{REFERENCE}-{name}",
        group=Group.COMPONENT,
        title=title,
        model=model,
        loss=loss or {},
        claim=claim,
    )


ENTRIES: dict[str, Entry] = {
    entry.name: entry
    for entry in (
        Entry(name=REFERENCE, group=Group.NETWORK, title="CCFormer"),
        Entry(name="tpavi", group=Group.NETWORK, title="TPAVI", architecture="tpavi"),
        Entry(
            name="tpavi-paper-loss", group=Group.NETWORK, title="TPAVI, masks by cross-entropy alone",
            architecture="tpavi", loss={"dice": 0.0},
        ),
        Entry(
            name="tpavi-no-match", group=Group.NETWORK, title="TPAVI, without its matching loss",
            architecture="tpavi", loss={"match": 0.0},
        ),
        Entry(name="avsac", group=Group.NETWORK, title="AVSAC", architecture="avsac"),
        Entry(name="c3n", group=Group.NETWORK, title="C3N, told the classes", architecture="c3n"),
        Entry(
            name="c3n-untaught", group=Group.NETWORK, title="C3N, classifiers untaught", architecture="c3n",
            loss={"classify": 0.0},
        ),
        Entry(
            name="c3n-mn04", group=Group.NETWORK, title="C3N, told the classes, mn04 hears",
            architecture="c3n", model={"tagger": "mn04"}, measured=True, on_request=True,
        ),
        _without("no-eim", "without EIM (IV, VI)", (-3.0, -1.1), ave=False, vae=False),
        _without("no-ici", "without ICI (IV)", (-2.6, -1.7), ici=False),
        _without("no-iti", "without ITI (IV)", (-3.3, -1.8), iti=False),
        _without(
            "no-bcl", "without BCL (IV)", (-1.4, -1.2), {"contrast": 0.0}, contrast=ContrastPartner.NONE
        ),
        _without(
            "query-none", "queries without audio (V)", (-2.6, -0.9), query_generator=QueryGenerator.NONE
        ),
        _without(
            "query-repeat", "audio repeated as queries (V)", (-1.8, -0.7),
            query_generator=QueryGenerator.REPEAT,
        ),
        _without("ave-only", "EIM without VAE (VI)", None, vae=False),
        _without("vae-only", "EIM without AVE (VI)", None, ave=False),
        _without("paper-loss", "masks by dice alone, as in the paper", None, {"cross_entropy": 0.0}),
    )
}  # fmt: skip
"""By name; the numerals are CCFormer's tables. AVE alone and VAE alone differ in Table VI by -2.6, -0.7 and
-1.6, -0.4 points, but which is which cannot be read."""


def entry(name: str) -> Entry:
    """The entry called `name`.

    Raises:
        ConfigError: there is none; with the nearest name.
    """
    if name not in ENTRIES:
        raise ConfigError(f"there is nothing called {name!r} to compare", nearest(name, ENTRIES).capitalize())
    return ENTRIES[name]
