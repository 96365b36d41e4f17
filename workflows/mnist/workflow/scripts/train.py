"""Train the network once, with one learning rate and one seed."""

import argparse
import csv
import sys
import time

import numpy as np

import network

HISTORY_COLUMNS = [
    "step",
    "epoch",
    "loss",
    "learning_rate",
    "minibatch_error",
    "validation_error",
    "test_error",
    "checked_images",
    "seconds",
]


def parse_arguments(arguments=None):
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", required=True, help="the .npz file that prepare.py wrote")
    parser.add_argument("--learning-rate", type=float, required=True, help="in the first epoch")
    parser.add_argument("--seed", type=int, required=True, help="of weights, dropout and the order of images")
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--decay", type=float, default=0.95, help="of the learning rate, each epoch")
    parser.add_argument("--momentum", type=float, default=0.9)
    parser.add_argument("--l2", type=float, default=5e-4, help="weight of the penalty on the full layers")
    parser.add_argument("--report-every", type=int, default=100, help="steps between two lines of progress")
    parser.add_argument(
        "--monitor-images",
        type=int,
        default=1000,
        help="images that are held out and checked at every line; all of them are at the end of an epoch",
    )
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--model", required=True, help="write the trained weights to this .npz file")
    parser.add_argument("--history", required=True, help="write the course of the training to this .csv file")
    return parser.parse_args(arguments)


class Training:
    """The graph and the session: one step at a time."""

    def __init__(self, tf, seed, momentum, l2, threads):
        tf.set_random_seed(seed)
        self.variables = network.create_variables(tf, seed)
        self.pixels = network.pixels_placeholder(tf)
        self.labels = tf.placeholder(tf.int64, [None])
        self.learning_rate = tf.placeholder(tf.float32, [])
        logits = network.build_logits(tf, self.pixels, self.variables, dropout_seed=seed)
        cross_entropy = tf.nn.sparse_softmax_cross_entropy_with_logits(labels=self.labels, logits=logits)
        self.loss = tf.reduce_mean(cross_entropy) + l2 * network.build_penalty(tf, self.variables)
        self.minibatch_probabilities = tf.nn.softmax(logits)
        self.probabilities = tf.nn.softmax(network.build_logits(tf, self.pixels, self.variables))
        self.update = tf.train.MomentumOptimizer(self.learning_rate, momentum).minimize(self.loss)
        self.session = network.open_session(tf, threads)
        self.session.run(tf.global_variables_initializer())

    def step(self, images, labels, learning_rate):
        """Take one step."""
        self.session.run(self.update, self._feed(images, labels, learning_rate))

    def step_and_look(self, images, labels, learning_rate):
        """Take one step; return the loss and the error in percent on its images."""
        wanted = [self.update, self.loss, self.minibatch_probabilities]
        _, loss, probabilities = self.session.run(wanted, self._feed(images, labels, learning_rate))
        return float(loss), network.error_percent(probabilities, labels)

    def error(self, images, labels):
        """Return the error in percent on images that are not trained with."""
        return network.error_percent(network.predict(self.session, self.probabilities, self.pixels, images), labels)

    def weights(self):
        """Return the values of the variables by name."""
        return self.session.run(self.variables)

    def _feed(self, images, labels, learning_rate):
        return {self.pixels: images, self.labels: labels, self.learning_rate: learning_rate}


class History:
    """A .csv file that can be read while it grows."""

    def __init__(self, file):
        self.file = file
        self.writer = csv.DictWriter(file, HISTORY_COLUMNS, restval="", lineterminator="\n")
        self.writer.writeheader()

    def add(self, **row):
        """Write one row."""
        self.writer.writerow({name: round_number(value) for name, value in row.items()})
        self.file.flush()


def round_number(value):
    """Return a number short enough to read."""
    return "{:.6g}".format(value) if isinstance(value, float) else value


def say(text):
    """Write a line of the log at once, so that it can be followed."""
    print(text, flush=True)


def held_out(data):
    """Return the name, images and labels of what is checked during the training: never trained with."""
    name = "validation" if len(data["validation_labels"]) else "test"
    return name, data[name + "_images"], data[name + "_labels"]


def spread(count, wanted):
    """Return the numbers of WANTED images of COUNT, evenly spread, the same at every look."""
    return np.linspace(0, count - 1, min(count, wanted)).astype(int)


def stop_unless_finite(loss, step, learning_rate):
    """End the program when the training has gone astray."""
    if not np.isfinite(loss):
        sys.exit(
            "The loss is {} at step {}: learning rate {:g} is too high. "
            "Put a smaller one into training: learning_rates: of the configuration.".format(loss, step, learning_rate)
        )


def train(training, data, options, history):
    """Run all epochs; return the number of steps."""
    images, labels = data["train_images"], data["train_labels"]
    name, held_images, held_labels = held_out(data)
    sample = spread(len(held_labels), options.monitor_images)
    steps_per_epoch = -(-len(labels) // options.batch_size)
    last = options.epochs * steps_per_epoch - 1
    started = time.time()

    for step in range(last + 1):
        epoch, position = divmod(step, steps_per_epoch)
        if position == 0:
            order = np.random.RandomState([options.seed, epoch]).permutation(len(labels))
            learning_rate = options.learning_rate * options.decay**epoch
        batch = order[position * options.batch_size : (position + 1) * options.batch_size]
        if step % options.report_every and position < steps_per_epoch - 1:
            training.step(images[batch], labels[batch], learning_rate)
            continue

        loss, minibatch_error = training.step_and_look(images[batch], labels[batch], learning_rate)
        stop_unless_finite(loss, step, options.learning_rate)
        look = slice(None) if position == steps_per_epoch - 1 else sample
        error = training.error(held_images[look], held_labels[look])
        done = (step + 1) / steps_per_epoch
        seconds = time.time() - started
        say(
            "step {} (epoch {:.2f}, {:.1f} ms a step)  minibatch loss {:.3f}  learning rate {:.6f}  "
            "minibatch error {:.1f}%  {} error {:.2f}%".format(
                step, done, 1000 * seconds / (step + 1), loss, learning_rate, minibatch_error, name, error
            )
        )
        history.add(
            step=step,
            epoch=done,
            loss=loss,
            learning_rate=learning_rate,
            minibatch_error=minibatch_error,
            checked_images=len(held_labels[look]),
            seconds=seconds,
            **{name + "_error": error},
        )
    return last + 1


def main(arguments=None):
    """Train and write what came of it."""
    options = parse_arguments(arguments)
    tf = network.import_tensorflow()
    with np.load(options.data) as archive:
        data = dict(archive.items())
    say(
        "TensorFlow {}, {} images to train with, {} to validate, {} threads".format(
            tf.__version__, len(data["train_labels"]), len(data["validation_labels"]), options.threads
        )
    )
    training = Training(tf, options.seed, options.momentum, options.l2, options.threads)
    with open(options.history, "w", newline="") as file:
        steps = train(training, data, options, History(file))
    np.savez(options.model, **training.weights())
    say("wrote {} after {} steps".format(options.model, steps))


if __name__ == "__main__":
    main()
