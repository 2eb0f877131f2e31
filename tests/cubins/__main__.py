"""`python -m tests.cubins`: a row per kernel and variant: its registers on each architecture, its
shared memory, stack and spills."""
import sys

from . import ARCHITECTURES, Build, Usage, all_builds, problem, usages

ROW = "{:<16} {:<48} {:<30} " + len(ARCHITECTURES) * "{:>6} " + "{:>7} {:>6} {:>8}"


def main() -> int:
    if reason := problem():
        print(reason, file=sys.stderr)
        return 1
    print(ROW.format("file", "variant", "kernel", *ARCHITECTURES, "shared", "stack", "spilled"))
    failures = 0
    for (file, variant), builds in by_variant().items():
        name = " ".join((variant.dtype, *variant.options))
        failures += _print_rows(file, name, list(usages(builds)))
    print("\nregisters of a thread on each architecture; the most bytes on any of them of shared\n"
          "memory of a block, of stack and of spilled registers of a thread; "
          f"{failures} failures, where a spill is one")
    return int(failures > 0)


def by_variant() -> dict[tuple, list[Build]]:
    variants: dict[tuple, list[Build]] = {}
    for build in all_builds():
        variants.setdefault((build.file, build.variant), []).append(build)
    return variants


def _print_rows(file: str, variant: str,
                results: list[tuple[Build, list[Usage] | SyntaxError]]) -> int:
    """How many of the variant's compilations and kernels failed."""
    errors = [(build, kernels) for build, kernels in results if isinstance(kernels, SyntaxError)]
    for build, error in errors:
        print(f"{build} does not compile:\n{error}")
    kernels = [kernels for _, kernels in results if not isinstance(kernels, SyntaxError)]
    spills = 0
    for same in zip(*kernels):
        missing = (len(ARCHITECTURES) - len(same)) * [""]           # where it does not compile
        registers = [k.registers for k in same] + missing
        most = [max(sizes) for sizes in zip(*((k.shared, k.stack, k.spilled) for k in same))]
        print(ROW.format(file, variant, same[0].kernel, *registers, *most), flush=True)
        spills += most[-1] > 0
    return len(errors) + spills


if __name__ == "__main__":
    sys.exit(main())
