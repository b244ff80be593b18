"""New keys without new runs: the old key signs the new certificate, and a run stays bound to the first one of the line."""

import base64
import json
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from securegbm.errors import SecureGBMError
from securegbm.state.store import write_atomically
from securegbm.wire.certificates import check_dates, fingerprint, make_certificate

_SAID = b"securegbm: this certificate follows the one whose key signed this\n"


def _der(pem: bytes) -> bytes:
    return x509.load_pem_x509_certificate(pem).public_bytes(serialization.Encoding.DER)


def rotate(folder: Path, name: str, days: int = 365) -> str:
    """Replace `<name>.crt` and `<name>.key`, and write `<name>.rotation` for the other party.

    Args:
        folder: Where the files are.
        name: This party's name.
        days: How long the new certificate is valid.

    Returns:
        The new fingerprint.

    Raises:
        SecureGBMError: If there is nothing to replace.
    """
    crt, key, line = (folder / f"{name}.{kind}" for kind in ("crt", "key", "line"))
    if not crt.exists() or not key.exists():
        raise SecureGBMError(f"{crt} and {key.name} are not there; there is no key to replace, run `securegbm certs`")
    before = crt.read_bytes()
    own = serialization.load_pem_private_key(key.read_bytes(), None)
    if not isinstance(own, ec.EllipticCurvePrivateKey):
        raise SecureGBMError(f"{key.name} is no P-256 key; make one with `securegbm certs`")
    certificate, secret = make_certificate(name, days)
    signature = own.sign(_SAID + _der(certificate), ec.ECDSA(hashes.SHA256()))
    content = {"certificate": certificate.decode(), "signature": base64.b64encode(signature).decode()}
    write_atomically(folder / f"{name}.rotation", json.dumps(content, indent=1).encode(), private=False)
    if not line.exists():
        write_atomically(line, fingerprint(before).encode(), private=False)
    write_atomically(key, secret)
    write_atomically(crt, certificate, private=False)
    return fingerprint(certificate)


def accept(folder: Path, name: str) -> str:
    """Replace the other party's `<name>.crt` by the one in `<name>.rotation`, which the key of the present one signed.

    Args:
        folder: Where the files are.
        name: The other party's name.

    Returns:
        The new fingerprint.

    Raises:
        SecureGBMError: If the file is damaged, not valid now, or signed by another key.
    """
    crt, line, path = (folder / f"{name}.{kind}" for kind in ("crt", "line", "rotation"))
    if not crt.exists() or not path.exists():
        raise SecureGBMError(f"{crt} and {path.name} must both be in the folder; ask the other party for its .rotation file")
    try:
        content = json.loads(path.read_text())
        certificate, signature = content["certificate"].encode(), base64.b64decode(content["signature"])
        check_dates(certificate, path.name)
        before = crt.read_bytes()
        key = x509.load_pem_x509_certificate(before).public_key()
        assert isinstance(key, ec.EllipticCurvePublicKey)
        key.verify(signature, _SAID + _der(certificate), ec.ECDSA(hashes.SHA256()))
    except SecureGBMError:
        raise
    except (ValueError, KeyError, TypeError, AttributeError, AssertionError, InvalidSignature) as error:
        raise SecureGBMError(
            f"{path.name} is damaged or not signed by the key of {crt.name}; ask the other party over another channel"
        ) from error
    if not line.exists():
        write_atomically(line, fingerprint(before).encode(), private=False)
    write_atomically(crt, certificate, private=False)
    return fingerprint(certificate)
