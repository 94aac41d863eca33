import json

import numpy as np
import polars as pl
import pytest
import torch

from distortion.errors import StudyError
from tests.runners.imagesets import LABELS, PIXELS, RNG, png, read, write_folder, write_table


@pytest.mark.parametrize("layout", ["bytes", "struct"])
def test_parquet_of_encoded_images(layout, tmp_path, cpu):
    images = [png(p) for p in PIXELS]
    if layout == "struct":  # as hubs store it
        images = [{"bytes": content, "path": "x.png"} for content in images]
    metadata = {"classes": "cat, dog,eel"}
    train = write_table(tmp_path / "train.parquet", images, metadata=metadata)
    data = read("parquet", tmp_path, cpu, train=train, test=train)
    assert torch.equal(data.test.pixels[:, 0], torch.from_numpy(PIXELS))
    assert data.class_names == ("cat", "dog", "eel")


def test_parquet_with_the_class_names_of_a_hub(tmp_path, cpu):
    names = {"label": {"names": ["x", "y", "z"], "_type": "ClassLabel"}}
    metadata = {"huggingface": json.dumps({"info": {"features": names}})}
    train = write_table(tmp_path / "train.parquet", metadata=metadata)
    assert read("parquet", tmp_path, cpu, train=train, test=train).class_names == ("x", "y", "z")


def test_colour_images_and_a_common_size(tmp_path, cpu):
    images = [png(RNG.integers(0, 256, (4 + i, 5, 3), dtype=np.uint8)) for i in range(12)]
    train = write_table(tmp_path / "train.parquet", images)
    with pytest.raises(StudyError, match=r"row 1: the image is \(5, 5\).*size = \[32, 32\]"):
        read("parquet", tmp_path, cpu, train=train, test=train)
    data = read("parquet", tmp_path, cpu, train=train, test=train, size=(6, 7))
    assert data.train.shape == (3, 6, 7)


def test_unreadable_image_in_a_table(tmp_path, cpu):
    images = [png(p) for p in PIXELS]
    images[7] = b"not an image"
    train = write_table(tmp_path / "train.parquet", images)
    with pytest.raises(StudyError, match=r"train.parquet, row 7: the image cannot be read"):
        read("parquet", tmp_path, cpu, train=train, test=train)


def test_truncated_image_in_a_table(tmp_path, cpu):
    images = [png(p) for p in PIXELS]
    images[3] = images[3][:60]
    train = write_table(tmp_path / "train.parquet", images)
    with pytest.raises(StudyError, match=r"row 3: the image cannot be read"):
        read("parquet", tmp_path, cpu, train=train, test=train)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"train": "none.parquet"}, "none.parquet does not exist.*--data-root"),
        ({"train": "t.parquet", "image_column": "imag"}, "no column 'imag'. Did you mean 'image'"),
        ({"train": "t.parquet", "label_column": "image"}, "labels must be whole numbers"),
        ({"train": "t.parquet", "image_column": "label"}, "expected the bytes of an encoded image"),
        ({"train": "t.csv"}, "is not a readable Parquet file"),
    ],
)
def test_unusable_tables(options, message, tmp_path, cpu):
    write_table(tmp_path / "t.parquet")
    (tmp_path / "t.csv").write_text("a,b\n1,2\n")
    with pytest.raises(StudyError, match=message):
        read("parquet", tmp_path, cpu, **options)


def test_an_empty_table(tmp_path, cpu):
    pl.DataFrame(schema={"image": pl.Binary, "label": pl.Int64}).write_parquet(
        tmp_path / "t.parquet"
    )
    with pytest.raises(StudyError, match=r"t.parquet has no rows"):
        read("parquet", tmp_path, cpu, train="t.parquet")


def test_images_of_more_than_8_bits_are_not_clipped_in_silence(tmp_path, cpu):
    images = [png(p) for p in PIXELS]
    images[2] = png(PIXELS[2].astype(np.uint16) * 257)
    train = write_table(tmp_path / "t.parquet", images)
    with pytest.raises(StudyError, match=r"row 2: the image has mode I;16.*without loss"):
        read("parquet", tmp_path, cpu, train=train)


def test_colour_is_not_dropped_in_silence_but_grey_fits_into_colour(tmp_path, cpu):
    grey, colour = png(PIXELS[0]), png(np.stack([PIXELS[0]] * 3, axis=2))
    train = write_table(tmp_path / "t.parquet", [grey, colour] * 6)
    with pytest.raises(StudyError, match=r"row 1: the image has mode RGB.*grey like the first"):
        read("parquet", tmp_path, cpu, train=train)
    train = write_table(tmp_path / "t.parquet", [colour, grey] * 6)
    data = read("parquet", tmp_path, cpu, train=train, test=train)
    assert torch.equal(data.test.pixels[1], data.test.pixels[0])


def test_missing_labels(tmp_path, cpu):
    train = write_table(tmp_path / "t.parquet", labels=[0, 1, None] * 4)
    with pytest.raises(StudyError, match="4 missing"):
        read("parquet", tmp_path, cpu, train=train, test=train)


@pytest.mark.parametrize(("label", "row"), [(3, 5), (-1, 5)])
def test_labels_out_of_range(label, row, tmp_path, cpu):
    labels = LABELS.copy()
    labels[row] = label
    train = write_table(tmp_path / "t.parquet", labels=labels)
    with pytest.raises(StudyError, match=rf"training image {row}: label {label} is out of range"):
        read("parquet", tmp_path, cpu, train=train, test=train, classes=("a", "b", "c"))


def test_training_and_test_images_of_different_shape(tmp_path, cpu):
    train = write_table(tmp_path / "train.parquet")
    test = write_table(tmp_path / "test.parquet", [png(p[:4]) for p in PIXELS])
    with pytest.raises(StudyError, match=r"training images are \(1, 6, 5\).*\(1, 4, 5\)"):
        read("parquet", tmp_path, cpu, train=train, test=test)


def test_a_class_without_training_images(tmp_path, cpu):
    train = write_table(tmp_path / "t.parquet")
    with pytest.raises(StudyError, match="class 'd' has no training image"):
        read("parquet", tmp_path, cpu, train=train, test=train, classes=("a", "b", "c", "d"))


def test_one_class_only(tmp_path, cpu):
    train = write_table(tmp_path / "t.parquet", labels=[0] * 12)
    with pytest.raises(StudyError, match=r"has 1 class\(es\).*at least two"):
        read("parquet", tmp_path, cpu, train=train, test=train)


def test_image_folder_with_train_and_test(tmp_path, cpu):
    for part in ("train", "test"):
        write_folder(tmp_path / "pets" / part)
    data = read("folder", tmp_path, cpu, path="pets")
    assert data.class_names == ("cat", "dog")
    assert data.test.labels.tolist() == [0] * 6 + [1] * 6
    by_name = sorted(range(0, 12, 2), key=str)  # 0, 10, 2, 4, 6, 8
    assert torch.equal(data.test.pixels[:6, 0], torch.from_numpy(PIXELS[by_name]))


def test_image_folder_that_the_study_splits(tmp_path, cpu):
    write_folder(tmp_path / "pets")
    data = read("folder", tmp_path, cpu, path="pets", test_share=0.5)
    assert (len(data.train), len(data.test)) == (6, 6)


def test_unreadable_image_in_a_folder(tmp_path, cpu):
    write_folder(tmp_path / "pets")
    (tmp_path / "pets" / "dog" / "3.png").write_bytes(b"")
    with pytest.raises(StudyError, match=r"dog/3.png: the image cannot be read"):
        read("folder", tmp_path, cpu, path="pets", test_share=0.5)


def test_folder_problems(tmp_path, cpu):
    with pytest.raises(StudyError, match="pets is not a folder"):
        read("folder", tmp_path, cpu, path="pets")
    (tmp_path / "pets").mkdir()
    with pytest.raises(StudyError, match="pets has no sub-folders: one per class"):
        read("folder", tmp_path, cpu, path="pets", test_share=0.5)
    write_folder(tmp_path / "pets", names=("cat",))
    with pytest.raises(StudyError, match="at least two"):
        read("folder", tmp_path, cpu, path="pets", test_share=0.5)
    (tmp_path / "pets" / "eel").mkdir()
    with pytest.raises(StudyError, match="eel holds no image files"):
        read("folder", tmp_path, cpu, path="pets", test_share=0.5)


def test_classes_of_train_and_test_that_differ(tmp_path, cpu):
    write_folder(tmp_path / "pets" / "train")
    write_folder(tmp_path / "pets" / "test", names=("cat", "fox"))
    with pytest.raises(StudyError, match=r"\['dog', 'fox'\] is in one of them only"):
        read("folder", tmp_path, cpu, path="pets")


def test_a_real_table_of_jpeg_images(shared_data, cpu):
    options = {"train": "cifar100/test-small.parquet"}
    data = read("parquet", shared_data, cpu, test_share=0.5, **options)
    assert (data.n_classes, data.train.shape) == (100, (3, 32, 32))
    assert data.class_names[0] == "apple"
    assert torch.bincount(data.test.labels).tolist() == [25] * 100
