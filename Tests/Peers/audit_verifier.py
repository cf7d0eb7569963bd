#!/usr/bin/env python3
"""Checks the chain of an audit trail by its description (docs/format/audit.md) alone, and prints its head as number:hash.

    audit_verifier.py FOLDER

Exit status 1, and the first break, when the chain does not hold. Knows nothing of removed files: for trails that still begin with file 1.
"""
import hashlib
import json
import sys
from pathlib import Path

previous, number = "0" * 64, 0
for path in sorted(Path(sys.argv[1]).glob("*.audit")):
    for line in path.read_bytes().splitlines():
        digest, body = line[:64].decode(), line[65:]
        number += 1
        if hashlib.sha256(previous.encode() + body).hexdigest() != digest or json.loads(body)["n"] != number:
            sys.exit(f"{path.name}: record {number}: broken")
        previous = digest
print(f"{number}:{previous}")
