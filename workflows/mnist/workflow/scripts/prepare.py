"""Turn the four files of MNIST into one .npz file with images to train, validate and test."""

import argparse
import gzip
import struct
import sys

IMAGES_MAGIC = 2051
LABELS_MAGIC = 2049


class DataError(Exception):
    """A file is not what it should be; the message says what to do."""


def parse_arguments(arguments=None):
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("train-images", "train-labels", "test-images", "test-labels"):
        parser.add_argument("--" + name, required=True, help="an IDX file, gzipped")
    parser.add_argument("--validation-size", type=int, default=5000, help="images kept from training")
    parser.add_argument("--train-limit", type=int, default=0, help="use only so many images; 0: all")
    parser.add_argument("--test-limit", type=int, default=0, help="use only so many images; 0: all")
    parser.add_argument("--output", required=True, help="the .npz file to write")
    return parser.parse_args(arguments)


def read_idx(path, magic):
    """Return the shape and the bytes of a gzipped IDX file."""
    dimensions = magic & 0xFF
    header_size = 4 * (1 + dimensions)
    try:
        with gzip.open(path, "rb") as stream:
            content = stream.read()
    except (EOFError, OSError) as error:
        raise DataError("{} cannot be read ({}): remove it and run again".format(path, error)) from error
    if len(content) < header_size or struct.unpack(">I", content[:4])[0] != magic:
        raise DataError("{} is not an IDX file of kind {}: remove it and run again".format(path, magic))
    shape = struct.unpack(">{}I".format(dimensions), content[4:header_size])
    size = 1
    for length in shape:
        size *= length
    if len(content) != header_size + size:
        raise DataError(
            "{} has {} bytes where its header promises {}: remove it and run again".format(
                path, len(content), header_size + size
            )
        )
    return shape, content[header_size:]


def read_pair(images_path, labels_path, limit=0):
    """Return the images' shape, their bytes and their labels, the first LIMIT of them."""
    shape, pixels = read_idx(images_path, IMAGES_MAGIC)
    (count,), labels = read_idx(labels_path, LABELS_MAGIC)
    if shape[0] != count:
        raise DataError(
            "{} has {} images but {} has {} labels: they do not belong together".format(
                images_path, shape[0], labels_path, count
            )
        )
    count = min(count, limit) if limit else count
    return (count, *shape[1:]), pixels[: count * shape[1] * shape[2]], labels[:count]


def split(shape, pixels, labels, validation_size):
    """Return two parts, to validate and to train: the tutorial validates with the first images."""
    if not 0 <= validation_size < shape[0]:
        raise DataError(
            "{} images to validate leave none of {} to train with: "
            "put a smaller number into data: validation_size: of the configuration".format(validation_size, shape[0])
        )
    cut = validation_size * shape[1] * shape[2]
    validation = (validation_size, *shape[1:]), pixels[:cut], labels[:validation_size]
    train = (shape[0] - validation_size, *shape[1:]), pixels[cut:], labels[validation_size:]
    return validation, train


def write_npz(path, parts):
    """Write images as they are, one byte a pixel: the network scales them to -0.5 to 0.5 itself."""
    import numpy as np

    arrays = {}
    for name, (shape, pixels, labels) in parts.items():
        arrays[name + "_images"] = np.frombuffer(pixels, dtype=np.uint8).reshape(shape)
        arrays[name + "_labels"] = np.frombuffer(labels, dtype=np.uint8).astype(np.int64)
    np.savez(path, **arrays)


def main(arguments=None):
    """Read, split and write."""
    options = parse_arguments(arguments)
    try:
        train = read_pair(options.train_images, options.train_labels, options.train_limit)
        test = read_pair(options.test_images, options.test_labels, options.test_limit)
        validation, train = split(*train, validation_size=options.validation_size)
    except DataError as error:
        sys.exit(str(error))
    parts = {"train": train, "validation": validation, "test": test}
    write_npz(options.output, parts)
    for name, (shape, _, _) in parts.items():
        print("{}: {} images of {} x {}".format(name, *shape))


if __name__ == "__main__":
    main()
