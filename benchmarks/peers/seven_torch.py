"""Some of the seven models in a plain PyTorch loop with fused Adam.

    python seven_torch.py MODELS WAY EPOCHS BATCH_SIZE

MODELS: names with commas between. WAY: eager, compile (`torch.compile` of forward, loss and
backward) or graphs (the same with CUDA graphs). On a GPU, where there is one, with all examples
in its memory and float32 products as XLA and TensorFlow do them there (TF32).
"""

import time

import seven_models as setting
import torch
from torch import nn
from torch.nn import functional

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"


class Recurrent(nn.Module):
    def __init__(self, kind):
        super().__init__()
        self.cell = {"rnn": nn.RNN, "lstm": nn.LSTM, "gru": nn.GRU}[kind](1, 50, batch_first=True)
        self.out = nn.Linear(50, 1)

    def forward(self, inputs):
        return self.out(self.cell(inputs)[0][:, -1])


class Transformer(nn.Module):
    def __init__(self):
        super().__init__()
        self.parts = nn.ModuleList([nn.Linear(32, 64) for _ in range(3)])
        self.join = nn.Linear(64, 32)
        self.first, self.second = nn.LayerNorm(32), nn.LayerNorm(32)
        self.up, self.down, self.out = nn.Linear(32, 32), nn.Linear(32, 32), nn.Linear(32, 1)
        self.drop = nn.Dropout(0.1)

    def forward(self, inputs):
        split = [part(inputs).unflatten(-1, (2, 32)).transpose(1, 2) for part in self.parts]
        attended = functional.scaled_dot_product_attention(*split, dropout_p=0.1)
        attended = self.join(attended.transpose(1, 2).flatten(2))
        hidden = self.first(inputs + self.drop(attended))
        hidden = self.second(hidden + self.drop(self.down(self.up(hidden).relu())))
        return self.out(hidden.mean(1))


def network(name):
    if name == "dense":
        return nn.Sequential(
            nn.Linear(100, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10)
        )
    if name == "cnn":
        return nn.Sequential(
            nn.Conv2d(1, 32, 3), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(32, 64, 3), nn.ReLU(), nn.MaxPool2d(2),
            nn.Flatten(), nn.Linear(1600, 64), nn.ReLU(), nn.Linear(64, 10),
        )  # fmt: skip
    return Transformer() if name == "transformer" else Recurrent(name)


def prepared(function, way):
    """The function as the way has it run."""
    if way == "eager":
        return function
    return torch.compile(function, mode="reduce-overhead" if way == "graphs" else None)


def stepper(name, way):
    """A function (inputs, targets) -> loss that does one step."""
    if name == "gan":
        return gan_stepper(way)
    model = network(name).to(DEVICE)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3, eps=1e-7, fused=True)
    loss_function = nn.CrossEntropyLoss() if name in ("dense", "cnn") else nn.MSELoss()

    def loss_of(inputs, targets):
        return loss_function(model(inputs), targets)

    loss_of = prepared(loss_of, way)

    def step(inputs, targets):
        optimizer.zero_grad()
        loss = loss_of(inputs, targets)
        loss.backward()
        optimizer.step()
        return loss.detach()

    return step


def gan_stepper(way):
    generator = nn.Sequential(
        nn.Linear(setting.NOISE, 128), nn.LeakyReLU(0.2), nn.Linear(128, 784), nn.Tanh()
    )
    judge = nn.Sequential(nn.Linear(784, 128), nn.LeakyReLU(0.2), nn.Linear(128, 1))
    adam = {"lr": 2e-4, "betas": (0.5, 0.999), "eps": 1e-7, "fused": True}
    generator, judge = generator.to(DEVICE), judge.to(DEVICE)
    first = torch.optim.Adam(generator.parameters(), **adam)
    second = torch.optim.Adam(judge.parameters(), **adam)

    def judge_loss(real, noise):
        fake = generator(noise).detach()
        return functional.softplus(-judge(real)).mean() + functional.softplus(judge(fake)).mean()

    def fool_loss(noise):
        return functional.softplus(-judge(generator(noise))).mean()

    judge_loss, fool_loss = prepared(judge_loss, way), prepared(fool_loss, way)

    def step(real, targets):
        noise = torch.randn(len(real), setting.NOISE, device=DEVICE)
        second.zero_grad()
        loss = judge_loss(real, noise)
        loss.backward()
        second.step()
        # What a CUDA graph gives is overwritten when one is next replayed.
        loss = loss.detach().clone()
        first.zero_grad()
        fool_loss(noise).backward()
        first.step()
        return loss

    return step


def measure(name, way, epochs, batch_size):
    torch.manual_seed(0)
    torch.set_float32_matmul_precision("high")
    inputs, targets = setting.make(name, batch_size)
    inputs = torch.from_numpy(inputs).to(DEVICE)
    inputs = inputs.permute(0, 3, 1, 2).contiguous() if name == "cnn" else inputs
    targets = inputs[:, :1] if targets is None else torch.from_numpy(targets).to(DEVICE)
    targets = targets.long() if name in ("dense", "cnn") else targets
    epoch_s, loss = [], 0.0
    begin = time.perf_counter()
    step = stepper(name, way)
    for _ in range(epochs + 1):
        total = 0.0
        for rows in torch.randperm(len(inputs), device=DEVICE).split(batch_size):
            total += step(inputs[rows], targets[rows])
        loss = float(total) / setting.STEPS_PER_EPOCH
        epoch_s.append(time.perf_counter() - begin)
        begin = time.perf_counter()
    peer, version = f"torch-{way}", torch.__version__
    return setting.result(peer, version, name, epoch_s[0], epoch_s[1:], loss)


if __name__ == "__main__":
    setting.run(measure)
