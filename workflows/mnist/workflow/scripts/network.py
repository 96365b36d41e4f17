"""The convolutional network of TensorFlow's MNIST tutorial, for TensorFlow 1 and 2 alike.

Two convolutions with pooling, two fully connected layers. Everything is written with variables and ``tf.nn``
functions in graph mode: that part of TensorFlow has kept its meaning from 1.10 to today's 2.x.
"""

import os
import warnings

import numpy as np

IMAGE_SIZE = 28
CHANNELS = 1
CLASSES = 10
PIXEL_DEPTH = 255.0
EVALUATION_BATCH = 250

#: Shape and starting value of every variable; None is a truncated normal of standard deviation 0.1.
VARIABLES = [
    ("conv1_weights", [5, 5, CHANNELS, 32], None),
    ("conv1_biases", [32], 0.0),
    ("conv2_weights", [5, 5, 32, 64], None),
    ("conv2_biases", [64], 0.1),
    ("fc1_weights", [IMAGE_SIZE // 4 * IMAGE_SIZE // 4 * 64, 512], None),
    ("fc1_biases", [512], 0.1),
    ("fc2_weights", [512, CLASSES], None),
    ("fc2_biases", [CLASSES], 0.1),
]

#: The variables that the L2 penalty holds down.
PENALISED = ("fc1_weights", "fc1_biases", "fc2_weights", "fc2_biases")


def import_tensorflow():
    """Return TensorFlow's version 1 interface in graph mode, whichever TensorFlow is installed."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    warnings.simplefilter("ignore", FutureWarning)  # NumPy's words about TensorFlow 1's own imports
    try:
        import tensorflow.compat.v1 as tf
    except ImportError:
        import tensorflow as tf  # before 1.13 there is no compat.v1, and nothing to switch off
    tf.logging.set_verbosity(tf.logging.ERROR)
    if hasattr(tf, "disable_v2_behavior"):
        tf.disable_v2_behavior()
    return tf


def open_session(tf, threads):
    """Return a session that uses no more than THREADS cores and only the GPU memory that it needs."""
    options = tf.ConfigProto(intra_op_parallelism_threads=threads, inter_op_parallelism_threads=1)
    options.gpu_options.allow_growth = True
    return tf.Session(config=options)


def create_variables(tf, seed):
    """Return the network's variables by name; the same seed gives the same starting values."""
    variables = {}
    for number, (name, shape, value) in enumerate(VARIABLES):
        if value is None:
            start = tf.truncated_normal(shape, stddev=0.1, seed=seed * len(VARIABLES) + number)
        else:
            start = tf.constant(value, shape=shape)
        variables[name] = tf.Variable(start, name=name)
    return variables


def scale(tf, pixels):
    """Return pixels of 0 to 255 as numbers from -0.5 to 0.5."""
    return (tf.cast(pixels, tf.float32) - PIXEL_DEPTH / 2) / PIXEL_DEPTH


def build_logits(tf, pixels, variables, dropout_seed=None):
    """Return the scores of the ten digits; with a seed, half of the hidden units are dropped (training)."""
    layer = tf.reshape(scale(tf, pixels), [-1, IMAGE_SIZE, IMAGE_SIZE, CHANNELS])
    for name in ("conv1", "conv2"):
        weights, biases = variables[name + "_weights"], variables[name + "_biases"]
        layer = tf.nn.conv2d(layer, weights, strides=[1, 1, 1, 1], padding="SAME")
        # Rectifying after the pool gives the tutorial's numbers with a quarter of the work:
        # neither the bias nor relu changes which of four neighbours is the largest.
        layer = tf.nn.max_pool(layer, ksize=[1, 2, 2, 1], strides=[1, 2, 2, 1], padding="SAME")
        layer = tf.nn.relu(tf.nn.bias_add(layer, biases))
    layer = tf.reshape(layer, [-1, variables["fc1_weights"].shape[0]])
    layer = tf.nn.relu(tf.matmul(layer, variables["fc1_weights"]) + variables["fc1_biases"])
    if dropout_seed is not None:
        layer = tf.nn.dropout(layer, keep_prob=0.5, seed=dropout_seed)
    return tf.matmul(layer, variables["fc2_weights"]) + variables["fc2_biases"]


def build_penalty(tf, variables):
    """Return half the sum of squares of the fully connected layers."""
    return tf.add_n([tf.nn.l2_loss(variables[name]) for name in PENALISED])


def pixels_placeholder(tf):
    """Return the input of the network: any number of images as bytes."""
    return tf.placeholder(tf.uint8, [None, IMAGE_SIZE, IMAGE_SIZE])


def predict(session, probabilities, pixels, images):
    """Return the probabilities of the ten digits for every image, computed in small batches."""
    parts = [
        session.run(probabilities, {pixels: images[start : start + EVALUATION_BATCH]})
        for start in range(0, len(images), EVALUATION_BATCH)
    ]
    return np.concatenate(parts)


def error_percent(probabilities, labels):
    """Return how many of a hundred images got the wrong digit."""
    return 100.0 * np.mean(np.argmax(probabilities, axis=1) != labels)
