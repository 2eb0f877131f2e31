"""Fetching published weights, from a server in this process."""
import hashlib
import http.server
import threading

import pytest

from models.weights import download as module
from models.weights.download import DownloadError, Published, cache, download

CONTENT = bytes(range(256)) * 4000
SHA256 = hashlib.sha256(CONTENT).hexdigest()


class Server(http.server.BaseHTTPRequestHandler):
    """CONTENT under any name, from where Range says; drops the connection after `limit` bytes,
    `ranges` off ignores Range."""

    limit, ranges, asked = len(CONTENT), True, []

    def do_GET(self):
        wanted = self.headers.get("Range")
        Server.asked.append(wanted)
        start = 0
        if wanted and Server.ranges:
            start = int(wanted.removeprefix("bytes=").removesuffix("-"))
        if start >= len(CONTENT):
            self.send_error(416)
            return
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(CONTENT) - start))
        self.end_headers()
        self.wfile.write(CONTENT[start:start + Server.limit])

    def log_message(self, *arguments):
        pass


@pytest.fixture
def url(monkeypatch):
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.setattr(Server, "limit", len(CONTENT))
    monkeypatch.setattr(Server, "ranges", True)
    monkeypatch.setattr(Server, "asked", [])
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Server) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_a_download_is_kept_and_not_repeated(url, tmp_path):
    for _ in range(2):
        path = download(Published(f"{url}/alexnet.pth", SHA256), tmp_path / "new" / "cache")
        assert path.read_bytes() == CONTENT and path.name == "alexnet.pth"
    assert Server.asked == [None] and [p.name for p in path.parent.iterdir()] == [path.name]


@pytest.mark.parametrize("ranges", [True, False],
                         ids=["by Range", "from the beginning where the server has no Range"])
def test_a_download_goes_on(ranges, url, tmp_path, monkeypatch):
    monkeypatch.setattr(Server, "limit", 300_000)
    with pytest.raises(DownloadError, match=r"300,000 of 1,024,000 bytes; the same command goes "
                       r"on.*curl --create-dirs -o .* http"):
        download(Published(f"{url}/alexnet.pth", SHA256), tmp_path)
    monkeypatch.setattr(Server, "limit", len(CONTENT))
    monkeypatch.setattr(Server, "ranges", ranges)
    assert download(Published(f"{url}/alexnet.pth", SHA256), tmp_path).read_bytes() == CONTENT
    assert Server.asked == [None, "bytes=300000-"]


def test_two_downloads_at_once(url, tmp_path):
    fcntl = pytest.importorskip("fcntl", reason="Windows has no such locks")
    with open(tmp_path / "alexnet.part", "ab") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(DownloadError, match=r"another process is fetching http.*\.pth already; "
                           r"try again when it has ended"):
            download(Published(f"{url}/alexnet.pth", SHA256), tmp_path)
    assert Server.asked == [] and (tmp_path / "alexnet.part").stat().st_size == 0
    assert download(Published(f"{url}/alexnet.pth", SHA256), tmp_path).read_bytes() == CONTENT


def test_a_whole_file_that_was_not_renamed(url, tmp_path):
    (tmp_path / "alexnet.part").write_bytes(CONTENT)
    assert download(Published(f"{url}/alexnet.pth", SHA256), tmp_path).read_bytes() == CONTENT


def test_a_wrong_sum_is_deleted(url, tmp_path):
    with pytest.raises(DownloadError, match="came with a wrong SHA-256"):
        download(Published(f"{url}/alexnet.pth", 64 * "0"), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_offline(tmp_path, monkeypatch):
    monkeypatch.setenv("no_proxy", "*")
    with pytest.raises(DownloadError, match=r"cannot fetch http://127.0.0.1:9/alexnet.pth \(.*\); "
                       r"to fetch it by hand: curl"):
        download(Published("http://127.0.0.1:9/alexnet.pth", SHA256), tmp_path)


def test_the_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache() == tmp_path / "minitensor"
    (tmp_path / "minitensor").mkdir()
    name = module.PUBLISHED["torchvision"].url.rpartition("/")[2]
    (tmp_path / "minitensor" / name).write_bytes(b"")
    assert module.fetch("torchvision") == str(tmp_path / "minitensor" / name)
