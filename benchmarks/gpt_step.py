"""How fast is a training step of a GPT of 124 million parameters, and what share of the chip?

    python benchmarks/gpt_step.py --batch-size 16

The size of GPT-2 small (12 blocks of 12 heads, 768 wide, windows of 1,024 tokens, a vocabulary
padded to 50,304), bfloat16 products with float32 weights, AdamW, on random tokens: `septet.fit`
against a PyTorch loop as written by hand for speed (`torch.compile`, flash attention, fused
AdamW). Each in a process of its own, in turn; medians over the repeats. Operations of a step
are counted as 6 a weight and token, and 12 a block, its width, the window and token for the
attention (Chowdhery et al., arXiv:2204.02311, appendix B); the peak is a measured product of
large bfloat16 matrices. For an accelerator; on a CPU give a smaller `--size`. The last line is
JSON.
"""

import argparse
import json
import statistics
import sys

from processes import environment_with, machine, run_peer

SIZES = {
    "124M": {"vocabulary_size": 50_304, "length": 1024, "dim": 768, "depth": 12, "num_heads": 12},
    "tiny": {"vocabulary_size": 512, "length": 64, "dim": 64, "depth": 2, "num_heads": 2},
}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--size", choices=SIZES, default="124M")
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--steps", type=int, default=20, help="a timed epoch")
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--repeats", type=int, default=1)
    parser.add_argument("--torch-python", help="Python with torch, numpy")
    options = parser.parse_args()
    torch = environment_with("torch", ["torch==2.13.0", "numpy"], options.torch_python)
    size = SIZES[options.size]
    given = json.dumps(
        {
            "size": size,
            "batch_size": options.batch_size,
            "steps": options.steps,
            "epochs": options.epochs,
        }
    )
    before = machine()
    chip = run_peer(sys.executable, "matrix_products.py", [])
    found: dict[str, list[dict]] = {"septet": [], "torch": []}
    for _ in range(options.repeats):
        for name, python in (("septet", sys.executable), ("torch", torch)):
            found[name].append(run_peer(python, f"gpt_step_{name}.py", [given]))
            print(f"{name}: {found[name][-1]}", file=sys.stderr, flush=True)
    tokens = options.batch_size * size["length"]
    result: dict = {"benchmark": "gpt_step", "size": options.size, "tokens_a_step": tokens}
    for name, each in found.items():
        seconds = statistics.median(one["step_s"] for one in each)
        weights = each[0]["parameters"] - each[0]["position_parameters"]
        attention = 12 * size["depth"] * size["dim"] * size["length"]
        flops = (6 * weights + attention) * tokens / seconds
        result[name] = {
            **each[0],
            "step_s": seconds,
            "tokens_per_s": round(tokens / seconds),
            "tflops": round(flops / 1e12, 1),
            "share_of_peak": round(flops / chip["flops"]["bfloat16"], 3),
        }
        print(f"{name:<8}{1e3 * seconds:9.2f} ms a step, {result[name]['share_of_peak']:.1%}")
    result["septet_is_faster_by"] = round(result["torch"]["step_s"] / result["septet"]["step_s"], 3)
    print(json.dumps({**result, "accelerator": chip, "machine": before}))


if __name__ == "__main__":
    main()
