"""A transformer behind FastAPI as it is often written: one request, one call of the pipeline."""

from __future__ import annotations

import os
from typing import Any

from fastapi import FastAPI
from pydantic import BaseModel
from transformers import pipeline

app = FastAPI()
classify = pipeline("text-classification", model=os.environ["MODEL"], top_k=None, device="cpu")


class Post(BaseModel):
    id: str
    text: str


@app.post("/classify")
def classify_post(post: Post) -> dict[str, Any]:
    return {"id": post.id, "scores": classify(post.text, truncation=True)}
