"""Networks by the names that readers know."""

NETWORKS = {
    "lenet5": "LeNet-5", "vgg11": "VGG-11", "vgg13": "VGG-13", "vgg16": "VGG-16", "vgg19": "VGG-19",
    "resnet18": "ResNet-18", "resnet18-2x2": "ResNet-18", "resnet18-3x3": "ResNet-18", "resnet50": "ResNet-50",
    "densenet121": "DenseNet-121", "densenet121-published": "DenseNet-121",
}  # fmt: skip


def network_name(name: str) -> str:
    """Return a network's name as a reader writes it; "vgg11/8" has an eighth of the channels."""
    if name.startswith("mlp "):
        return f"MLP {name[4:].replace('x', ' × ')}"
    base, _, divisor = name.partition("/")
    return NETWORKS.get(base, base) + (f" with 1/{divisor} of the channels" if divisor else "")
