"""Signs pictures with content credentials (C2PA), offline, with the user's certificate or a self-made one."""

from __future__ import annotations

import datetime
import hashlib
import io
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from graphcore.errors import InputError, ResourceError
from graphcore.provenance.credentials import CREATED, OFFLINE, media_type, require_library
from graphcore.version import __version__

SELF: Final = "self"
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}\Z")
_YEARS: Final = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class SigningIdentity:
    """A certificate chain, the signer's own first, and its private key; both as PEM."""

    chain: bytes
    key: bytes

    @property
    def algorithm(self) -> str:
        """C2PA's name of how this key signs; raises InputError for a key that it has no name for."""
        from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
        from cryptography.hazmat.primitives.serialization import load_pem_private_key

        try:
            key = load_pem_private_key(self.key, password=None)
        except (ValueError, TypeError) as error:
            raise InputError(
                f"The private key cannot be read ({error}); give one as PEM, without a password.",
                code="bad-signer",
            ) from error
        if isinstance(key, ec.EllipticCurvePrivateKey):
            sizes = {256: "es256", 384: "es384", 521: "es512"}
            if key.key_size in sizes:
                return sizes[key.key_size]
        if isinstance(key, rsa.RSAPrivateKey):
            return "ps256"
        if isinstance(key, ed25519.Ed25519PrivateKey):
            return "ed25519"
        raise InputError(
            "Content credentials are signed with keys on the curves P-256, P-384, P-521 or Ed25519, or RSA; make one.",
            code="bad-signer",
        )


def signing_identity(folder: Path, name: str) -> SigningIdentity:
    """The identity `<name>.crt.pem` and `<name>.key.pem` in a folder; "self" is made when it is not there.

    Raises InputError for a name that cannot be a file's, ResourceError if the files are not there.
    """
    if not _NAME.match(name):
        raise InputError(
            f"The signer {name[:80]!r} is no plain name; use letters, digits, '-' and '_'.", code="bad-signer"
        )
    chain, key = folder / f"{name}.crt.pem", folder / f"{name}.key.pem"
    try:
        if name == SELF and not key.exists():
            _write_identity(folder, self_made_identity())
        return SigningIdentity(chain=chain.read_bytes(), key=key.read_bytes())
    except OSError as error:
        raise ResourceError(
            f"The signer '{name}' is not there; put {chain.name} (the certificate chain) and {key.name} (the private "
            f"key) into the folder 'credentials' of the data folder, or use the signer '{SELF}'.",
            code="no-signer",
        ) from error


def self_made_identity() -> SigningIdentity:
    """A new key on P-256 with a certificate that it signed itself: it proves that nothing changed, not who signed."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "graphcore, self-made"),
            x509.NameAttribute(NameOID.COMMON_NAME, "graphcore self-made certificate"),
        ]
    )
    now = datetime.datetime.now(datetime.UTC)
    public = key.public_key()
    usage = {
        "digital_signature": True,
        "content_commitment": False,
        "key_encipherment": False,
        "data_encipherment": False,
        "key_agreement": False,
        "key_cert_sign": False,
        "crl_sign": False,
        "encipher_only": False,
        "decipher_only": False,
    }
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=365 * _YEARS))
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.KeyUsage(**usage), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION]), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(public), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    return SigningIdentity(
        chain=certificate.public_bytes(pem),
        key=key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()),
    )


def signed(data: bytes, identity: SigningIdentity, texts: Mapping[str, str]) -> bytes:
    """A picture file with signed credentials: made by a trained algorithm, by this program, from this workflow.

    `texts` are what the picture carries; their digests are signed, so that they cannot be changed either. Nothing is
    asked of the network: there is no time stamp. Raises InputError if the certificate cannot sign.
    """
    c2pa = require_library()
    kind = media_type(data)
    target = io.BytesIO()
    try:
        info = c2pa.C2paSignerInfo(identity.algorithm.encode(), identity.chain, identity.key, None)
        context = c2pa.Context(c2pa.Settings.from_dict(dict(OFFLINE)))
        with c2pa.Signer.from_info(info) as signer, c2pa.Builder(_manifest(kind, texts), context) as builder:
            builder.sign(signer, kind, io.BytesIO(data), target)
    except c2pa.C2paError as error:
        raise InputError(
            f"The picture cannot be signed ({str(error)[:160]}); check the certificate: it must be valid now, be meant "
            "for digital signatures and e-mail protection, and fit the key.",
            code="bad-signer",
        ) from error
    return target.getvalue()


def _manifest(kind: str, texts: Mapping[str, str]) -> dict[str, Any]:
    agent = {"name": "graphcore", "version": __version__}
    digests = {name: hashlib.sha256(text.encode()).hexdigest() for name, text in sorted(texts.items())}
    return {
        "claim_generator_info": [agent],
        "format": kind,
        "assertions": [
            {
                "label": "c2pa.actions.v2",
                "data": {
                    "actions": [
                        {"action": "c2pa.created", "digitalSourceType": CREATED, "softwareAgent": agent}
                    ]
                },
            },
            {"label": "org.graphcore.texts", "data": {"sha256": digests}},
        ],
    }


def _write_identity(folder: Path, identity: SigningIdentity) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{SELF}.crt.pem").write_bytes(identity.chain)
    descriptor = os.open(folder / f"{SELF}.key.pem", os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(identity.key)
