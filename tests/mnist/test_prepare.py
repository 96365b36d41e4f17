"""Preparing: IDX files are read strictly and split as asked."""

import pytest

from .helpers import load_script

prepare = load_script("prepare")


@pytest.fixture
def pair(make_idx, write_gz):
    images, labels = make_idx
    return write_gz("images.gz", images(6)), write_gz("labels.gz", labels(6))


def test_images_and_labels_are_read(pair):
    shape, pixels, labels = prepare.read_pair(*pair)
    assert shape == (6, 2, 2)
    assert pixels[:8] == bytes([0, 0, 0, 0, 1, 1, 1, 1])
    assert labels == bytes(range(6))


def test_a_limit_keeps_the_first_images(pair):
    shape, pixels, labels = prepare.read_pair(*pair, limit=2)
    assert (shape, len(pixels), labels) == ((2, 2, 2), 8, bytes([0, 1]))


def test_a_limit_above_their_number_keeps_all(pair):
    assert prepare.read_pair(*pair, limit=100)[0] == (6, 2, 2)


def test_the_first_images_are_for_validation(pair):
    validation, train = prepare.split(*prepare.read_pair(*pair), validation_size=2)
    assert validation == ((2, 2, 2), bytes([0] * 4 + [1] * 4), bytes([0, 1]))
    assert train[0] == (4, 2, 2)
    assert train[1][:4] == bytes([2] * 4)
    assert train[2] == bytes([2, 3, 4, 5])


def test_without_validation_all_images_are_for_training(pair):
    validation, train = prepare.split(*prepare.read_pair(*pair), validation_size=0)
    assert validation == ((0, 2, 2), b"", b"")
    assert train[0] == (6, 2, 2)


@pytest.mark.parametrize("size", [6, 7, -1])
def test_a_validation_that_leaves_nothing_to_train_is_refused(pair, size):
    with pytest.raises(prepare.DataError, match="validation_size"):
        prepare.split(*prepare.read_pair(*pair), validation_size=size)


def test_labels_in_place_of_images_are_noticed(pair):
    images, labels = pair
    with pytest.raises(prepare.DataError, match="not an IDX file of kind 2051"):
        prepare.read_pair(labels, images)


def test_fewer_pixels_than_the_header_promises_are_noticed(make_idx, write_gz):
    images, _ = make_idx
    path = write_gz("short.gz", images(6)[:-1])
    with pytest.raises(prepare.DataError, match="has 39 bytes where its header promises 40"):
        prepare.read_idx(path, prepare.IMAGES_MAGIC)


def test_images_and_labels_of_different_number_are_noticed(make_idx, write_gz):
    images, labels = make_idx
    paths = write_gz("images.gz", images(6)), write_gz("labels.gz", labels(5))
    with pytest.raises(prepare.DataError, match="do not belong together"):
        prepare.read_pair(*paths)


@pytest.mark.parametrize("content", [b"", b"no gzip at all", b"\x1f\x8b\x08\x00cut"])
def test_a_damaged_file_is_named(tmp_path, content):
    path = tmp_path / "damaged.gz"
    path.write_bytes(content)
    with pytest.raises(prepare.DataError, match=r"damaged\.gz .*run again"):
        prepare.read_idx(str(path), prepare.IMAGES_MAGIC)


def test_an_error_ends_the_program_with_its_words(pair, tmp_path):
    images, labels = pair
    arguments = ["--train-images", images, "--train-labels", labels, "--test-images", images]
    arguments += ["--test-labels", labels, "--validation-size", "9", "--output", str(tmp_path / "x.npz")]
    with pytest.raises(SystemExit, match="put a smaller number into data: validation_size"):
        prepare.main(arguments)


def test_the_arrays_are_written_as_bytes_with_integer_labels(pair, tmp_path, capsys):
    np = pytest.importorskip("numpy")
    images, labels = pair
    output = tmp_path / "mnist.npz"
    arguments = ["--train-images", images, "--train-labels", labels, "--test-images", images]
    prepare.main([*arguments, "--test-labels", labels, "--validation-size", "2", "--output", str(output)])
    with np.load(output) as data:
        assert {name: data[name].shape for name in data.files} == {
            "train_images": (4, 2, 2),
            "train_labels": (4,),
            "validation_images": (2, 2, 2),
            "validation_labels": (2,),
            "test_images": (6, 2, 2),
            "test_labels": (6,),
        }
        assert data["train_images"].dtype == np.uint8
        assert data["train_labels"].tolist() == [2, 3, 4, 5]
    assert "train: 4 images of 2 x 2" in capsys.readouterr().out
