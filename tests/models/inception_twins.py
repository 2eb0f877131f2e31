"""GoogLeNet and Inception v3 written out in PyTorch, under torchvision's names and Caffe's.

`width` divides every number of channels. In training mode a network returns (its logits, the
logits of its auxiliary heads).
"""
from collections import OrderedDict

# Szegedy et al. 2014, table 1.
BLOCKS = {"3a": (64, 96, 128, 16, 32, 32), "3b": (128, 128, 192, 32, 96, 64),
          "4a": (192, 96, 208, 16, 48, 64), "4b": (160, 112, 224, 24, 64, 64),
          "4c": (128, 128, 256, 24, 64, 64), "4d": (112, 144, 288, 32, 64, 64),
          "4e": (256, 160, 320, 32, 128, 128), "5a": (256, 160, 320, 32, 128, 128),
          "5b": (384, 192, 384, 48, 128, 128)}


def basic_conv(torch, ins, outs, kernel, **where):
    layers = torch.nn
    return layers.Sequential(OrderedDict(
        conv=layers.Conv2d(ins, outs, kernel, bias=False, **where),
        bn=layers.BatchNorm2d(outs, eps=1e-3), relu=layers.ReLU()))


def googlenet(torch, width, classes):
    """torchvision's."""
    layers, F = torch.nn, torch.nn.functional

    def conv(ins, outs, kernel, **where):
        return basic_conv(torch, ins, outs, kernel, **where)

    class Block(layers.Module):
        def __init__(self, ins, a, b, c, d, e, f):
            super().__init__()
            self.branch1 = conv(ins, a, 1)
            self.branch2 = layers.Sequential(conv(ins, b, 1), conv(b, c, 3, padding=1))
            self.branch3 = layers.Sequential(conv(ins, d, 1), conv(d, e, 3, padding=1))
            self.branch4 = layers.Sequential(layers.MaxPool2d(3, 1, 1, ceil_mode=True),
                                             conv(ins, f, 1))

        def forward(self, x):
            return torch.cat([branch(x) for branch in self.children()], 1)

    class Head(layers.Module):
        def __init__(self, ins):
            super().__init__()
            self.conv = conv(ins, 128 // width, 1)
            self.fc1 = layers.Linear(16 * 128 // width, 1024 // width)
            self.fc2 = layers.Linear(1024 // width, classes)

        def forward(self, x):
            x = self.conv(F.adaptive_avg_pool2d(x, 4))
            return self.fc2(torch.relu(self.fc1(x.flatten(1))))

    class GoogLeNet(layers.Module):
        def __init__(self):
            super().__init__()
            w = width
            self.conv1 = conv(3, 64 // w, 7, stride=2, padding=3)
            self.conv2 = conv(64 // w, 64 // w, 1)
            self.conv3 = conv(64 // w, 192 // w, 3, padding=1)
            ins = 192 // w
            for name, sizes in BLOCKS.items():
                sizes = [size // w for size in sizes]
                setattr(self, f"inception{name}", Block(ins, *sizes))
                ins = sizes[0] + sizes[2] + sizes[4] + sizes[5]
            self.aux1, self.aux2 = Head(512 // w), Head(528 // w)
            self.fc = layers.Linear(ins, classes)

        def forward(self, x):
            def pool(x, kernel=3):
                return F.max_pool2d(x, kernel, 2, ceil_mode=True)

            x = pool(self.conv3(self.conv2(pool(self.conv1(x)))))
            heads = []
            for name in BLOCKS:
                x = getattr(self, f"inception{name}")(x)
                if name in ("4a", "4d") and self.training:
                    heads.append((self.aux1 if name == "4a" else self.aux2)(x))
                if name in ("3b", "4e"):
                    x = pool(x, 3 if name == "3b" else 2)
            logits = self.fc(x.mean((2, 3)))
            return (logits, heads) if self.training else logits

    return GoogLeNet().double()


def caffe_googlenet(torch, width, classes):
    """BVLC's bvlc_googlenet/train_val.prototxt, under its layers' names."""
    layers, F = torch.nn, torch.nn.functional

    class GoogLeNet(layers.Module):
        def __init__(self):
            super().__init__()
            w = width
            self.conv("conv1/7x7_s2", 3, 64 // w, 7, stride=2, padding=3)
            self.conv("conv2/3x3_reduce", 64 // w, 64 // w, 1)
            self.conv("conv2/3x3", 64 // w, 192 // w, 3, padding=1)
            ins = 192 // w
            for name, sizes in BLOCKS.items():
                a, b, c, d, e, f = (size // w for size in sizes)
                block = f"inception_{name}"
                self.conv(f"{block}/1x1", ins, a, 1)
                self.conv(f"{block}/3x3_reduce", ins, b, 1)
                self.conv(f"{block}/3x3", b, c, 3, padding=1)
                self.conv(f"{block}/5x5_reduce", ins, d, 1)
                self.conv(f"{block}/5x5", d, e, 5, padding=2)
                self.conv(f"{block}/pool_proj", ins, f, 1)
                ins = a + c + e + f
            for name, channels in (("loss1", 512), ("loss2", 528)):
                self.conv(f"{name}/conv", channels // w, 128 // w, 1)
                # 2 x 2 of an image of 96 pixels, 4 x 4 of one of 224.
                self.add_module(f"{name}/fc", layers.Linear(4 * 128 // w, 1024 // w))
                self.add_module(f"{name}/classifier", layers.Linear(1024 // w, classes))
            self.add_module("loss3/classifier", layers.Linear(ins, classes))

        def conv(self, name, ins, outs, kernel, **where):
            self.add_module(name, layers.Conv2d(ins, outs, kernel, **where))

        def run(self, name, x):
            return torch.relu(getattr(self, name)(x))

        def block(self, name, x):
            def run(layer, x):
                return self.run(f"inception_{name}/{layer}", x)

            pooled = F.max_pool2d(x, 3, 1, 1)
            return torch.cat([run("1x1", x), run("3x3", run("3x3_reduce", x)),
                              run("5x5", run("5x5_reduce", x)), run("pool_proj", pooled)], 1)

        def head(self, name, x):
            x = self.run(f"{name}/conv", F.avg_pool2d(x, 5, 3, ceil_mode=True))
            return getattr(self, f"{name}/classifier")(self.run(f"{name}/fc", x.flatten(1)))

        def forward(self, x):
            def pool(x):
                return F.max_pool2d(x, 3, 2, ceil_mode=True)

            def norm(x):
                return F.local_response_norm(x, 5, 1e-4, 0.75, 1)

            x = self.run("conv2/3x3_reduce", norm(pool(self.run("conv1/7x7_s2", x))))
            x = pool(norm(self.run("conv2/3x3", x)))
            heads = []
            for name in BLOCKS:
                x = self.block(name, x)
                if name in ("4a", "4d") and self.training:
                    heads.append(self.head("loss1" if name == "4a" else "loss2", x))
                if name in ("3b", "4e"):
                    x = pool(x)
            logits = getattr(self, "loss3/classifier")(x.mean((2, 3)))
            return (logits, heads) if self.training else logits

    return GoogLeNet().double()


def inception_v3(torch, width, classes):
    """torchvision's."""
    layers, F = torch.nn, torch.nn.functional
    row, column = {"kernel": (1, 7), "padding": (0, 3)}, {"kernel": (7, 1), "padding": (3, 0)}

    class Block(layers.Module):
        """Chains of convolutions under torchvision's names, side by side, and then a pool."""

        def __init__(self, ins, pool, **chains):
            super().__init__()
            self.pool, self.chains = pool, []
            for branch, sizes in chains.items():
                chain, channels = [], ins
                for i, (outs, kernel, where) in enumerate(sizes, 1):
                    name = f"{branch}_{i}" if len(sizes) > 1 else branch
                    self.add_module(name, basic_conv(torch, channels, outs // width, kernel,
                                                     **where))
                    channels = outs // width
                    chain.append(name)
                self.chains.append(chain)

        def forward(self, x):
            results = []
            for chain in self.chains:
                y = x
                if chain == ["branch_pool"]:
                    y = F.avg_pool2d(x, 3, 1, 1)
                for name in chain:
                    y = getattr(self, name)(y)
                results.append(y)
            return torch.cat(results + ([F.max_pool2d(x, 3, 2)] if self.pool else []), 1)

    class Wide(Block):
        """The last blocks, of which two branches fork."""

        def __init__(self, ins):
            super().__init__(ins, None, branch1x1=[(320, 1, {})], branch_pool=[(192, 1, {})])
            self.branch3x3_1 = basic_conv(torch, ins, 384 // width, 1)
            self.branch3x3dbl_1 = basic_conv(torch, ins, 448 // width, 1)
            self.branch3x3dbl_2 = basic_conv(torch, 448 // width, 384 // width, 3, padding=1)
            for name in ("branch3x3_2", "branch3x3dbl_3"):
                for end, kernel, padding in (("a", (1, 3), (0, 1)), ("b", (3, 1), (1, 0))):
                    self.add_module(name + end, basic_conv(
                        torch, 384 // width, 384 // width, kernel, padding=padding))

        def forward(self, x):
            def fork(name, y):
                return [getattr(self, name + end)(y) for end in "ab"]

            return torch.cat([self.branch1x1(x), *fork("branch3x3_2", self.branch3x3_1(x)),
                              *fork("branch3x3dbl_3", self.branch3x3dbl_2(self.branch3x3dbl_1(x))),
                              self.branch_pool(F.avg_pool2d(x, 3, 1, 1))], 1)

    def fine(ins, pooled):
        return Block(ins // width, False, branch1x1=[(64, 1, {})],
                     branch5x5=[(48, 1, {}), (64, 5, {"padding": 2})],
                     branch3x3dbl=[(64, 1, {}), (96, 3, {"padding": 1}), (96, 3, {"padding": 1})],
                     branch_pool=[(pooled, 1, {})])

    def seven(outs, how):
        return outs, how["kernel"], {"padding": how["padding"]}

    def middle(c):
        return Block(768 // width, False, branch1x1=[(192, 1, {})],
                     branch7x7=[(c, 1, {}), seven(c, row), seven(192, column)],
                     branch7x7dbl=[(c, 1, {}), seven(c, column), seven(c, row), seven(c, column),
                                   seven(192, row)],
                     branch_pool=[(192, 1, {})])

    class Head(layers.Module):
        def __init__(self):
            super().__init__()
            self.conv0 = basic_conv(torch, 768 // width, 128 // width, 1)
            self.conv1 = basic_conv(torch, 128 // width, 768 // width, 5)
            self.fc = layers.Linear(768 // width, classes)

        def forward(self, x):
            return self.fc(self.conv1(self.conv0(F.avg_pool2d(x, 5, 3))).mean((2, 3)))

    class Inception3(layers.Module):
        def __init__(self):
            super().__init__()
            ins = 3
            for name, outs, where in (("1a_3x3", 32, {"stride": 2}), ("2a_3x3", 32, {}),
                                      ("2b_3x3", 64, {"padding": 1}), ("3b_1x1", 80, {}),
                                      ("4a_3x3", 192, {})):
                self.add_module(f"Conv2d_{name}", basic_conv(torch, ins, outs // width,
                                                             int(name[-1]), **where))
                ins = outs // width
            stride = {"stride": 2}
            self.Mixed_5b, self.Mixed_5c = fine(192, 32), fine(256, 64)
            self.Mixed_5d = fine(288, 64)
            self.Mixed_6a = Block(288 // width, True, branch3x3=[(384, 3, stride)],
                                  branch3x3dbl=[(64, 1, {}), (96, 3, {"padding": 1}),
                                                (96, 3, stride)])
            self.Mixed_6b, self.Mixed_6c = middle(128), middle(160)
            self.Mixed_6d, self.Mixed_6e = middle(160), middle(192)
            self.AuxLogits = Head()
            self.Mixed_7a = Block(768 // width, True, branch3x3=[(192, 1, {}), (320, 3, stride)],
                                  branch7x7x3=[(192, 1, {}), seven(192, row), seven(192, column),
                                               (192, 3, stride)])
            self.Mixed_7b, self.Mixed_7c = Wide(1280 // width), Wide(2048 // width)
            self.fc = layers.Linear(2048 // width, classes)

        def forward(self, x):
            x = self.Conv2d_2b_3x3(self.Conv2d_2a_3x3(self.Conv2d_1a_3x3(x)))
            x = self.Conv2d_4a_3x3(self.Conv2d_3b_1x1(F.max_pool2d(x, 3, 2)))
            x = self.Mixed_5d(self.Mixed_5c(self.Mixed_5b(F.max_pool2d(x, 3, 2))))
            x = self.Mixed_6c(self.Mixed_6b(self.Mixed_6a(x)))
            x = self.Mixed_6e(self.Mixed_6d(x))
            heads = [self.AuxLogits(x)] if self.training else []
            x = self.Mixed_7c(self.Mixed_7b(self.Mixed_7a(x)))
            logits = self.fc(x.mean((2, 3)))
            return (logits, heads) if self.training else logits

    return Inception3().double()
