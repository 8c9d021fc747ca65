"""The service's own style sheets and scripts over HTTP."""

from __future__ import annotations

from pathlib import Path

from web.script_modules import digest_of

STATIC = Path(__file__).resolve().parents[2] / "static"


def test_a_static_file_is_served_short_with_its_type_and_tag(client):
    """A copy in a cache is confirmed without its bytes; a library comes byte for byte."""
    answer = client.get("/static/css/base.css")
    assert answer.headers["Content-Type"].startswith("text/css")
    assert "/*" not in answer.text
    assert ".button" in answer.text
    again = client.get("/static/css/base.css", headers={"If-None-Match": answer.headers["ETag"]})
    assert (again.status_code, again.data) == (304, b"")
    script = client.get(f"/static/js/poller.js?v={digest_of('js/poller.js')}")
    assert script.headers["Content-Type"].startswith("text/javascript")
    assert "immutable" in script.headers["Cache-Control"]
    other = client.get("/static/js/poller.js?v=1")
    assert (other.status_code, other.data) == (200, script.data)
    assert "immutable" not in other.headers["Cache-Control"], "the text of another version"
    library = "vendor/socket.io-4.8.4/socket.io.esm.min.js"
    with client.get(f"/static/{library}") as answer:
        assert answer.data == (STATIC / library).read_bytes()
    for path in ("css/none.css", "../app.py", "css", "js/%00.js"):
        assert client.get(f"/static/{path}").status_code == 404, path
