"""The way from one party to the other, as the command line describes it."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from securegbm.app.options import LinkOptions
from securegbm.errors import SecureGBMError
from securegbm.wire.audit import MessageLog
from securegbm.wire.certificates import Identity, fingerprint, parties_of, shared_secret
from securegbm.wire.channel import Partner, Party
from securegbm.wire.messages import Log
from securegbm.wire.network import NetworkChannel
from securegbm.wire.server import Server

LOOPBACK_SECRET = b"securegbm insecure loopback"


@dataclass(frozen=True)
class Link:
    """How to reach or be reached by the other party."""

    address: str
    certs: Path
    own: str
    peer: str
    pin: str | None = None
    insecure_loopback: bool = False
    deadline: float = 600.0
    patience: float = 60.0
    more: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not (0 < self.deadline < float("inf") and 0 <= self.patience < float("inf")):
            raise SecureGBMError(
                f"deadline is {self.deadline} and patience {self.patience}; give seconds, above 0 and at least 0"
            )

    def identity(self) -> Identity | None:
        """The certificates; none on the loopback address when that was asked for.

        Raises:
            SecureGBMError: If one of them is missing or is not the pinned one, or a pin has nothing to hold.
        """
        if self.insecure_loopback and self.pin:
            raise SecureGBMError("--pin names a certificate and --insecure-loopback uses none; leave one of them out")
        return None if self.insecure_loopback else Identity.read(self.certs, self.own, self.peer, self.pin)

    def parties(self) -> str:
        """What names both parties' keys, equal at both and after `certs rotate`."""
        identity = self.identity()
        return parties_of(identity) if identity else "insecure loopback"

    def log(self, state: Path, role: str) -> MessageLog:
        """The message log of a state folder; a further feature party has one of its own."""
        identity = self.identity()
        name = "messages.jsonl" if self.peer in ("party-a", "party-b") else f"messages-{self.peer}.jsonl"
        return MessageLog(state / name, role, fingerprint(identity.peer) if identity else "")

    def each(self) -> "list[Link]":
        """This link and those to further feature parties.

        Raises:
            SecureGBMError: If one is not described by a name and an address.
        """
        found: list[Link] = [replace(self, more=())]
        for text in self.more:
            name, _, rest = text.partition("=")
            address, _, pin = rest.partition("=")
            if not name.replace("-", "").replace("_", "").isalnum() or ":" not in address:
                raise SecureGBMError(f"--more {text!r} is no NAME=HOST:PORT; give each further feature party so")
            found.append(replace(found[0], address=address, peer=name, pin=pin or None))
        return found

    def partners(self, state: Path, counted: Callable[[MessageLog], Log] = lambda log: log) -> list[Partner]:
        """The ways to all feature parties, each with a message log of its own.

        Args:
            state: The label party's state folder.
            counted: What is laid around the logs.
        """
        links, found = self.each(), []
        addresses = [link.address for link in links]
        if twice := [address for address in addresses if addresses.count(address) > 1]:
            raise SecureGBMError(f"two feature parties have the address {twice[0]}; give the address of each with --more")
        for link in links:
            name = link.peer if len(links) > 1 else "feature party"
            found.append(Partner(*link.open(), name, counted(link.log(state, "label")), link.parties()))
        return found

    def open(self) -> tuple[NetworkChannel, bytes]:
        """A channel to the feature party, and the secret shared with it."""
        identity = self.identity()
        channel = NetworkChannel(self.address, identity, self.insecure_loopback, self.deadline, self.patience)
        return channel, shared_secret(identity) if identity else LOOPBACK_SECRET

    def serve(self, party_of: Callable[[bytes], Party], tell: Callable[[str], None]) -> Server:
        """A server of the feature party that `party_of(secret)` makes."""
        identity = self.identity()
        secret = shared_secret(identity) if identity else LOOPBACK_SECRET
        return Server(party_of(secret), self.address, identity, self.insecure_loopback, tell)


def link_of(options: LinkOptions, own: str) -> Link:
    """The link that a party's options describe."""
    peer = "party-b" if own == "party-a" else "party-a"
    return Link(own=own, peer=peer, **vars(options))
