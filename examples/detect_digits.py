"""Find handwritten digits on canvases, look at the score, and ask about one picture.

    pip install 'septet[vision]'
    python examples/detect_digits.py

Takes about a minute on two cores. With your own pictures, give a folder with boxes in COCO,
Pascal VOC or YOLO format instead of "digit-scenes".
"""

import septet
from septet import registry

SETTINGS = {"model": {"flip": False, "scale": 0.2, "colour": 0.0}}


def main() -> None:
    run = septet.train("object-detection", "digit-scenes", settings=SETTINGS, minutes=1)
    low, high = run.evaluation["intervals"]["map_50"]
    print(f"mAP@.5 {run.scores['map_50']:.3f} (95 %: {low:.3f} to {high:.3f})")
    print(f"report {run.report}")

    picture = registry.sample("digit-scenes").path() / "test" / "00001.jpg"
    answer = septet.load(run.folder / "model").predict(picture)
    print(f"found in {picture.name}:")
    for box in answer.boxes:
        print(f"  {box}")


if __name__ == "__main__":
    main()
