"""Makes ``project.json`` and ``project.csv``: a small project as Label Studio exports it.

The tasks are written by hand in the shape of Label Studio 1.21's JSON export; the CSV is what Label
Studio's own converter makes of them. In an environment with ``label-studio-sdk`` 2.1.2:

    python tests/data/label_studio/make.py
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent
CONFIG = """
<View>
  <Text name="post" value="$text"/>
  <Choices name="label" toName="post" choice="multiple">
    <Choice value="incitement"/><Choice value="threat"/><Choice value="radicalism"/>
    <Choice value="news"/><Choice value="none"/>
  </Choices>
</View>
"""
ADA, BUDI = 1, {"id": 2, "email": "budi@example.org", "first_name": "Budi", "last_name": ""}


def annotation(number: int, who: Any, *choices: str, **fields: object) -> dict[str, Any]:
    value = {
        "id": f"r{number}",
        "type": "choices",
        "origin": "manual",
        "to_name": "post",
        "from_name": "label",
        "value": {"choices": list(choices)},
    }
    return {
        "id": number,
        "completed_by": who,
        "result": [value] if choices else [],
        "was_cancelled": False,
        "ground_truth": False,
        "created_at": f"2026-02-0{number}T09:30:00.123456Z",
        "updated_at": f"2026-02-0{number}T09:31:00.123456Z",
        "lead_time": 4.5,
        "result_count": 1,
        "unique_id": f"00000000-0000-0000-0000-00000000000{number}",
    } | fields


def task(number: int, text: str, *annotations: dict[str, Any]) -> dict[str, Any]:
    data = {"text": text, "platform": "telegram", "channel": 1001}
    return {
        "id": number,
        "annotations": list(annotations),
        "file_upload": "posts.csv",
        "drafts": [],
        "predictions": [{"result": [], "model_version": "m1", "score": 0.5}],
        "data": data,
        "meta": {},
        "total_annotations": len(annotations),
        "project": 3,
    }


TASKS = [
    task(
        11, 'ayo serbu "pos" itu,\nmalam ini', annotation(1, ADA, "incitement"),
        annotation(2, BUDI, "incitement", "threat"),
    ),
    task(
        12, "polisi menangkap dua orang", annotation(3, ADA, was_cancelled=True),
        annotation(4, BUDI, "news", ground_truth=True),
    ),
    task(13, "selamat pagi semua", annotation(5, ADA, "none")),
    task(14, "belum ada yang menilai"),
    task(15, "=1+1 dinilai tanpa pilihan", annotation(6, ADA)),
]  # fmt: skip

if __name__ == "__main__":
    from label_studio_sdk.converter import Converter

    (FOLDER / "project.json").write_text(json.dumps(TASKS, indent=1) + "\n", "utf-8")
    with tempfile.TemporaryDirectory() as scratch:
        converter = Converter(CONFIG, scratch)
        converter.convert_to_csv(
            str(FOLDER / "project.json"), str(FOLDER / "project.csv"), is_dir=False, sep=","
        )
