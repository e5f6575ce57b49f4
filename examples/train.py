#!/usr/bin/env python3
"""Trains a small classifier of handwritten digits on several processes at once.

Start it once for each rank, with the variables that a PyTorchJob gives to its pods:

    MASTER_ADDR=host MASTER_PORT=23456 WORLD_SIZE=3 RANK=0 python train.py --epochs 10

or let torchrun set them, also in its elastic mode:

    torchrun --nnodes 2:3 --rdzv_backend c10d --rdzv_endpoint host:29400 train.py --epochs 10

Alone, without any of them, it trains in one process.

Each step cuts one global batch into a share for each rank, so that steps and losses do not depend on the number
of ranks: a job that grows or shrinks goes on as if nothing had happened. After each epoch rank 0 writes a checkpoint
to $CHECKPOINT_DIR, if that is set, and every start goes on from there.

With --metrics-port the first process of each pod tells at http://POD:PORT/metrics how many steps it makes per second, and how
old the last checkpoint is, for the annotation lockstep.dev/steps-port of a job whose size the cluster chooses.

With torch it is DistributedDataParallel over gloo. Without torch the same meeting at MASTER_ADDR:MASTER_PORT and the same
averaging of gradients are done over plain sockets, for a smaller model in plain Python, so that it runs anywhere.
"""

import argparse
import http.server
import json
import math
import os
import random
import socket
import sys
import threading
import time

FEATURES, CLASSES = 64, 10
HELD_OUT = 197  # samples that are not trained on


def digits():
    """Returns images (64 values between 0 and 1 each), their digits, and where they come from."""
    try:
        from sklearn.datasets import load_digits
    except ImportError:
        return made_data()
    data = load_digits()
    return (data.data / 16).tolist(), data.target.tolist(), "the digits data set of scikit-learn"


def made_data():
    """Stands in for the digits: blurred copies of one random picture per class."""
    source = random.Random(1)
    pictures = [[source.random() for _ in range(FEATURES)] for _ in range(CLASSES)]
    labels = [source.randrange(CLASSES) for _ in range(1797)]
    images = [[value + source.gauss(0, 0.3) for value in pictures[label]] for label in labels]
    return images, labels, "made data, because scikit-learn is missing"


class TorchTrainer:
    """A network with one hidden layer, trained by DistributedDataParallel over gloo."""

    def __init__(self, torch, images, labels, rate):
        import torch.distributed

        torch.set_num_threads(1)  # ranks share the machine's cores
        torch.manual_seed(0)
        torch.distributed.init_process_group("gloo")
        self.torch = torch
        self.rank, self.world = torch.distributed.get_rank(), torch.distributed.get_world_size()
        self.means = f"torch {torch.__version__}, gloo"
        self.images, self.labels = torch.tensor(images), torch.tensor(labels)
        self.model = torch.nn.Sequential(
            torch.nn.Linear(FEATURES, 32), torch.nn.ReLU(), torch.nn.Linear(32, CLASSES))
        self.parallel = torch.nn.parallel.DistributedDataParallel(self.model)
        self.optimizer = torch.optim.SGD(self.model.parameters(), lr=rate, momentum=0.9)

    def broadcast(self, value):
        """Returns rank 0's value on every rank."""
        box = [value]
        self.torch.distributed.broadcast_object_list(box)
        return box[0]

    def sum(self, value):
        """Returns the sum of all ranks' values."""
        total = self.torch.tensor(value, dtype=self.torch.float64)
        self.torch.distributed.all_reduce(total)
        return total.item()

    def step(self, share, batch_size):
        """Trains on this rank's share of a batch; returns the sum of the losses of its samples."""
        self.optimizer.zero_grad()
        loss = self.torch.nn.functional.cross_entropy(
            self.parallel(self.images[share]), self.labels[share], reduction="sum")
        # The ranks' gradients are averaged, but shares may differ by one sample: this makes it the batch's mean.
        (loss * self.world / batch_size).backward()
        self.optimizer.step()
        return loss.item()

    def accuracy(self, samples):
        with self.torch.no_grad():
            right = self.model(self.images[samples]).argmax(1) == self.labels[samples]
        return right.double().mean().item()

    def state(self):
        return {"model": self.model.state_dict(), "optimizer": self.optimizer.state_dict()}

    def restore(self, state):
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])

    def write(self, value, path):
        self.torch.save(value, path)

    def read(self, path):
        return self.torch.load(path)

    def close(self):
        """Ends the process. Ranks that tear their connections down at different times can wait for each other
        for ever; so all meet once more, and what is left is the operating system's to clean up."""
        try:
            self.torch.distributed.barrier()
        except RuntimeError:
            pass  # a rank that was first is gone already, and has said all it had to say
        sys.stdout.flush()
        os._exit(0)


class SocketTrainer:
    """Softmax regression in plain Python; rank 0 adds up what the others send to it, line by line as JSON."""

    patience = 600  # seconds to wait for the other ranks

    def __init__(self, images, labels, rate):
        self.rank, self.world = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
        self.means = "plain sockets"
        self.images, self.labels, self.rate = images, labels, rate
        self.weights = [0.0] * (CLASSES * (FEATURES + 1))  # for each class, the features' weights and the bias
        address = os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"])
        self.peers = self.gather_peers(address) if self.rank == 0 else [self.join(address)]

    def gather_peers(self, address):
        peers = {}
        with socket.create_server(("", address[1])) as server:
            server.settimeout(self.patience)
            while len(peers) < self.world - 1:
                peer = server.accept()[0].makefile("rw")
                rank = peer.readline().strip()
                if rank.isdigit():  # else it was somebody who looked whether the port answers
                    peers[int(rank)] = peer
        return list(peers.values())

    def join(self, address):
        end = time.monotonic() + self.patience
        while True:
            try:
                peer = socket.create_connection(address, timeout=self.patience).makefile("rw")
                self.send(peer, self.rank)
                return peer
            except OSError as problem:  # rank 0 may not have started, or have no name yet
                if time.monotonic() > end:
                    sys.exit(f"rank 0 does not answer at {address[0]}:{address[1]}: {problem}")
                time.sleep(0.2)

    @staticmethod
    def send(peer, value):
        peer.write(json.dumps(value) + "\n")
        peer.flush()

    @staticmethod
    def receive(peer):
        line = peer.readline()
        if not line:
            sys.exit("another rank has gone")
        return json.loads(line)

    def broadcast(self, value):
        if self.rank != 0:
            return self.receive(self.peers[0])
        for peer in self.peers:
            self.send(peer, value)
        return value

    def add_up(self, vector):
        """Returns the element-wise sum of all ranks' vectors."""
        if self.rank != 0:
            self.send(self.peers[0], vector)
            return self.receive(self.peers[0])
        vectors = [vector] + [self.receive(peer) for peer in self.peers]
        return self.broadcast([math.fsum(column) for column in zip(*vectors)])

    def sum(self, value):
        return self.add_up([value])[0]

    def probabilities(self, image):
        scores = []
        for row in range(0, len(self.weights), FEATURES + 1):
            weights = self.weights[row:row + FEATURES]
            scores.append(sum(w * x for w, x in zip(weights, image)) + self.weights[row + FEATURES])
        top = max(scores)
        powers = [math.exp(score - top) for score in scores]
        total = sum(powers)
        return [power / total for power in powers]

    def step(self, share, batch_size):
        loss, gradient = 0.0, [0.0] * len(self.weights)
        for sample in share:
            image, label = self.images[sample], self.labels[sample]
            found = self.probabilities(image)
            loss -= math.log(max(found[label], 1e-12))
            for digit, probability in enumerate(found):
                slope = probability - (digit == label)
                row = digit * (FEATURES + 1)
                for i, x in enumerate(image):
                    gradient[row + i] += slope * x
                gradient[row + FEATURES] += slope
        scale = self.rate / batch_size
        self.weights = [w - scale * g for w, g in zip(self.weights, self.add_up(gradient))]
        return loss

    def accuracy(self, samples):
        right = 0
        for sample in samples:
            found = self.probabilities(self.images[sample])
            right += found.index(max(found)) == self.labels[sample]
        return right / len(samples)

    def state(self):
        return self.weights

    def restore(self, state):
        self.weights = state

    def write(self, value, path):
        with open(path, "w") as file:
            json.dump(value, file)

    def read(self, path):
        with open(path) as file:
            return json.load(file)

    def close(self):
        for peer in self.peers:
            peer.close()


def make_trainer(images, labels, rate, use_torch):
    for name, alone in {"RANK": "0", "WORLD_SIZE": "1", "MASTER_ADDR": "localhost", "MASTER_PORT": "0"}.items():
        os.environ.setdefault(name, alone)
    try:
        if not use_torch:
            raise ImportError
        import torch
    except ImportError:
        print("training without torch: a smaller model in plain Python, gradients averaged over sockets", flush=True)
        return SocketTrainer(images, labels, rate)
    return TorchTrainer(torch, images, labels, rate)


class Checkpoint:
    """A file that is whole at any time: a new one takes the old one's place in one step."""

    def __init__(self, trainer):
        directory = os.environ.get("CHECKPOINT_DIR")
        kind = type(trainer).__name__.replace("Trainer", "").lower()
        self.path = os.path.join(directory, f"checkpoint-{kind}") if directory else None
        self.trainer = trainer

    def load(self):
        """Returns the progress that was saved, the same on every rank, whichever ranks can read the file."""
        start = {"epoch": 0, "step": 0, "state": None}
        if self.trainer.rank == 0 and self.path and os.path.exists(self.path):
            start = self.trainer.read(self.path)
        start = self.trainer.broadcast(start)
        if start["state"] is not None:
            self.trainer.restore(start["state"])
        return start["epoch"], start["step"]

    def save(self, epoch, step):
        if self.trainer.rank != 0 or not self.path:
            return
        os.makedirs(os.path.dirname(self.path), exist_ok=True)
        fresh = f"{self.path}.{os.getpid()}"
        self.trainer.write({"epoch": epoch, "step": step, "state": self.trainer.state()}, fresh)
        os.replace(fresh, self.path)


class Report:
    """What the cluster's recommender wants to know: the speed, and what a restart now would lose."""

    def __init__(self, saves):
        self.speed = None  # steps per second, known after the first epoch
        self.saved = time.monotonic() if saves else None  # a start goes on from the last checkpoint

    def text(self):
        lines = []
        if self.speed is not None:
            lines.append(f"lockstep_steps_per_second {self.speed:.3f}")
        if self.saved is not None:
            lines.append(f"lockstep_seconds_since_checkpoint {time.monotonic() - self.saved:.3f}")
        return "".join(line + "\n" for line in lines)

    def serve(self, port):
        report = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                body = report.text().encode()
                self.send_response(200)
                self.send_header("Content-Type", "text/plain; version=0.0.4")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        try:
            server = http.server.ThreadingHTTPServer(("", port), Handler)
        except OSError as problem:  # training is worth more than telling of it
            print(f"nothing is told at port {port}: {problem}", flush=True)
            return
        threading.Thread(target=server.serve_forever, daemon=True).start()


def train(trainer, samples, options):
    """Trains up to options.epochs epochs, the ones of an earlier start included. Rank 0 tells how it goes."""
    say = (lambda text: print(text, flush=True)) if trainer.rank == 0 else (lambda text: None)
    checkpoint = Checkpoint(trainer)
    first, step = checkpoint.load()
    report = Report(saves=bool(checkpoint.path))
    if options.metrics_port and int(os.environ.get("LOCAL_RANK", 0)) == 0:
        report.serve(options.metrics_port)
    if first > 0:
        say(f"resumed from the checkpoint after epoch {first}, step {step}, with {trainer.world} ranks")
    size = options.batch_size
    for epoch in range(first + 1, options.epochs + 1):
        begin, loss = time.monotonic(), 0.0
        order = random.Random(epoch).sample(samples, len(samples))
        steps = len(order) // size
        for start in range(0, steps * size, size):
            loss += trainer.step(order[start:start + size][trainer.rank::trainer.world], size)
            step += 1
        loss = trainer.sum(loss) / (steps * size)
        checkpoint.save(epoch, step)
        if checkpoint.path:
            report.saved = time.monotonic()
        time.sleep(max(0.0, options.epoch_seconds - (time.monotonic() - begin)))
        say(f"epoch {epoch}/{options.epochs}  step {step}  loss {loss:.4f}  ranks {trainer.world}  "
            f"{time.monotonic() - begin:.2f}s")
        report.speed = steps / (time.monotonic() - begin)
        if options.until and trainer.broadcast(os.path.exists(options.until)):
            say(f"{options.until} is there: it is enough")
            break
    return step


def main():
    parser = argparse.ArgumentParser(description="Train a classifier of digits on one or more ranks.")
    parser.add_argument("--epochs", type=int, default=10, metavar="N", help="train up to this epoch (default 10)")
    parser.add_argument("--batch-size", type=int, default=64, metavar="N", help="samples per step, over all ranks (default 64)")
    parser.add_argument("--rate", type=float, default=0.1, metavar="X", help="learning rate (default 0.1)")
    parser.add_argument("--epoch-seconds", type=float, default=0, metavar="S",
                        help="let an epoch take at least this long, to have time to watch (default 0)")
    parser.add_argument("--until", metavar="FILE", help="end after the epoch in which rank 0 finds this file")
    parser.add_argument("--metrics-port", type=int, default=0, metavar="P", help="tell the speed and the checkpoint's age here")
    parser.add_argument("--no-torch", action="store_true", help="train in plain Python even where torch is installed")
    options = parser.parse_args()

    images, labels, source = digits()
    trainer = make_trainer(images, labels, options.rate, not options.no_torch)
    if options.batch_size < trainer.world:
        sys.exit(f"--batch-size {options.batch_size} is less than the {trainer.world} ranks: each needs a sample per step")
    print(f"rank {trainer.rank} of {trainer.world} on {socket.gethostname()}: {trainer.means}, {source}", flush=True)
    count = len(images) - HELD_OUT
    step = train(trainer, range(count), options)
    if trainer.rank == 0:
        accuracy = trainer.accuracy(list(range(count, len(images))))
        print(f"done after {step} steps: {accuracy:.1%} of the digits held out are read right", flush=True)
    trainer.close()


if __name__ == "__main__":
    main()
