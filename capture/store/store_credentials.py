"""Files with credentials, as the tools of each store write them -> settings of that store. Only the uploader uses it.

s3, az   an INI file like ~/.aws/credentials: the section [default], that of AWS_PROFILE, or none
gs       a JSON key of a service account
sftp     a private key, as ssh-keygen writes it
"""

import configparser
import os
from collections.abc import Mapping
from pathlib import Path

from capture.store.object_place import StoreRefusedError

FILE_MAX = 1 << 20
PRIVATE_KEY = "private_key"
"""Setting of an SFTP store: the text of a private key."""
ENDPOINT = "endpoint"
CERTIFICATES = "ca"
"""Setting of any store of objects: PEM text of the authority that its server's certificate comes from."""
WEB_TOKEN = "web_identity_token"
"""Setting of s3: a token of a service account, by which the store's STS gives a role."""
ROLE, STS_ENDPOINT = "role_arn", "endpoint_url_sts"
_JSON_KEY = "service_account_key"
_NAMES = {"endpoint_url": ENDPOINT}
_SESSION = ("aws_access_key_id", "aws_secret_access_key", "aws_session_token")

SECRET_VARIABLES = (
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AZURE_STORAGE_ACCOUNT_KEY",
    "AZURE_STORAGE_KEY",
    "AZURE_STORAGE_SAS_KEY",
    "AZURE_STORAGE_SAS_TOKEN",
    "AZURE_STORAGE_CLIENT_SECRET",
    "AZURE_CLIENT_SECRET",
    "GOOGLE_SERVICE_ACCOUNT_KEY",
)
"""Variables whose values are secrets. Each process shows its environment to its user, and passes it on."""


CLOUD_VARIABLES = ("AWS_", "AZURE_", "GOOGLE_")
"""Beginnings of the names of variables that say who a machine is in a cloud."""
_OWN = {
    "s3": (("aws_access_key_id", "access_key_id"), ("aws_secret_access_key", "secret_access_key")),
    "gs": ((_JSON_KEY,),),
    "az": (
        (
            *(
                "azure_storage_account_key",
                "azure_storage_access_key",
                "azure_storage_sas_key",
                "azure_client_secret",
            ),
            *("azure_storage_client_secret", "account_key", "access_key", "sas_key", "client_secret"),
        ),
    ),
    "sftp": ((PRIVATE_KEY,),),
}
"""Settings by scheme, of which one of each group makes credentials complete."""


def check_own(scheme: str, settings: Mapping[str, str]) -> None:
    """Raise StoreRefusedError if settings are not complete: the machine's own would take their place."""
    if scheme == "s3" and settings.get(WEB_TOKEN) and settings.get(ROLE):
        return
    for names in _OWN.get(scheme, ((),)):
        if not any(settings.get(name) for name in names):
            raise StoreRefusedError(f"the credentials are not complete: there is no {names[0] if names else 'store'}")


def settings_in(scheme: str, text: str, profile: str = "default") -> dict[str, str]:
    """Return the settings that a file of credentials has. Raises StoreRefusedError, which repeats none."""
    if scheme == "sftp":
        return {PRIVATE_KEY: text}
    if scheme == "gs":
        return {_JSON_KEY: text}
    sections = _sections(text)
    if profile not in sections:
        if len(sections) != 1:
            raise StoreRefusedError(f"the file of credentials has no section [{profile}]")
        profile = next(iter(sections))
    return {_NAMES.get(name, name): value for name, value in sections[profile].items()}


def _sections(text: str) -> dict[str, dict[str, str]]:
    parser = configparser.ConfigParser(interpolation=None, default_section="\0")
    if not any(line.lstrip().startswith("[") for line in text.splitlines()):
        text = f"[default]\n{text}"
    try:
        parser.read_string(text)
    except configparser.Error as error:
        line = getattr(error, "lineno", None)
        raise StoreRefusedError(
            "the file of credentials is not understood" + (f", line {line}" if line else "")
        ) from None
    return {name.removeprefix("profile "): dict(parser[name]) for name in parser.sections()}


def standard_settings(scheme: str, environment: Mapping[str, str]) -> dict[str, str]:
    """Return the settings of the store's own files in the user's home; {} if there are none.

    What a store's library finds by itself (web identity, the metadata service of a cloud) is left to it.
    """
    if scheme == "s3":
        return _of_aws(environment)
    if scheme == "gs":
        path = environment.get("GOOGLE_APPLICATION_CREDENTIALS")
        found = _text(
            Path(path) if path else _home(environment) / ".config/gcloud/application_default_credentials.json"
        )
        return {_JSON_KEY: found} if found and '"private_key"' in found else {}
    if scheme == "sftp":
        for name in ("id_ed25519", "id_ecdsa", "id_rsa"):
            if (key := _text(_home(environment) / ".ssh" / name)) is not None:
                return {PRIVATE_KEY: key}
    return {}


def _of_aws(environment: Mapping[str, str]) -> dict[str, str]:
    profile = environment.get("AWS_PROFILE", "default")
    settings: dict[str, str] = {}
    for variable, name in (("AWS_CONFIG_FILE", "config"), ("AWS_SHARED_CREDENTIALS_FILE", "credentials")):
        path = environment.get(variable)
        text = _text(Path(path) if path else _home(environment) / ".aws" / name)
        found = _sections(text).get(profile, {}) if text is not None else {}
        wanted = {key: found[key] for key in ("region", "endpoint_url", *_SESSION) if key in found}
        settings |= {_NAMES.get(key, key): value for key, value in wanted.items()}
    return settings


def standard_known_hosts(environment: Mapping[str, str]) -> str | None:
    """Return the text of the user's own and the machine's list of host keys; None if there is neither."""
    found = [_text(path) for path in (_home(environment) / ".ssh/known_hosts", Path("/etc/ssh/ssh_known_hosts"))]
    return "\n".join(text for text in found if text is not None) or None


def _home(environment: Mapping[str, str]) -> Path:
    return Path(environment.get("HOME", "/root"))


def _text(path: Path) -> str | None:
    try:
        return path.read_text()
    except (OSError, UnicodeDecodeError):
        return None


def text_of(descriptor: int) -> str:
    """Read a whole file by its descriptor, and close that. Raises StoreRefusedError."""
    try:
        with os.fdopen(descriptor, "rb") as file:
            content = file.read(FILE_MAX + 1)
        if len(content) > FILE_MAX:
            raise StoreRefusedError(f"the file of credentials has more than {FILE_MAX:,} bytes")
        return content.decode()
    except (OSError, UnicodeDecodeError) as error:
        raise StoreRefusedError(f"the file of credentials cannot be read: {error}") from None
