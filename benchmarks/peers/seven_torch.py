"""Some of the seven models in a plain PyTorch loop with fused Adam.

    python seven_torch.py MODELS WAY EPOCHS

MODELS: names with commas between. WAY: eager or
compile (`torch.compile` of forward, loss and backward).
"""

import time

import seven_models as setting
import torch
from torch import nn
from torch.nn import functional


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


def stepper(name, compiled):
    """A function (inputs, targets) -> loss that does one step."""
    if name == "gan":
        return gan_stepper(compiled)
    model = network(name)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3, eps=1e-7, fused=True)
    loss_function = nn.CrossEntropyLoss() if name in ("dense", "cnn") else nn.MSELoss()

    def loss_of(inputs, targets):
        return loss_function(model(inputs), targets)

    loss_of = torch.compile(loss_of) if compiled else loss_of

    def step(inputs, targets):
        optimizer.zero_grad()
        loss = loss_of(inputs, targets)
        loss.backward()
        optimizer.step()
        return loss.detach()

    return step


def gan_stepper(compiled):
    generator = nn.Sequential(
        nn.Linear(setting.NOISE, 128), nn.LeakyReLU(0.2), nn.Linear(128, 784), nn.Tanh()
    )
    judge = nn.Sequential(nn.Linear(784, 128), nn.LeakyReLU(0.2), nn.Linear(128, 1))
    adam = {"lr": 2e-4, "betas": (0.5, 0.999), "eps": 1e-7, "fused": True}
    first = torch.optim.Adam(generator.parameters(), **adam)
    second = torch.optim.Adam(judge.parameters(), **adam)

    def judge_loss(real, noise):
        fake = generator(noise).detach()
        return functional.softplus(-judge(real)).mean() + functional.softplus(judge(fake)).mean()

    def fool_loss(noise):
        return functional.softplus(-judge(generator(noise))).mean()

    if compiled:
        judge_loss, fool_loss = torch.compile(judge_loss), torch.compile(fool_loss)

    def step(real, targets):
        noise = torch.randn(len(real), setting.NOISE)
        second.zero_grad()
        loss = judge_loss(real, noise)
        loss.backward()
        second.step()
        first.zero_grad()
        fool_loss(noise).backward()
        first.step()
        return loss.detach()

    return step


def measure(name, way, epochs):
    torch.manual_seed(0)
    inputs, targets = setting.make(name)
    inputs = torch.from_numpy(inputs)
    inputs = inputs.permute(0, 3, 1, 2).contiguous() if name == "cnn" else inputs
    targets = inputs[:, :1] if targets is None else torch.from_numpy(targets)
    targets = targets.long() if name in ("dense", "cnn") else targets
    epoch_s, loss = [], 0.0
    begin = time.perf_counter()
    step = stepper(name, way == "compile")
    for _ in range(epochs + 1):
        total = 0.0
        for rows in torch.randperm(len(inputs)).split(setting.BATCH_SIZE):
            total += step(inputs[rows], targets[rows])
        loss = float(total) / setting.STEPS_PER_EPOCH
        epoch_s.append(time.perf_counter() - begin)
        begin = time.perf_counter()
    peer, version = f"torch-{way}", torch.__version__
    return setting.result(peer, version, name, epoch_s[0], epoch_s[1:], loss)


if __name__ == "__main__":
    setting.run(measure)
