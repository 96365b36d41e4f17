"""Test a trained network: the error, the confusion matrix and the digits that it got wrong."""

import argparse
import json

import numpy as np

import network


def parse_arguments(arguments=None):
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", required=True, help="the .npz file that prepare.py wrote")
    parser.add_argument("--model", required=True, help="the .npz file that train.py wrote")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--output", required=True, help="the .json file to write")
    return parser.parse_args(arguments)


def load_network(tf, path, threads):
    """Return a session with the trained weights, its input and its output."""
    pixels = network.pixels_placeholder(tf)
    with np.load(path) as weights:
        variables = {name: tf.constant(weights[name]) for name, _, _ in network.VARIABLES}
    probabilities = tf.nn.softmax(network.build_logits(tf, pixels, variables))
    return network.open_session(tf, threads), pixels, probabilities


def confusion_matrix(labels, predicted):
    """Return how often each digit (row) was taken for each digit (column)."""
    matrix = np.zeros((network.CLASSES, network.CLASSES), dtype=int)
    np.add.at(matrix, (labels, predicted), 1)
    return matrix


def list_wrong(labels, predicted, probabilities):
    """Return the wrong answers, the surest first."""
    wrong = np.flatnonzero(predicted != labels)
    surest_first = wrong[np.argsort(-probabilities[wrong, predicted[wrong]], kind="mergesort")]
    return [
        {
            "image": int(image),
            "label": int(labels[image]),
            "predicted": int(predicted[image]),
            "probability": round(float(probabilities[image, predicted[image]]), 4),
        }
        for image in surest_first
    ]


def evaluate(labels, probabilities):
    """Return everything that is worth knowing about the answers."""
    predicted = np.argmax(probabilities, axis=1)
    wrong = list_wrong(labels, predicted, probabilities)
    return {
        "images": len(labels),
        "test_error": round(100.0 * len(wrong) / len(labels), 4),
        "accuracy": round(100.0 - 100.0 * len(wrong) / len(labels), 4),
        "confusion": confusion_matrix(labels, predicted).tolist(),
        "wrong": wrong,
    }


def main(arguments=None):
    """Test and write the results."""
    options = parse_arguments(arguments)
    tf = network.import_tensorflow()
    with np.load(options.data) as data:
        images, labels = data["test_images"], data["test_labels"]
    session, pixels, probabilities = load_network(tf, options.model, options.threads)
    result = evaluate(labels, network.predict(session, probabilities, pixels, images))
    with open(options.output, "w") as stream:
        json.dump(result, stream, indent=1)
    print("{images} images, test error {test_error:.2f}%".format(**result))


if __name__ == "__main__":
    main()
