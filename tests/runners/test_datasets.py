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


def test_a_failed_download_says_what_to_pass(tmp_path, cpu, monkeypatch):
    from torchvision import datasets

    def fail(*args, **kwargs):
        raise RuntimeError("Error downloading")

    monkeypatch.setattr(datasets, "CIFAR10", fail)
    with pytest.raises(StudyError, match=r"CIFAR10 was not found.*--data-root"):
        read("cifar10", tmp_path, cpu)


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
