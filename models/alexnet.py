"""AlexNet (Krizhevsky, Sutskever, Hinton 2012) as one tower: no groups, no normalisation."""
from typing import Any

from minitensor import Generator, nn
from minitensor.nn.init import he, paper
from minitensor.nn.summary import summary

INITS = {"he": he, "paper": paper}


class AlexNet(nn.Sequential):
    """(N, 3, image_size, image_size) float32 -> logits (N, num_classes). With the defaults 62,378,344 parameters, 1,135,256,096 MACs.

    image_size   at least 67, where the last pooling leaves 1 x 1; 227 here, as its arithmetic demands
    width        multiplies the channels of every hidden layer
    dropout      probability of dropping each input of fc6 and fc7 while training
    generator    draws the weights, then the dropout masks
    init         "he", or "paper": N(0, 0.01), biases 1 in conv2, conv4, conv5, fc6 and fc7, which learns slowly if at all on its own

    Raises ValueError naming the argument that is out of range.
    """

    def __init__(self, num_classes: int = 1000, image_size: int = 227, width: float = 1.0, dropout: float = 0.5, *,
                 generator: Generator, init: str = "he"):
        _check(num_classes, image_size, width, dropout, init)
        self.config: dict[str, Any] = {"num_classes": num_classes, "image_size": image_size, "width": width, "dropout": dropout}
        channels = {name: max(1, round(width * full)) for name, full in CHANNELS.items()}
        c1, c2, c3, c4, c5, fc6, fc7 = channels.values()
        side = feature_side(image_size)
        draw: dict[str, Any] = {"generator": generator}
        relu: dict[str, Any] = {"activation": "relu", **draw}
        super().__init__(                                                         # output at 227 px
            conv1=nn.Conv2d(3, c1, 11, stride=4, **relu),                         # 96 x 55 x 55
            pool1=nn.MaxPool2d(3, 2),                                             # 96 x 27 x 27
            conv2=nn.Conv2d(c1, c2, 5, padding=2, **relu),                        # 256 x 27 x 27
            pool2=nn.MaxPool2d(3, 2),                                             # 256 x 13 x 13
            conv3=nn.Conv2d(c2, c3, 3, padding=1, **relu),                        # 384 x 13 x 13
            conv4=nn.Conv2d(c3, c4, 3, padding=1, **relu),                        # 384 x 13 x 13
            conv5=nn.Conv2d(c4, c5, 3, padding=1, **relu),                        # 256 x 13 x 13
            pool5=nn.MaxPool2d(3, 2),                                             # 256 x 6 x 6
            flatten=nn.Flatten(),                                                 # 9216
            drop6=nn.Dropout(dropout, **draw),
            fc6=nn.Linear(c5 * side * side, fc6, **relu),                         # 4096
            drop7=nn.Dropout(dropout, **draw),
            fc7=nn.Linear(fc6, fc7, **relu),                                      # 4096
            fc8=nn.Linear(fc7, num_classes, **draw),                              # 1000 logits
        )
        if init == "he":                    # which the layers have already
            # Small logits: the loss starts near ln(num_classes), and no ReLU dies in the first steps.
            self.state_dict()["fc8.weight"][...] *= 0.1
        else:
            INITS[init](self, generator)

    @property
    def input_shape(self) -> tuple[int, int, int]:
        return 3, self.config["image_size"], self.config["image_size"]

    def __repr__(self) -> str:
        return summary(self, self.input_shape)


CHANNELS = {"conv1": 96, "conv2": 256, "conv3": 384, "conv4": 384, "conv5": 256, "fc6": 4096, "fc7": 4096}


def feature_side(image_size: int) -> int:
    """Side of pool5's output: conv1 takes 11 x 11 windows every 4 pixels, each of three pools 3 x 3 every 2."""
    side = (image_size - 11) // 4 + 1
    for _ in range(3):
        side = (side - 3) // 2 + 1
    return side


def _check(num_classes: int, image_size: int, width: float, dropout: float, init: str) -> None:
    if num_classes < 2:
        raise ValueError(f"AlexNet: num_classes must be at least 2, not {num_classes}")
    if feature_side(image_size) < 1:
        raise ValueError(f"AlexNet: image_size must be at least 67, not {image_size}: pool5 would have no output")
    if not width > 0:
        raise ValueError(f"AlexNet: width must be above 0, not {width}")
    if not 0 <= dropout < 1:
        raise ValueError(f"AlexNet: dropout must be in [0, 1), not {dropout}")
    if init not in INITS:
        raise ValueError(f"AlexNet: init must be one of {tuple(INITS)}, not {init!r}")
