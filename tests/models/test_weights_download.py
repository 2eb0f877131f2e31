"""Fetching published weights, from a server in this process."""
import hashlib
import http.server
import threading

import pytest

import weights_files as whole
from models.networks.build import FAMILY
from models.weights import download as module
from models.weights.download import DownloadError, cache, download
from models.networks.published import PUBLISHED, Published
from models_cli import Said, complaint, make_folder, models
from test_weights_heirs import HEIRS, narrow_state

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


# ---- torchvision's, by names ---------------------------------------------------------------------

@pytest.mark.parametrize("digits, words", [
    (64, "the whole SHA-256 is right"),
    (8, "the first 8 digits of the SHA-256 are right; more are not known here")])
def test_what_was_checked_of_a_download_is_said(digits, words, url, tmp_path):
    said = Said()
    download(Published(f"{url}/vgg11.pth", SHA256[:digits]), tmp_path, said)
    assert said.lines == [f"vgg11.pth: {words}"]
    with pytest.raises(DownloadError, match="came with a wrong SHA-256"):
        other = SHA256[:digits - 1] + ("1" if SHA256[digits - 1] == "0" else "0")
        download(Published(f"{url}/other.pth", other), tmp_path, said)
    assert [path.name for path in tmp_path.iterdir()] == ["vgg11.pth"]


def test_every_published_file_is_named_after_its_sum():
    assert len(PUBLISHED["torchvision"].sha256) == 64
    for name, file in PUBLISHED.items():
        assert len(file.sha256) in (8, 64) and not set(file.sha256) - set("0123456789abcdef")
        assert file.url.startswith("https://download.pytorch.org/models/")
        assert file.url.endswith(f"-{file.sha256[:8]}.pth")
    assert {file.network for file in PUBLISHED.values()} >= {"torchvision", *HEIRS}


@pytest.fixture
def cached(tmp_path, monkeypatch):
    """A narrow network's file in the place of resnet18's, as if it had been fetched."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    path = cache() / "resnet18-f37072fd.pth"
    path.parent.mkdir(parents=True)
    path.write_bytes(whole.torch_zip(narrow_state("resnet18", width=1 / 32)[1]))
    return path


def test_a_name_stands_for_weights_in_every_command(cached, tmp_path, capsys):
    folder = make_folder(tmp_path / "pictures", ["class 1"], pictures=1)
    assert models("classify", "--weights", "torchvision:resnet18", folder) == 0
    assert models("summary", "torchvision:resnet18") == 0
    assert "resnet18, input 3 x 224 x 224" in capsys.readouterr().out
    assert models("train", "--network", "resnet18", "--weights", "torchvision", "--data", "builtin",
                  "--pictures", 20, "--epochs", 1, "--batch-size", 10, "--workers", 0,
                  "--freeze", "features", "--out", tmp_path / "run") == 0


@pytest.mark.parametrize("arguments, words", [
    (("classify", "--weights", "torchvision:resnet152", "a.jpg"),
     "there are no weights called 'torchvision:resnet152', but torchvision:NAME for alexnet, "
     "vgg11, vgg13, "),
    (("train", "--data", "builtin", "--network", "plain20", "--weights", "torchvision"),
     "--weights torchvision: it has none for --network plain20; it has for torchvision, vgg11, "),
    (("train", "--data", "builtin", "--network", "alexnet", "--weights", "torchvision"),
     "--network alexnet does not fit --weights torchvision:alexnet, whose network is torchvision"),
    (("train", "--data", "builtin", "--network", "vgg11", "--weights", "torchvision:resnet50-v2"),
     "--network vgg11 does not fit --weights torchvision:resnet50-v2, whose network is resnet50")])
def test_names_that_fit_nothing_are_refused_before_a_download(arguments, words, tmp_path, capsys,
                                                              monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "a.jpg").write_bytes(b"")
    arguments = [tmp_path / word if word == "a.jpg" else word for word in arguments]
    assert models(*arguments) in (1, 2)
    assert words in complaint(capsys)
    assert not (tmp_path / "cache").exists()
    assert "plain20" in FAMILY
