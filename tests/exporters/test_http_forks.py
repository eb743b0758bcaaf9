"""A connection that is open when a process forks."""

from __future__ import annotations

import os

import pytest

from tests.exporters.otlp_peers import Receiver
from tests.support import run_python

pytestmark = pytest.mark.once

BOTH = """
import os
from measurand.exporters.http import HttpPeer
peer = HttpPeer({url!r})
peer.request(b"before", timeout=20)
if os.fork() == 0:
    is_well = peer.request(b"child", timeout=20).is_success
    peer.close()
    os._exit(0 if is_well else 1)
print(os.wait()[1], peer.request(b"parent", timeout=20).status)
peer.close()
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there are no forks")
def test_a_forked_child_has_a_connection_of_its_own_and_leaves_its_parents_alone() -> None:
    with Receiver() as receiver:
        done = run_python(BOTH.format(url=receiver.url))
    assert (done.stdout, done.stderr) == ("0 200\n", "")
    assert [taken.body for taken in receiver.taken] == [b"before", b"child", b"parent"]
    before, child, parent = [taken.client for taken in receiver.taken]
    assert before == parent != child
