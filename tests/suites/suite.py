"""What the adapters of other projects' suites share: what passes, what fails, what is not tried."""
from collections import Counter


class NotExpressed(Exception):
    """The engine has no words for a case. kind: "dtype", "operator", ...; what: which one."""

    def __init__(self, kind, what):
        super().__init__(kind, str(what))


class Tally:
    def __init__(self):
        self.passed, self.reasons, self.failures = 0, Counter(), []

    def case(self, name, check):
        """Count a case: check() returns, raises NotExpressed, or fails."""
        try:
            check()
        except NotExpressed as reason:
            self.reasons[reason.args] += 1
        except Exception as error:
            self.failures.append(f"{name}: {type(error).__name__}: {error}")
        else:
            self.passed += 1

    def done(self, suite, record_property):
        """Leave the counts to the end of pytest's report; fail where a case did."""
        reasons = [(kind, what, n) for (kind, what), n in self.reasons.items()]
        record_property("suite", [suite, self.passed, reasons])
        assert not self.failures, "\n".join(self.failures)


def summary(reports, verbose):
    """Lines for the end of the report: each suite's counts; verbose: every reason."""
    passed, reasons = Counter(), {}
    for report in reports:
        for suite, n, why in (v for name, v in report.user_properties if name == "suite"):
            passed[suite] += n
            for kind, what, times in why:
                reasons.setdefault(suite, Counter())[kind, what] += times
    for suite, n in sorted(passed.items()):
        why, kinds = reasons.get(suite, Counter()), Counter()
        for (kind, _), times in why.items():
            kinds[kind] += times
        listed = ", ".join(f"{times} {kind}" for kind, times in kinds.most_common())
        yield f"{suite}: {n} pass, {sum(kinds.values())} not tried ({listed})"
        if verbose:
            yield from (f"    {times} {kind}: {what}" for (kind, what), times in why.most_common())
