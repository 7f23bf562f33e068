"""Times flwr's SecAgg+ by its own code, as `cargo xtask bench secure-sum` asks for.

The clients are flwr's client mod, stage by stage; the server is its workflow's own stages, on a grid
that hands over the clients' replies. Nothing is sent anywhere. Times are CPU times of this process,
in milliseconds, all of its threads; what the clients cost is not in the server's.

    python flower.py CLIENTS COORDINATES DROP_PERMILLE SHARES REPETITIONS

One line of JSON on standard output. Where a server would take more than two minutes, its steps are
timed on a part of the cohort and multiplied; `scaled` then says by what.
"""

import json
import logging
import platform
import random
import sys
import time
from importlib import import_module
from importlib.metadata import version
from types import SimpleNamespace

import numpy as np
from flwr.app import ConfigRecord, RecordDict
from flwr.common import Code, FitRes, Status, ndarrays_to_parameters
from flwr.common.secure_aggregation.crypto.shamir import combine_shares
from flwr.common.secure_aggregation.crypto.symmetric_encryption import generate_shared_key
from flwr.common.secure_aggregation.ndarrays_arithmetic import (
    get_parameters_shape,
    parameters_addition,
    parameters_subtraction,
)
from flwr.common.secure_aggregation.secaggplus_constants import RECORD_KEY_CONFIGS, Key
from flwr.common.secure_aggregation.secaggplus_utils import pseudo_rand_gen
from flwr.compat.common import recorddict_compat as compat
from flwr.server.workflow.constant import MAIN_CONFIGS_RECORD
from flwr.server.workflow.constant import Key as WorkflowKey
from flwr.server.workflow.secure_aggregation.secaggplus_workflow import (
    SecAggPlusWorkflow,
    WorkflowState,
)
from flwr.supercore.primitives.asymmetric import bytes_to_private_key, bytes_to_public_key
from flwr.supercore.task_identity import TaskIdentity

# The package gives a function of the same name in the module's place.
client_mod = import_module("flwr.client.mod.secure_aggregation.secaggplus_mod")

# Of the shares; the workflow has no value of its own.
THRESHOLD = 0.5
EXAMPLES = 1
# Above so many coordinates of all clients together, a cohort is timed on a part of itself.
WHOLE = 20_000_000
# How many of a kind are timed then.
TIMED_OWNERS = 3
TIMED_MASKS = 50
TIMED_UPLOADS = 10


def cpu_ms():
    return time.process_time_ns() / 1e6


class Client:
    """One client: flwr's state and stage functions, with the CPU time that they took."""

    def __init__(self, node, parameters):
        self.state = client_mod.SecAggPlusState()
        self.state.nid = node
        self.parameters = parameters
        self.ms = 0.0

    def timed(self, stage, *arguments):
        start = cpu_ms()
        answer = stage(self.state, *arguments)
        self.ms += cpu_ms() - start
        return answer


class Grid:
    """Hands the workflow's messages to `answer`; keeps the time for that apart."""

    def __init__(self, answer):
        self.answer = answer
        self.ms = 0.0

    def send_and_receive(self, messages, timeout=None):
        start = cpu_ms()
        replies = []
        for message in messages:
            node = message.metadata.dst_node_id
            content = self.answer(node, message.content.config_records[RECORD_KEY_CONFIGS])
            if content is not None:
                metadata = SimpleNamespace(src_node_id=node)
                reply = SimpleNamespace(metadata=metadata, content=content, has_error=lambda: False)
                replies.append(reply)
        self.ms += cpu_ms() - start
        return replies


class Strategy:
    """Takes the aggregate and does nothing with it."""

    def aggregate_fit(self, _round, results, _failures):
        self.sum = results[0][1].parameters
        return None, {}


class Cohort:
    def __init__(self, clients, coordinates, dropped, shares):
        self.workflow = SecAggPlusWorkflow(
            num_shares=shares, reconstruction_threshold=THRESHOLD, max_weight=EXAMPLES
        )
        self.nodes = list(range(1, clients + 1))
        self.dropped = set(self.nodes[clients - dropped :])
        self.rng = np.random.default_rng(1)
        self.coordinates = coordinates
        # Settings and neighbours as the workflow's setup stage makes them.
        state = WorkflowState()
        state.num_shares, state.threshold = shares, max(round(THRESHOLD * shares), 2)
        state.clipping_range = self.workflow.clipping_range
        state.quantization_range = self.workflow.quantization_range
        state.mod_range = self.workflow.modulus_range
        state.max_weight = self.workflow.max_weight
        state.sampled_node_ids = set(self.nodes)
        state.active_node_ids = set(self.nodes)
        ring = self.nodes[:]
        random.Random(1).shuffle(ring)
        half = shares >> 1
        state.nid_to_neighbours = {
            node: {ring[(place + offset) % clients] for offset in range(-half, half + 1)}
            for place, node in enumerate(ring)
        }
        state.nid_to_proxies = {node: None for node in self.nodes}
        state.nid_to_fitins = {node: RecordDict() for node in self.nodes}
        self.state = state
        self.clients = {}
        for node in self.nodes:
            values = self.rng.uniform(-0.05, 0.05, coordinates).astype(np.float32)
            is_needed = self.is_whole() or node == 1
            client = Client(node, ndarrays_to_parameters([values]) if is_needed else None)
            self.clients[node] = client
            keys = client.timed(client_mod._setup, self.settings())
            state.nid_to_publickeys[node] = [keys[Key.PUBLIC_KEY_1], keys[Key.PUBLIC_KEY_2]]
        self.strategy = Strategy()
        records = {MAIN_CONFIGS_RECORD: {WorkflowKey.CURRENT_ROUND: 1}}
        self.context = SimpleNamespace(
            state=SimpleNamespace(config_records=records),
            strategy=self.strategy,
            history=None,
        )

    def is_whole(self):
        return len(self.nodes) * self.coordinates <= WHOLE

    def settings(self):
        state = self.state
        return {
            Key.SAMPLE_NUMBER: len(self.nodes),
            Key.SHARE_NUMBER: state.num_shares,
            Key.THRESHOLD: state.threshold,
            Key.CLIPPING_RANGE: state.clipping_range,
            Key.TARGET_RANGE: state.quantization_range,
            Key.MOD_RANGE: state.mod_range,
            Key.MAX_WEIGHT: state.max_weight,
        }

    def share(self, node, config):
        keys = {name: value for name, value in config.items() if name != Key.STAGE}
        answer = self.clients[node].timed(client_mod._share_keys, keys)
        return RecordDict({RECORD_KEY_CONFIGS: ConfigRecord(answer)})

    def upload(self, node, config):
        if node in self.dropped:
            return None
        client = self.clients[node]
        answer = client.timed(
            client_mod._collect_masked_vectors, config, EXAMPLES, client.parameters
        )
        return reply_with_fit(answer)

    def open(self, node, config):
        answer = self.clients[node].timed(client_mod._unmask, config)
        return RecordDict({RECORD_KEY_CONFIGS: ConfigRecord(answer)})

    def stage(self, stage, answer):
        """The server's CPU time of one stage."""
        grid = Grid(answer)
        start = cpu_ms()
        if not stage(grid, self.context, self.state):
            raise SystemExit("flwr's server gave up")
        return cpu_ms() - start - grid.ms

    def whole(self):
        """Server milliseconds by stage; every step is carried out."""
        times = {
            "share": self.stage(self.workflow.share_keys_stage, self.share),
            "upload": self.stage(self.workflow.collect_masked_vectors_stage, self.upload),
            "unmask": self.stage(self.workflow.unmask_stage, self.open),
        }
        return times, None

    def part(self):
        """The same for a large cohort, from a part of its steps."""
        state, survivors = self.state, len(self.nodes) - len(self.dropped)
        # One client for real: what it says stands for what every other says.
        keys = {str(node): state.nid_to_publickeys[node] for node in state.nid_to_neighbours[1]}
        shared = self.share(1, keys)
        times = {"share": self.stage(self.workflow.share_keys_stage, lambda *_: shared)}
        sources = sorted(state.nid_to_neighbours[1] - {1})
        length = len(self.clients[1].state.rd_seed_share_dict[1])
        config = {
            Key.CIPHERTEXT_LIST: [self.box(node, 1, length) for node in sources],
            Key.SOURCE_LIST: sources,
        }
        vector = self.upload(1, config)
        sent = self.nodes[:TIMED_UPLOADS]
        state.active_node_ids = set(sent)
        state.threshold = 0
        upload = self.stage(self.workflow.collect_masked_vectors_stage, lambda node, _: vector)
        times["upload"] = upload / len(sent) * survivors
        masked = state.aggregate_ndarrays
        shape = get_parameters_shape(masked)
        # Shares of the client that is real, as many as arrive.
        arriving = round(state.num_shares * survivors / len(self.nodes))
        b_shares = self.gathered(1, arriving)
        secret, seed_ms = timed(lambda: combine_shares(b_shares[0]), TIMED_OWNERS)
        key, key_ms = timed(lambda: combine_shares(b_shares[1]), TIMED_OWNERS)
        other = state.nid_to_publickeys[2][0]
        pair, agree_ms = timed(
            lambda: generate_shared_key(bytes_to_private_key(key), bytes_to_public_key(other)),
            TIMED_MASKS,
        )
        expand = lambda: parameters_subtraction(
            masked, pseudo_rand_gen(pair, state.mod_range, shape)
        )
        _, mask_ms = timed(expand, TIMED_MASKS)
        pairs = len(self.dropped) * (state.num_shares - 1)
        times["unmask"] = (
            survivors * seed_ms
            + len(self.dropped) * key_ms
            + pairs * agree_ms
            + (survivors + pairs) * mask_ms
        )
        scaled = {
            "uploads_timed": len(sent),
            "uploads": survivors,
            "owners_timed": TIMED_OWNERS,
            "owners": len(self.nodes),
            "masks_timed": TIMED_MASKS,
            "masks": survivors + pairs,
        }
        return times, scaled

    def box(self, source, target, length):
        """What a neighbour seals for the client, with shares that are none."""
        secret = bytes_to_private_key(self.clients[source].state.sk2)
        key = generate_shared_key(secret, bytes_to_public_key(self.state.nid_to_publickeys[target][1]))
        plain = client_mod.share_keys_plaintext_concat(source, target, bytes(length), bytes(length))
        return client_mod.encrypt(key, plain)

    def gathered(self, owner, count):
        """Shares of the owner's two secrets, as its neighbours hold them."""
        state = self.clients[owner].state
        create = client_mod.create_shares
        seeds = create(state.rd_seed, state.threshold, state.share_num)
        keys = create(state.sk1, state.threshold, state.share_num)
        return seeds[:count], keys[:count]


def reply_with_fit(answer):
    content = compat.fitres_to_recorddict(
        FitRes(Status(Code.OK, ""), ndarrays_to_parameters([]), EXAMPLES, {}), True
    )
    content.config_records[RECORD_KEY_CONFIGS] = ConfigRecord(answer)
    return content


def timed(step, times):
    """The step's last result and its mean CPU time."""
    start = cpu_ms()
    for _ in range(times):
        result = step()
    return result, (cpu_ms() - start) / times


def generator_ns(coordinates, repetitions):
    """Best time of the mask generator alone, in nanoseconds for each coordinate."""
    best = float("inf")
    for seed in range(max(repetitions, 5)):
        start = time.process_time_ns()
        pseudo_rand_gen(bytes([seed] * 32), 1 << 32, [(coordinates,)])
        best = min(best, time.process_time_ns() - start)
    return best / coordinates


def main():
    clients, coordinates, permille, shares, repetitions = map(int, sys.argv[1:])
    logging.disable(logging.CRITICAL)
    # Every message carries these.
    TaskIdentity.run_id = 1
    TaskIdentity.task_id = 1
    TaskIdentity.node_id = 1
    dropped = clients * permille // 1000
    servers, stages, clients_ms, scaled = [], [], [], None
    for _ in range(repetitions):
        cohort = Cohort(clients, coordinates, dropped, shares)
        if cohort.is_whole():
            times, scaled = cohort.whole()
            done = [cohort.clients[node].ms for node in cohort.nodes if node not in cohort.dropped]
        else:
            times, scaled = cohort.part()
            done = [cohort.clients[1].ms]
        servers.append(sum(times.values()))
        stages.append(times)
        clients_ms.extend(done)
    best = servers.index(min(servers))
    print(
        json.dumps(
            {
                "flwr": version("flwr"),
                "numpy": version("numpy"),
                "python": platform.python_version(),
                "clients": clients,
                "coordinates": coordinates,
                "dropped": dropped,
                "shares": cohort.state.num_shares,
                "threshold": max(round(THRESHOLD * shares), 2),
                "server_ms": servers,
                "server_stages_ms": stages[best],
                "client_ms": clients_ms,
                "generator_ns_per_coordinate": generator_ns(coordinates, repetitions),
                "scaled": scaled,
            }
        )
    )


if __name__ == "__main__":
    main()
