"""What is published, beside what runs show."""

import numpy as np
from synthetic import part_of

from genreg.report.evaluate import evaluate
from genreg.report.output.claims import STATUSES, judge, references


def test_claims_are_judged_by_direction() -> None:
    verdicts = {}
    for name, gain in {"as claimed": 2.0, "other way": -2.0, "neither": 0.0}.items():
        noise = np.array([0.3, -0.2, 0.1, -0.4, 0.2, 0.1, -0.1, 0.0])
        part = part_of({"supervised": np.zeros(8), "vat": noise + gain})
        part.name = "vat_200"
        for arm in part.arms:
            for run in arm.runs.values():
                assert run.last
                run.last["test/accuracy"] = run.last["test/score"]
        part.metric = "test/accuracy"
        verdicts[name] = judge(evaluate(part))[0].verdict
    assert verdicts == {"as claimed": "reproduced", "other way": "not reproduced", "neither": "not decided"}


def test_reference_files_are_whole() -> None:
    claims = [claim for file in references() for claim in file["claims"]]
    assert len(claims) >= 10
    assert all(
        figure["better"] != figure["than"] for claim in claims for figure in claim.get("figures") or []
    )
    assert all(claim["status"] in STATUSES and claim["better"] != claim["than"] for claim in claims)
