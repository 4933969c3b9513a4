"""The gateway's TLS identity: a certificate authority of the box and a certificate signed by it.

Made once into one folder: `ca.crt`, `ca.key`, `gateway.crt`, `gateway.key`, and `trusted.pem`, by which
the gateway judges the far side of its own TLS calls; a site adds its PBX's authority there. Softphones and
PBXs import `ca.crt`.
"""

from __future__ import annotations

import ipaddress
import os
import secrets
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

_VALID_DAYS = 3650
_CLOCK_SKEW = timedelta(days=1)


def make_certificates(folder: Path, *addresses: str) -> None:
    """Makes what is missing; the certificate is good for localhost, 127.0.0.1 and the addresses or names."""
    ca_certificate, ca_key = folder / "ca.crt", folder / "ca.key"
    if not (ca_certificate.exists() and ca_key.exists()):
        key = ec.generate_private_key(ec.SECP256R1())
        _write_key(ca_key, key)
        ca_certificate.write_bytes(_pem(_authority(key)))
        (folder / "gateway.crt").unlink(missing_ok=True)
    trusted = folder / "trusted.pem"
    if not trusted.exists():
        trusted.write_bytes(ca_certificate.read_bytes())
    names = ("localhost", "127.0.0.1", *(address for address in addresses if address not in {"", "0.0.0.0"}))  # noqa: S104
    certificate = folder / "gateway.crt"
    if certificate.exists() and _is_good_for(certificate, names):
        return
    authority = x509.load_pem_x509_certificate(ca_certificate.read_bytes())
    authority_key = serialization.load_pem_private_key(ca_key.read_bytes(), password=None)
    if not isinstance(authority_key, ec.EllipticCurvePrivateKey):
        raise ValueError(f"{ca_key} is not the key that was made here")
    key = ec.generate_private_key(ec.SECP256R1())
    _write_key(folder / "gateway.key", key)
    certificate.write_bytes(_pem(_leaf(key, authority, authority_key, names)))


def _authority(key: ec.EllipticCurvePrivateKey) -> x509.Certificate:
    # The name is this box's own: whoever trusts two boxes must be able to tell their authorities apart.
    label = f"Trunkline gateway authority {secrets.token_hex(4)}"
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, label)])
    builder = _builder(name, name, key.public_key())
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    identifier = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    builder = builder.add_extension(identifier, critical=False)
    builder = builder.add_extension(_usage(sign_certificates=True), critical=True)
    return builder.sign(key, hashes.SHA256())


def _leaf(
    key: ec.EllipticCurvePrivateKey,
    authority: x509.Certificate,
    authority_key: ec.EllipticCurvePrivateKey,
    names: tuple[str, ...],
) -> x509.Certificate:
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "trunkline-gateway")])
    builder = _builder(subject, authority.subject, key.public_key())
    alternatives = x509.SubjectAlternativeName([_general_name(name) for name in dict.fromkeys(names)])
    usages = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH])
    builder = builder.add_extension(alternatives, critical=False).add_extension(usages, critical=False)
    issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(authority_key.public_key())
    builder = builder.add_extension(issuer, critical=False)
    builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
    builder = builder.add_extension(_usage(sign_certificates=False), critical=True)
    return builder.sign(authority_key, hashes.SHA256())


def _builder(
    subject: x509.Name, issuer: x509.Name, public_key: ec.EllipticCurvePublicKey
) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _CLOCK_SKEW)
        .not_valid_after(now + timedelta(days=_VALID_DAYS))
    )


def _usage(*, sign_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=not sign_certificates,
        key_cert_sign=sign_certificates,
        crl_sign=sign_certificates,
        encipher_only=False,
        decipher_only=False,
    )


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _is_good_for(path: Path, names: tuple[str, ...]) -> bool:
    certificate = x509.load_pem_x509_certificate(path.read_bytes())
    found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return {_general_name(name) for name in names} <= set(found)


def _write_key(path: Path, key: ec.EllipticCurvePrivateKey) -> None:
    path.unlink(missing_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o640)
    with os.fdopen(descriptor, "wb") as file:
        file.write(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)
