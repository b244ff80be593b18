"""Certificates: each party makes its own and gives the other the public half; exactly that one is trusted."""

import datetime
import hashlib
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.x509.oid import NameOID

from securegbm.errors import SecureGBMError
from securegbm.state.store import write_atomically


@dataclass(frozen=True)
class Identity:
    """What a party needs for mutual TLS, as PEM.

    Args:
        certificate: Its own certificate.
        private_key: Its own private key.
        peer: The other party's certificate, received over a channel both trust.
        lines: Fingerprints of the first certificates of both, when keys were rotated; empty for the present ones.
    """

    certificate: bytes
    private_key: bytes
    peer: bytes
    lines: tuple[str, str] = ("", "")

    @property
    def own_root(self) -> str:
        """Fingerprint of the first certificate this party had."""
        return self.lines[0] or fingerprint(self.certificate)

    @property
    def peer_root(self) -> str:
        """Fingerprint of the first certificate the other party had."""
        return self.lines[1] or fingerprint(self.peer)

    @classmethod
    def read(cls, folder: Path, own: str, peer: str, pinned: str | None = None) -> "Identity":
        """Read `<own>.crt`, `<own>.key` and `<peer>.crt` from a folder, and check them.

        Args:
            folder: Where they are.
            own: This party's name.
            peer: The other party's name.
            pinned: SHA-256 fingerprint the peer's certificate must have.

        Raises:
            SecureGBMError: If a file is missing, a certificate is not valid now, or the fingerprint differs.
        """
        lines = tuple(_line_of(folder, name) for name in (own, peer))
        paths = [folder / f"{own}.crt", folder / f"{own}.key", folder / f"{peer}.crt"]
        for path in paths:
            if not path.exists():
                raise SecureGBMError(f"{path} is missing; run `securegbm certs` and exchange the .crt files")
        found = cls(paths[0].read_bytes(), paths[1].read_bytes(), paths[2].read_bytes(), (lines[0], lines[1]))
        for pem, path in ((found.certificate, paths[0]), (found.peer, paths[2])):
            check_dates(pem, path.name)
        if pinned is not None and fingerprint(found.peer) != pinned.replace(":", "").lower():
            raise SecureGBMError(f"{paths[2].name} has another fingerprint than the pinned one; ask the other party")
        return found


def shared_secret(identity: Identity) -> bytes:
    """The secret both parties derive from their own private key and the other's certificate (static ECDH, HKDF).

    Raises:
        SecureGBMError: If the peer's certificate carries no key of the same kind.
    """
    own = serialization.load_pem_private_key(identity.private_key, None)
    peer = x509.load_pem_x509_certificate(identity.peer).public_key()
    if not isinstance(own, ec.EllipticCurvePrivateKey) or not isinstance(peer, ec.EllipticCurvePublicKey):
        raise SecureGBMError("the certificates must carry P-256 keys; make them with `securegbm certs`")
    shared = own.exchange(ec.ECDH(), peer)
    return HKDF(hashes.SHA256(), 32, None, b"securegbm shared secret").derive(shared)


def _line_of(folder: Path, name: str) -> str:
    """Fingerprint of the first certificate of a party whose keys were rotated; empty when they never were."""
    path = folder / f"{name}.line"
    return path.read_text().strip() if path.exists() else ""


def parties_of(identity: Identity) -> str:
    """What names both parties' keys in a run, the same at both: the first certificates of their lines (`certs rotate`)."""
    return hashlib.sha256("".join(sorted((identity.own_root, identity.peer_root))).encode()).hexdigest()


def check_dates(pem: bytes, name: str) -> None:
    """Refuse a certificate that is expired or not valid yet."""
    try:
        certificate = x509.load_pem_x509_certificate(pem)
    except ValueError as error:
        raise SecureGBMError(f"{name} is no PEM certificate; give the .crt file `securegbm certs` made") from error
    now = datetime.datetime.now(datetime.UTC)
    if now > certificate.not_valid_after_utc:
        raise SecureGBMError(
            f"{name} expired on {certificate.not_valid_after_utc:%Y-%m-%d}; make a new one with "
            "`securegbm certs` and send the .crt file to the other party"
        )
    if now < certificate.not_valid_before_utc:
        raise SecureGBMError(f"{name} is valid from {certificate.not_valid_before_utc:%Y-%m-%d} on; check the clock")


def fingerprint(pem: bytes) -> str:
    """SHA-256 of the certificate, in hexadecimal."""
    certificate = x509.load_pem_x509_certificate(pem)
    return hashlib.sha256(certificate.public_bytes(serialization.Encoding.DER)).hexdigest()


def host_name(pem: bytes) -> str:
    """The name a TLS client must expect from this certificate."""
    names = x509.load_pem_x509_certificate(pem).extensions.get_extension_for_class(x509.SubjectAlternativeName)
    return names.value.get_values_for_type(x509.DNSName)[0]


def make_certificate(name: str, days: int = 365, start: datetime.datetime | None = None) -> tuple[bytes, bytes]:
    """A self-signed certificate and its private key, as PEM.

    Args:
        name: The party's name.
        days: How long it is valid.
        start: From when; now by default.

    Raises:
        SecureGBMError: If it is not valid for a day, or for more than a century.
    """
    if not 1 <= days <= 36_525:
        raise SecureGBMError(f"days is {days}; give the validity in days, from 1 to 36525")
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"{name}.securegbm")])
    begin = start or datetime.datetime.now(datetime.UTC) - datetime.timedelta(minutes=5)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begin)
        .not_valid_after(begin + datetime.timedelta(days=days))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(f"{name}.securegbm")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    secret = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return certificate.public_bytes(serialization.Encoding.PEM), secret


def write_certificate(folder: Path, name: str, days: int = 365) -> str:
    """Write `<name>.crt` and `<name>.key` (mode 0600); returns the fingerprint to tell the other party."""
    certificate, key = make_certificate(name, days)
    if (folder / f"{name}.key").exists():
        raise SecureGBMError(f"{folder / name}.key exists; remove it first if you mean to replace this identity")
    write_atomically(folder / f"{name}.key", key)
    write_atomically(folder / f"{name}.crt", certificate, private=False)
    return fingerprint(certificate)
