import numpy as np
import pytest
import torch

import runners
from distortion.errors import StudyError
from runners.datasets import DATASETS
from tests.runners.imagesets import LABELS, PIXELS, read, write_idx


@pytest.mark.parametrize("zipped", [False, True])
def test_idx_files(zipped, tmp_path, cpu):
    write_idx(tmp_path / "mine", zipped=zipped)
    data = read("idx", tmp_path, cpu, path="mine", classes=("a", "b", "c"))
    assert torch.equal(data.test.pixels[:, 0], torch.from_numpy(PIXELS))
    assert data.test.labels.tolist() == LABELS.tolist()
    assert data.class_names == ("a", "b", "c")


def test_mnist_is_found_where_torchvision_keeps_it(tmp_path, cpu):
    write_idx(tmp_path / "MNIST" / "raw", zipped=True)
    data = read("mnist", tmp_path, cpu)
    assert float(data.normalised(torch.zeros(1, 1, 6, 5))[0, 0, 0, 0]) == pytest.approx(
        -0.1307 / 0.3081
    )


def test_truncated_idx_file(tmp_path, cpu):
    write_idx(tmp_path)
    path = tmp_path / "train-images-idx3-ubyte"
    path.write_bytes(path.read_bytes()[:-7])
    with pytest.raises(StudyError, match=r"train-images.* is truncated: .* 360 values.* 353"):
        read("idx", tmp_path, cpu, path=".")


def test_idx_file_that_is_not_gzip(tmp_path, cpu):
    write_idx(tmp_path, zipped=True)
    (tmp_path / "train-labels-idx1-ubyte.gz").write_bytes(b"hello")
    with pytest.raises(StudyError, match=r"train-labels-idx1-ubyte.gz cannot be read"):
        read("idx", tmp_path, cpu, path=".")


def test_idx_file_cut_within_its_header(tmp_path, cpu):
    write_idx(tmp_path)
    path = tmp_path / "train-images-idx3-ubyte"
    path.write_bytes(path.read_bytes()[:9])
    with pytest.raises(StudyError, match=r"train-images.* is truncated"):
        read("idx", tmp_path, cpu, path=".")


def test_file_that_is_not_idx(tmp_path, cpu):
    write_idx(tmp_path)
    (tmp_path / "train-labels-idx1-ubyte").write_bytes(b"hello, world")
    with pytest.raises(StudyError, match="is not an IDX file of unsigned bytes"):
        read("idx", tmp_path, cpu, path=".")


def test_idx_folder_without_the_files(tmp_path, cpu):
    with pytest.raises(StudyError, match=r"no file 'train-images-idx3-ubyte'.*--data-root"):
        read("idx", tmp_path, cpu, path="nowhere")


def test_idx_images_and_labels_of_different_number(tmp_path, cpu):
    write_idx(tmp_path, labels=LABELS[:-1])
    with pytest.raises(StudyError, match=r"has shape \(12, 6, 5\) and .* \(11,\)"):
        read("idx", tmp_path, cpu, path=".")


def test_a_data_set_is_registered_in_a_line(tmp_path, cpu):
    images = runners.Images(torch.from_numpy(PIXELS)[:, None], torch.from_numpy(LABELS))
    runners.register_dataset("mine", lambda root: runners.Source(images, images, ("a", "b", "c")))
    assert len(read("mine", tmp_path, cpu).train) == 12


def test_an_unknown_data_set_gets_the_nearest_name():
    with pytest.raises(StudyError, match=r"Unknown data set 'cifar-10'. Did you mean 'cifar10'"):
        DATASETS["cifar-10"]


@pytest.mark.parametrize("name", ["cifar10", "mnist"])
def test_a_failed_download_says_what_to_pass(name, tmp_path, cpu, monkeypatch):
    def fail(url, folder, md5):
        raise RuntimeError(f"Error downloading {url}")

    monkeypatch.setattr("torchvision.datasets.utils.download_url", fail)
    with pytest.raises(StudyError, match=r"was not found in .*--data-root"):
        read(name, tmp_path, cpu)


def write_cifar(folder, files, label_bytes, n=20):
    """Write binary CIFAR files of random images; return the content of all, in order."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    records = []
    for file in files:
        labels = np.tile(np.arange(10, dtype=np.uint8), n // 10)[:, None]
        coarse = np.full((n, label_bytes - 1), 7, np.uint8)
        pixels = rng.integers(0, 256, (n, 3072), dtype=np.uint8)
        content = np.hstack([coarse, labels, pixels])
        content.tofile(folder / file)
        records.append(content)
    return np.concatenate(records)


CIFARS = [
    ("cifar10", "cifar-10-batches-bin", [f"data_batch_{i}.bin" for i in range(1, 6)],
     "test_batch.bin", "batches.meta.txt", 1),
    ("cifar100", "cifar-100-binary", ["train.bin"], "test.bin", "fine_label_names.txt", 2),
]  # fmt: skip


@pytest.mark.parametrize(("name", "folder", "train", "test", "names", "label_bytes"), CIFARS)
def test_cifar_is_read_from_its_binary_version(
    name, folder, train, test, names, label_bytes, tmp_path, cpu
):
    records = write_cifar(tmp_path / folder, train, label_bytes)
    tested = write_cifar(tmp_path / folder, [test], label_bytes)
    (tmp_path / folder / names).write_text("\n".join(f"class{i}" for i in range(10)) + "\n\n")
    source = DATASETS[name](tmp_path)
    assert source.train.labels.tolist() == records[:, label_bytes - 1].tolist()
    for images, content in ((source.train, records), (source.test, tested)):
        image = content[3, label_bytes:].reshape(3, 32, 32)
        assert torch.equal(images.pixels[3], torch.from_numpy(image))
    assert source.class_names == tuple(f"class{i}" for i in range(10))
    assert len(read(name, tmp_path, cpu).test) == 20
    path = tmp_path / folder / test
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(StudyError, match=rf"{test} is truncated.* whole records"):
        read(name, tmp_path, cpu)


@pytest.mark.parametrize(
    ("name", "options", "shape", "train", "names"),
    [
        ("mnist", {}, (1, 28, 28), 60_000, ("0", "9")),
        ("fashion-mnist", {}, (1, 28, 28), 60_000, ("T-shirt/top", "Ankle boot")),
    ],
)
def test_real_image_sets(name, options, shape, train, names, shared_data, cpu):
    data = read(name, shared_data, cpu, **options)
    assert data.train.shape == shape
    assert (len(data.train), len(data.test)) == (train, 10_000)
    assert (data.class_names[0], data.class_names[-1]) == names
    assert data.n_classes == 10
