"""Which addresses may be connected to; decided by our own list.

`ipaddress` alone is no guard: it calls NAT64, 6to4, multicast and site-local
addresses global.  The list follows the IANA special-purpose address registries
(RFC 6890 and its successors).
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

_V4 = tuple(
    (IPv4Network(block), why)
    for block, why in (
        ("10.0.0.0/8", "private"),
        ("172.16.0.0/12", "private"),
        ("192.168.0.0/16", "private"),
        ("100.64.0.0/10", "shared by a carrier's customers"),
        ("127.0.0.0/8", "loopback"),
        ("169.254.0.0/16", "link-local"),
    )
)
_V6 = tuple(
    (IPv6Network(block), why)
    for block, why in (
        ("::1/128", "loopback"),
        ("fc00::/7", "private"),
        ("fe80::/10", "link-local"),
        ("fec0::/10", "site-local"),
    )
)
# No host answers there, private or not.
_NOBODY_V4 = tuple(
    (IPv4Network(block), why)
    for block, why in (
        ("0.0.0.0/8", "unspecified"),
        ("192.0.0.0/24", "reserved"),
        ("192.0.2.0/24", "reserved for documentation"),
        ("192.88.99.0/24", "a 6to4 relay"),
        ("198.18.0.0/15", "reserved for benchmarks"),
        ("198.51.100.0/24", "reserved for documentation"),
        ("203.0.113.0/24", "reserved for documentation"),
        ("224.0.0.0/4", "multicast"),
        ("240.0.0.0/4", "reserved"),
    )
)
_NOBODY_V6 = tuple(
    (IPv6Network(block), why)
    for block, why in (
        ("::/128", "unspecified"),
        ("2001::/23", "reserved for protocols"),
        ("2001:db8::/32", "reserved for documentation"),
        ("3fff::/20", "reserved for documentation"),
        ("ff00::/8", "multicast"),
    )
)
_GLOBAL_V6 = IPv6Network("2000::/3")
_NAT64 = (IPv6Network("64:ff9b::/96"), IPv6Network("64:ff9b:1::/48"))
_ISATAP = frozenset({0x00005EFE, 0x02005EFE})
_LOW = 0xFFFFFFFF
_MAPPED = "the IPv4-mapped form"

# What these answer are a machine's own credentials.
_METADATA = frozenset(
    ip_address(text)
    for text in (
        "169.254.169.254",  # most clouds
        "169.254.170.2",  # Amazon ECS
        "169.254.170.23",  # Amazon EKS
        "100.100.100.200",  # Alibaba
        "168.63.129.16",  # Azure
        "192.0.0.192",  # Oracle
        "fd00:ec2::254",
        "fd00:ec2::23",
        "fd20:ce::254",  # Google
    )
)


def objection(text: str, *, private: bool) -> str | None:
    """Return why an address must not be connected to, None if it may.

    `private` allows private, shared, loopback and link-local addresses;
    metadata services, multicast and addresses that nobody has stay refused.
    """
    try:
        address = ip_address(text)
    except ValueError:
        return "not an address"
    if isinstance(address, IPv4Address):
        return _objection_v4(address, private=private)
    # A scope (`%eth0`) says where to send it, not what it is.
    address = IPv6Address(int(address))
    if address in _METADATA:
        return "a metadata service"
    carried = _embedded(address)
    if carried is None:
        return _objection_v6(address, private=private)
    how, inner = carried
    why = _objection_v4(inner, private=private)
    if why is not None:
        return f"{how} of {inner}, {why}"
    return None if private or how == _MAPPED else how


def _objection_v4(address: IPv4Address, *, private: bool) -> str | None:
    if address in _METADATA:
        return "a metadata service"
    for block, why in _NOBODY_V4 if private else _NOBODY_V4 + _V4:
        if address in block:
            return why
    return None


def _objection_v6(address: IPv6Address, *, private: bool) -> str | None:
    for block, why in _NOBODY_V6:
        if address in block:
            return why
    for block, why in _V6:
        if address in block:
            return None if private else why
    return None if address in _GLOBAL_V6 else "not assigned to anybody"


def _embedded(address: IPv6Address) -> tuple[str, IPv4Address] | None:
    """Return the IPv4 address that packets to `address` would end up at."""
    number = int(address)
    low = IPv4Address(number & _LOW)
    nat64 = any(address in block for block in _NAT64)
    isatap = (number >> 32) & _LOW in _ISATAP
    forms = (
        (_MAPPED, address.ipv4_mapped),
        ("the NAT64 form", low if nat64 else None),
        ("the 6to4 form", address.sixtofour),
        ("the Teredo form", address.teredo[1] if address.teredo else None),
        ("the ISATAP form", low if isatap else None),
        ("the IPv4-compatible form", low if 1 < number <= _LOW else None),
    )
    return next(((how, inner) for how, inner in forms if inner is not None), None)
