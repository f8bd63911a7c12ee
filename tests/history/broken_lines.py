"""Lines that are broken on purpose, for tests of the reader. Standard library only."""

import random

_KINDS = (
    lambda r: b"\xff\xfe" + r.randbytes(20).replace(b"\n", b" "),
    lambda r: b"\x00" * r.randint(1, 30),
    lambda r: b"," * r.choice([0, 1, 4, 9, 25_000]),
    lambda r: b'569239,23247,"never closed,36,2011-10-03 08:30:00,2.49,14644.0,United Kingdom',
    lambda r: b"569239,23247,X,36,2011-10-03 08:30:00,2.49," + b"9" * 10_000 + b",United Kingdom",
    lambda r: b"569239," + b"A" * 10_000 + b",X,36,2011-10-03 08:30:00,2.49,14644.0,United Kingdom",
    lambda r: b"569239,23247,X,36,99999-10-03 08:30:00,2.49,14644.0,United Kingdom",
    lambda r: b"569239,23247,X,36,2011-02-30 08:30:00,2.49,14644.0,United Kingdom",
    lambda r: b"569239,23247,X,36,2031-10-03 08:30:00,2.49,14644.0,United Kingdom",
    lambda r: b"569239,23247,X,36,0000-00-00 00:00:00,2.49,14644.0,United Kingdom",
    lambda r: b"569239,23247,X," + r.choice([b"NaN", b"Infinity", b"-Infinity", b"1e999", b"many"])
    + b",2011-10-03 08:30:00,2.49,14644.0,United Kingdom",
    lambda r: b"",
    lambda r: b" \t ",
    lambda r: b"569239,23247," + b"x" * 200_000 + b",36,2011-10-03 08:30:00,2.49,,United Kingdom",
    lambda r: "569239,23247,🎁🎄,36,2011-10-03 08:30:00,2.49,,United Kingdom".encode(),
    lambda r: b"569239,'; DROP TABLE events; --,X,36,2011-10-03 08:30:00,2.49,14644.0,United Kingdom",
    lambda r: b'{"InvoiceNo": "569239", "StockCode": ["23247"]}',
    lambda r: b"\xef\xbb\xbf569239,23247,X,36,2011-10-03 08:30:00",
    lambda r: b"569239,${jndi:ldap://x},%s%n,36,2011-10-03 08:30:00,2.49,,\\",
    lambda r: b"#569239,23247,X,36,2011-10-03 08:30:00,2.49,,United Kingdom",
    lambda r: b"569239,23247,X\r\r,36,2011-10-03 08:30:00,2.49,,United Kingdom",
    lambda r: r.randbytes(r.randint(1, 60)).replace(b"\n", b"?"),
)  # fmt: skip


def broken_lines(count: int, seed: int) -> list[bytes]:
    """`count` lines without their line breaks: all kinds in turn, in an order of their own."""
    r = random.Random(seed)
    lines = [_KINDS[i % len(_KINDS)](r) for i in range(count)]
    r.shuffle(lines)
    return lines


def mix(good: list[bytes], broken: list[bytes], seed: int) -> list[bytes]:
    """Both in one list, good ones in their own order, broken ones at random places."""
    r = random.Random(seed)
    places = sorted(r.choices(range(len(good) + 1), k=len(broken)))
    mixed, taken = [], 0
    for place, line in zip(places, broken, strict=True):
        mixed += good[taken:place] + [line]
        taken = place
    return mixed + good[taken:]
